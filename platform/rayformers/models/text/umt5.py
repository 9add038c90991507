"""UMT5 (Chung et al. 2023, arXiv:2304.09151): mT5 with a position bias in every layer. Hub: google/umt5-small."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from ..registry import register
from .mt5 import MT5Config
from .t5 import backbone, family


@dataclass(kw_only=True, init=False, repr=False)
class UMT5Config(MT5Config):
    """config.json of UMT5."""

    model_type: ClassVar[str] = "umt5"

    tie_word_embeddings: bool = True

    def _scales(self) -> bool:
        return self.tie_word_embeddings


register("umt5", family(config=UMT5Config, backbone=partial(backbone, bias_in_every_layer=True)))
