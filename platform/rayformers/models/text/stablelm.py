"""StableLM (Bellagente et al. 2024, arXiv:2402.17834): Llama with layer norms, a part of each head rotated.

Hub: stabilityai/stablelm-3b-4e1t, stabilityai/stablelm-2-1_6b, stabilityai/stablelm-2-12b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from ...nn.residual import Parallel, Residual, Sequential
from ...weights import Stack, WeightMap
from ..registry import register
from .cohere import NORM, HeadsNorm
from .decoder import Decoder, DecoderConfig, head_dim, heads, rotary_table
from .llama import ATTENTION, GATED, LAYER, OUTSIDE, PRE_NORMS, PROJECTIONS, attention, family, mlp


@dataclass(kw_only=True, init=False, repr=False)
class StableLmConfig(DecoderConfig):
    """config.json of StableLM."""

    model_type: ClassVar[str] = "stablelm"

    vocab_size: int = 50304
    hidden_size: int = 2560
    intermediate_size: int = 6912
    num_key_value_heads: int | None = 32
    max_position_embeddings: int = 4096
    layer_norm_eps: float = 1e-5
    use_qkv_bias: bool = False
    qk_layernorm: bool = False
    use_parallel_residual: bool = False
    hidden_dropout: float = 0.0
    partial_rotary_factor: float = 0.25
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 0


def norm(config: Any) -> nn.LayerNorm:
    """A layer norm of the whole width."""
    return nn.LayerNorm(config.hidden_size, config.layer_norm_eps)


def layer(config: Any, number: int) -> nn.Module:
    """One layer, its branches one after the other or side by side."""
    norms = {}
    if config.qk_layernorm:
        for name, count in (("q_norm", config.num_attention_heads), ("k_norm", config.num_key_value_heads)):
            norms[name] = HeadsNorm(count, head_dim(config), config.layer_norm_eps)
    attn = attention(config, number, bias=config.use_qkv_bias, out_bias=False, **norms)
    dropout = config.hidden_dropout
    if config.use_parallel_residual:
        return Parallel(Residual(attn), Residual(mlp(config), dropout=dropout), norm=norm(config))
    return Sequential(Residual(attn, before=norm(config)), Residual(mlp(config), before=norm(config), dropout=dropout))


def backbone(config: Any) -> Decoder:
    """StableLM's decoder."""
    layers = (layer(config, number) for number in range(config.num_hidden_layers))
    rotary = {"full": rotary_table(config, int(head_dim(config) * config.partial_rotary_factor))}
    return Decoder(config, layers, norm(config), rotary=rotary)


def weights(config: Any) -> WeightMap:
    """Rules; where the first norm is depends on whether the branches share it."""
    counts = {"q": config.num_attention_heads, "k": config.num_key_value_heads}
    norms = (
        Stack(f"{LAYER}self_attn.{name}_layernorm.norms.{{e}}.weight", f"{ATTENTION}branch.{name}_norm.weight", count=n)
        for name, n in counts.items()
    )
    placed = (NORM,) if config.use_parallel_residual else PRE_NORMS
    return WeightMap(*OUTSIDE, *PROJECTIONS, *norms, *GATED, *placed)


register("stablelm", family(config=StableLmConfig, backbone=backbone, weights=weights, heads=heads()))
