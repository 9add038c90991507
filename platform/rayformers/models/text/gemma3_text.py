"""Gemma 3's text model (Gemma Team 2025, arXiv:2503.19786): full layers between sliding ones with their own base.

Hub: google/gemma-3-1b-it, google/gemma-3-270m, google/embeddinggemma-300m.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...nn.attention import Attention
from ...nn.positions import Rope, RotaryTable
from ..registry import register
from .decoder import Decoder, head_dim, heads, lm_head, rotary_table
from .gemma import norm
from .gemma2 import WEIGHTS, Gemma2Config, capped_lm, layer, scaled_attention
from .llama import QK_NORMS, family
from .qwen2 import mask_kind, windows


@dataclass(kw_only=True, init=False, repr=False)
class Gemma3TextConfig(Gemma2Config):
    """config.json of Gemma 3's text model."""

    model_type: ClassVar[str] = "gemma3_text"

    vocab_size: int = 262208
    max_position_embeddings: int = 131072
    rope_theta: float = 1_000_000.0
    rope_local_base_freq: float = 10_000.0
    final_logit_softcapping: float | None = None
    attn_logit_softcapping: float | None = None
    use_bidirectional_attention: bool = False

    def __post_init__(self) -> None:
        new = self.__dict__.get("rope_parameters")
        if isinstance(new, Mapping) and "full_attention" in new:  # version 5 files: settings for each type of layer
            local = new.get("sliding_attention") or {}
            self.rope_local_base_freq = local.get("rope_theta", self.rope_local_base_freq)
            self.rope_parameters = new["full_attention"]
        if self.layer_types is None:
            every = self.__dict__.get("sliding_window_pattern") or self.__dict__.get("_sliding_window_pattern") or 6
            self.layer_types = [
                "sliding_attention" if (number + 1) % every else "full_attention"
                for number in range(self.num_hidden_layers)
            ]
        super().__post_init__()


class ScaledEmbedding(nn.Embedding):
    """Token embeddings times the square root of their width."""

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids) * torch.tensor(self.embedding_dim**0.5, dtype=self.weight.dtype)


def attention(config: Any, number: int) -> Attention:
    """Attention with normalised queries and keys; its mask and rotary base are those of the layer's type."""
    width, rope = head_dim(config), Rope(mask_kind(config, number))
    return scaled_attention(config, number, rope=rope, q_norm=norm(config, width), k_norm=norm(config, width))


def backbone(config: Any) -> Decoder:
    """Gemma 3's decoder; embedding models attend in both directions."""
    kinds = windows(config)
    if config.use_bidirectional_attention and kinds.get("sliding") is not None:
        kinds["sliding"] = config.sliding_window // 2 + 1  # half of the window to each side
    local = RotaryTable(head_dim(config), config.rope_local_base_freq, None, config.max_position_embeddings)
    rotary = {"full": rotary_table(config), "sliding": local}
    return Decoder(
        config,
        (layer(config, attention(config, number)) for number in range(config.num_hidden_layers)),
        norm(config),
        rotary={kind: rotary[kind] for kind in kinds},
        windows=kinds,
        embedding=ScaledEmbedding(config.vocab_size, config.hidden_size, config.pad_token_id),
        bidirectional=config.use_bidirectional_attention,
    )


register(
    "gemma3_text",
    family(
        config=Gemma3TextConfig,
        backbone=backbone,
        weights=WEIGHTS + QK_NORMS,
        heads=heads(lm_head(capped_lm), token=False),
    ),
)
