"""Blenderbot small: BART's layers, with the decoder's embeddings normed before positions are added.

Hub: facebook/blenderbot_small-90M.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..registry import register
from .bart import BartBase, Parts, family, learned


@dataclass(kw_only=True, init=False, repr=False)
class BlenderbotSmallConfig(BartBase):
    """config.json of Blenderbot small."""

    model_type: ClassVar[str] = "blenderbot-small"

    max_position_embeddings: int = 512
    encoder_layers: int = 8
    encoder_ffn_dim: int = 2048
    decoder_layers: int = 8
    decoder_ffn_dim: int = 2048
    d_model: int = 512
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    decoder_start_token_id: int | None = 1
    forced_eos_token_id: int | list[int] | None = 2


PARTS = Parts(
    embedding_norm=True, decoder_norm_first=True, positions=learned, scaled_embedding=False,
    decoder_scale=lambda config: 1.0,
)  # fmt: skip

register("blenderbot-small", family(BlenderbotSmallConfig, PARTS))
