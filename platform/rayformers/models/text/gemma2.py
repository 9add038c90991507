"""Gemma 2 (Gemma Team 2024, arXiv:2408.00118): norms around each branch, capped scores, every other layer slides.

Hub: google/gemma-2-2b, google/gemma-2-9b-it, google/gemma-2-27b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.feedforward import GatedMLP
from ...nn.residual import Residual, Sequential
from ...weights import Rename, Rule, WeightMap
from ..registry import register
from ..text_heads import CausalLM
from .decoder import Decoder, DecoderConfig, heads, lm_head, rotary_table
from .gemma import norm
from .llama import ATTENTION, FEEDFORWARD, GATED, LAYER, OUTSIDE, PROJECTIONS, attention, family
from .qwen2 import mask_kind, windows


@dataclass(kw_only=True, init=False, repr=False)
class Gemma2Config(DecoderConfig):
    """config.json of Gemma 2."""

    model_type: ClassVar[str] = "gemma2"

    vocab_size: int = 256000
    hidden_size: int = 2304
    intermediate_size: int = 9216
    num_hidden_layers: int = 26
    num_attention_heads: int = 8
    num_key_value_heads: int | None = 4
    head_dim: int | None = 256
    hidden_activation: str = "gelu_pytorch_tanh"
    max_position_embeddings: int = 8192
    rms_norm_eps: float = 1e-6
    pad_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    bos_token_id: int | None = 2
    tie_word_embeddings: bool = True
    attention_bias: bool = False
    query_pre_attn_scalar: float = 256
    sliding_window: int | None = 4096
    layer_types: list[str] | None = None
    final_logit_softcapping: float | None = 30.0
    attn_logit_softcapping: float | None = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layer_types is None:
            self.layer_types = [
                "full_attention" if number % 2 else "sliding_attention" for number in range(self.num_hidden_layers)
            ]


def scaled_attention(config: Any, number: int, **parts: Any) -> Attention:
    """Attention with its own scale and capped scores; its mask is that of the layer's type."""
    return attention(
        config, number, scale=config.query_pre_attn_scalar**-0.5, softcap=config.attn_logit_softcapping,
        mask=mask_kind(config, number), **parts,
    )  # fmt: skip


def layer(config: Any, attn: nn.Module) -> Sequential:
    """One layer with a norm before and after each branch."""
    mlp = GatedMLP(config.hidden_size, config.intermediate_size, activation(config.hidden_activation))
    return Sequential(
        Residual(attn, before=norm(config), inside=norm(config)),
        Residual(mlp, before=norm(config), inside=norm(config)),
    )


def backbone(config: Any) -> Decoder:
    """Gemma 2's decoder."""
    layers = (layer(config, scaled_attention(config, number)) for number in range(config.num_hidden_layers))
    return Decoder(
        config, layers, norm(config), rotary={"full": rotary_table(config)}, windows=windows(config),
        scale=config.hidden_size**0.5,
    )  # fmt: skip


def capped_lm(config: Any, model: nn.Module) -> CausalLM:
    """The next token's logits, capped."""
    return CausalLM(config, model, softcap=config.final_logit_softcapping)


SANDWICH_NORMS: tuple[Rule, ...] = (
    Rename(LAYER + "input_layernorm", ATTENTION + "before"),
    Rename(LAYER + "post_attention_layernorm", ATTENTION + "inside"),
    Rename(LAYER + "pre_feedforward_layernorm", FEEDFORWARD + "before"),
    Rename(LAYER + "post_feedforward_layernorm", FEEDFORWARD + "inside"),
)
WEIGHTS = WeightMap(*OUTSIDE, *PROJECTIONS, *GATED, *SANDWICH_NORMS)

register("gemma2", family(config=Gemma2Config, backbone=backbone, weights=WEIGHTS, heads=heads(lm_head(capped_lm))))
