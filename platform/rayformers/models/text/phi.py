"""Phi (Gunasekar et al. 2023, arXiv:2306.11644): parallel branches, layer norms, a part of each head rotated.

Hub: microsoft/phi-1, microsoft/phi-1_5, microsoft/phi-2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from ...nn.activations import activation
from ...nn.feedforward import MLP
from ...nn.residual import Parallel, Residual
from ...weights import Drop, Rename, WeightMap
from ..registry import register
from ..text_heads import CausalLM
from .decoder import Decoder, DecoderConfig, head_dim, heads, lm_head, rotary_table
from .llama import ATTENTION, FEEDFORWARD, LAYER, attention, family


@dataclass(kw_only=True, init=False, repr=False)
class PhiConfig(DecoderConfig):
    """config.json of Phi."""

    model_type: ClassVar[str] = "phi"

    vocab_size: int = 51200
    hidden_size: int = 2048
    intermediate_size: int = 8192
    num_hidden_layers: int = 24
    resid_pdrop: float = 0.0
    embd_pdrop: float = 0.0
    hidden_act: str = "gelu_new"
    layer_norm_eps: float = 1e-5
    partial_rotary_factor: float = 0.5
    qk_layernorm: bool = False
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2


def layer(config: Any, number: int) -> Parallel:
    """Attention and feed-forward read one norm."""
    width, epsilon, dropout = head_dim(config), config.layer_norm_eps, config.resid_pdrop
    norms = {name: nn.LayerNorm(width, epsilon) for name in ("q_norm", "k_norm")} if config.qk_layernorm else {}
    mlp = MLP(config.hidden_size, config.intermediate_size, activation(config.hidden_act))
    return Parallel(
        Residual(attention(config, number, bias=True, **norms), dropout=dropout),
        Residual(mlp, dropout=dropout),
        norm=nn.LayerNorm(config.hidden_size, epsilon),
    )


def backbone(config: Any) -> Decoder:
    """Phi's decoder."""
    return Decoder(
        config,
        (layer(config, number) for number in range(config.num_hidden_layers)),
        nn.LayerNorm(config.hidden_size, config.layer_norm_eps),
        rotary={"full": rotary_table(config, int(head_dim(config) * config.partial_rotary_factor))},
        dropout=config.embd_pdrop,
    )


def biased_lm(config: Any, model: nn.Module) -> CausalLM:
    """The next token's logits, with a bias."""
    return CausalLM(config, model, bias=True)


WEIGHTS = WeightMap(
    Rename("embed_tokens", "embed_tokens"),
    Rename("final_layernorm", "stack.norm"),
    Drop(LAYER + "self_attn.rotary_emb.inv_freq"),
    *(Rename(f"{LAYER}self_attn.{name}_proj", f"{ATTENTION}branch.{name}_proj") for name in "qkv"),
    *(Rename(f"{LAYER}self_attn.{name}_layernorm", f"{ATTENTION}branch.{name}_norm") for name in "qk"),
    Rename(LAYER + "self_attn.dense", ATTENTION + "branch.o_proj"),
    *(Rename(f"{LAYER}mlp.{name}", f"{FEEDFORWARD}branch.{name}") for name in ("fc1", "fc2")),
    Rename(LAYER + "input_layernorm", "stack.layers.{i}.norm"),
)

register("phi", family(config=PhiConfig, backbone=backbone, weights=WEIGHTS, heads=heads(lm_head(biased_lm))))
