"""Blenderbot (Roller et al. 2020, arXiv:2004.13637): a chat model with norms before each branch.

Hub: facebook/blenderbot-400M-distill.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..registry import register
from .bart import BartBase, Parts, family, learned


@dataclass(kw_only=True, init=False, repr=False)
class BlenderbotConfig(BartBase):
    """config.json of Blenderbot."""

    model_type: ClassVar[str] = "blenderbot"

    vocab_size: int = 8008
    max_position_embeddings: int = 128
    encoder_layers: int = 2
    encoder_ffn_dim: int = 10240
    encoder_attention_heads: int = 32
    decoder_layers: int = 24
    decoder_ffn_dim: int = 10240
    decoder_attention_heads: int = 32
    d_model: int = 2560
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    decoder_start_token_id: int | None = 1
    forced_eos_token_id: int | list[int] | None = 2
    encoder_no_repeat_ngram_size: int = 3


register("blenderbot", family(BlenderbotConfig, Parts(pre_norm=True, positions=learned)))
