"""Llama (Touvron et al. 2023, arXiv:2302.13971; Llama 3: arXiv:2407.21783): pre-norm, rotary positions, gated MLP.

Hub: meta-llama/Llama-2-7b-hf, meta-llama/Llama-3.1-8B, TinyLlama/TinyLlama-1.1B-Chat-v1.0. Its parts carry the family.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import nn

from ...nn.activations import activation
from ...nn.attention import Attention
from ...nn.feedforward import GatedMLP
from ...nn.norms import RMSNorm
from ...nn.positions import Rope
from ...nn.residual import Residual, Sequential
from ...weights import Drop, Rename, Rule, WeightMap
from ..registry import Architecture, register
from .decoder import Decoder, DecoderConfig, head_dim, heads, rotary_table


@dataclass(kw_only=True, init=False, repr=False)
class LlamaConfig(DecoderConfig):
    """config.json of Llama."""

    model_type: ClassVar[str] = "llama"

    head_dim: int | None = None
    rms_norm_eps: float = 1e-6
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pretraining_tp: int = 1
    attention_bias: bool = False
    mlp_bias: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.head_dim is None:
            self.head_dim = self.hidden_size // self.num_attention_heads


def norm(config: Any, dim: int | None = None) -> nn.Module:
    """The family's normalisation, of the whole width or of `dim`."""
    return RMSNorm(dim or config.hidden_size, config.rms_norm_eps)


def attention(config: Any, number: int, **parts: Any) -> Attention:
    """Rotary attention with grouped heads; `parts` are Attention's own arguments."""
    options: dict[str, Any] = {
        "layer": number, "kv_heads": config.num_key_value_heads, "head_dim": head_dim(config),
        "bias": bool(getattr(config, "attention_bias", False)), "rope": Rope(), "dropout": config.attention_dropout,
    }  # fmt: skip
    return Attention(config.hidden_size, config.num_attention_heads, **(options | parts))


def mlp(config: Any) -> GatedMLP:
    """The gated feed-forward layer."""
    bias = bool(getattr(config, "mlp_bias", False))
    return GatedMLP(config.hidden_size, config.intermediate_size, activation(config.hidden_act), bias=bias)


def layer(
    config: Any, number: int, *, attn: nn.Module | None = None, feedforward: nn.Module | None = None
) -> Sequential:
    """One pre-norm layer; later architectures give their own attention or feed-forward part."""
    return Sequential(
        Residual(attn or attention(config, number), before=norm(config)),
        Residual(feedforward or mlp(config), before=norm(config)),
    )


def backbone(config: Any) -> Decoder:
    """Llama's decoder."""
    layers = (layer(config, number) for number in range(config.num_hidden_layers))
    return Decoder(config, layers, norm(config), rotary={"full": rotary_table(config)})


LAYER, ATTENTION, FEEDFORWARD = "layers.{i}.", "stack.layers.{i}.attn.", "stack.layers.{i}.mlp."

OUTSIDE: tuple[Rule, ...] = (
    Rename("embed_tokens", "embed_tokens"),
    Rename("norm", "stack.norm"),
    Drop(LAYER + "self_attn.rotary_emb.inv_freq"),
    Drop("rotary_emb.inv_freq"),
)
PROJECTIONS: tuple[Rule, ...] = tuple(
    Rename(f"{LAYER}self_attn.{name}", f"{ATTENTION}branch.{name}") for name in ("q_proj", "k_proj", "v_proj", "o_proj")
)
GATED: tuple[Rule, ...] = tuple(
    Rename(f"{LAYER}mlp.{name}", f"{FEEDFORWARD}branch.{name}") for name in ("gate_proj", "up_proj", "down_proj")
)
QK_NORMS: tuple[Rule, ...] = tuple(
    Rename(f"{LAYER}self_attn.{name}", f"{ATTENTION}branch.{name}") for name in ("q_norm", "k_norm")
)
PRE_NORMS: tuple[Rule, ...] = (
    Rename(LAYER + "input_layernorm", ATTENTION + "before"),
    Rename(LAYER + "post_attention_layernorm", FEEDFORWARD + "before"),
)
WEIGHTS = WeightMap(*OUTSIDE, *PROJECTIONS, *GATED, *PRE_NORMS)

family = partial(Architecture, hub_prefix="model")

register(
    "llama",
    family(config=LlamaConfig, backbone=backbone, weights=WEIGHTS, heads=heads(span=True, span_prefix="transformer")),
)
