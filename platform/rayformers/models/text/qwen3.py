"""Qwen3 (Yang et al. 2025, arXiv:2505.09388): Qwen2 with normalised queries and keys in place of biases.

Hub: Qwen/Qwen3-0.6B, Qwen/Qwen3-8B, Qwen/Qwen3-Embedding-0.6B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ...nn.attention import Attention
from ..registry import register
from .decoder import Decoder, head_dim, rotary_table
from .llama import QK_NORMS, WEIGHTS, attention, family, layer, norm
from .qwen2 import QWEN_HEADS, QwenConfig, mask_kind, windows


@dataclass(kw_only=True, init=False, repr=False)
class Qwen3Config(QwenConfig):
    """config.json of Qwen3."""

    model_type: ClassVar[str] = "qwen3"

    head_dim: int | None = 128
    attention_bias: bool = False


def normed_attention(config: Any, number: int, **parts: Any) -> Attention:
    """Attention that normalises each head's queries and keys."""
    width = head_dim(config)
    return attention(config, number, q_norm=norm(config, width), k_norm=norm(config, width), **parts)


def backbone(config: Any) -> Decoder:
    """Qwen3's decoder."""
    layers = (
        layer(config, number, attn=normed_attention(config, number, mask=mask_kind(config, number)))
        for number in range(config.num_hidden_layers)
    )
    return Decoder(config, layers, norm(config), rotary={"full": rotary_table(config)}, windows=windows(config))


register("qwen3", family(config=Qwen3Config, backbone=backbone, weights=WEIGHTS + QK_NORMS, heads=QWEN_HEADS))
