"""OLMo 2 (OLMo Team 2024, arXiv:2501.00656): norms after each branch, queries and keys normalised as a whole.

Hub: allenai/OLMo-2-1124-7B, allenai/OLMo-2-0425-1B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ...nn.residual import Residual, Sequential
from ...weights import Rename, WeightMap
from ..registry import register
from .decoder import Decoder, DecoderConfig, head_dim, heads, rotary_table
from .llama import ATTENTION, FEEDFORWARD, GATED, LAYER, OUTSIDE, PROJECTIONS, QK_NORMS, attention, family, mlp, norm


@dataclass(kw_only=True, init=False, repr=False)
class Olmo2Config(DecoderConfig):
    """config.json of OLMo 2."""

    model_type: ClassVar[str] = "olmo2"

    vocab_size: int = 50304
    rms_norm_eps: float = 1e-5
    pad_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 50279
    attention_bias: bool = False


def layer(config: Any, number: int) -> Sequential:
    """One layer: what each branch gives is normalised before it is added."""
    width = head_dim(config)
    queries, keys = width * config.num_attention_heads, width * config.num_key_value_heads
    attn = attention(config, number, norm_heads=False, q_norm=norm(config, queries), k_norm=norm(config, keys))
    return Sequential(Residual(attn, inside=norm(config)), Residual(mlp(config), inside=norm(config)))


def backbone(config: Any) -> Decoder:
    """OLMo 2's decoder."""
    layers = (layer(config, number) for number in range(config.num_hidden_layers))
    return Decoder(config, layers, norm(config), rotary={"full": rotary_table(config)})


WEIGHTS = WeightMap(
    *OUTSIDE,
    *PROJECTIONS,
    *QK_NORMS,
    *GATED,
    Rename(LAYER + "post_attention_layernorm", ATTENTION + "inside"),
    Rename(LAYER + "post_feedforward_layernorm", FEEDFORWARD + "inside"),
)

register(
    "olmo2", family(config=Olmo2Config, backbone=backbone, weights=WEIGHTS, heads=heads(sequence=False, token=False))
)
