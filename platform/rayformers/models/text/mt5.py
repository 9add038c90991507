"""mT5 (Xue et al. 2020, arXiv:2010.11934): T5 1.1 over 101 languages. Hub: google/mt5-small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..registry import register
from .t5 import T5Config, backbone, family


@dataclass(kw_only=True, init=False, repr=False)
class MT5Config(T5Config):
    """config.json of mT5."""

    model_type: ClassVar[str] = "mt5"

    vocab_size: int = 250112
    d_ff: int = 1024
    num_layers: int = 8
    num_heads: int = 6
    feed_forward_proj: str = "gated-gelu"
    tie_word_embeddings: bool = False
    decoder_start_token_id: int | None = 0

    def _scales(self) -> bool:
        version = str(getattr(self, "transformers_version", None) or "4")
        return self.tie_word_embeddings and version.startswith("4")  # version 5 writes True and never scales


register("mt5", family(config=MT5Config, backbone=backbone))
