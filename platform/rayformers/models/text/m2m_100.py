"""M2M100 (Fan et al. 2020, arXiv:2010.11125) and NLLB-200 (arXiv:2207.04672): translation between many languages.

Hub: facebook/m2m100_418M, facebook/nllb-200-distilled-600M.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...weights import Drop
from ..registry import register
from ..seq2seq_heads import Seq2SeqLM
from .bart import BartBase, Parts, family, lm_head


@dataclass(kw_only=True, init=False, repr=False)
class M2M100Config(BartBase):
    """config.json of M2M100 and NLLB."""

    model_type: ClassVar[str] = "m2m_100"

    vocab_size: int = 128112
    encoder_layerdrop: float = 0.05
    decoder_layerdrop: float = 0.05
    activation_function: str = "relu"
    attention_dropout: float = 0.1
    scale_embedding: bool = True
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2
    decoder_start_token_id: int | None = 2


class PaddedSinusoids(nn.Module):
    """Adds sines and cosines of positions that count tokens and leave out padding: [B or 1, T, D], of any length.

    Args:
        positions: how many are computed ahead.
        dim: D.
        padding: the padding token; positions begin after it, and padding's is zero.
    """

    def __init__(self, positions: int, dim: int, padding: int) -> None:
        super().__init__()
        self.dim, self.padding = dim, padding
        self.table: Tensor
        self.register_buffer("table", self._rows(positions + 2), persistent=False)

    def _rows(self, count: int) -> Tensor:
        half = self.dim // 2
        rates = torch.exp(torch.arange(half, device="cpu").float() * -(math.log(10000) / (half - 1)))
        angles = torch.arange(count, device="cpu").float()[:, None] * rates
        rows = torch.cat((angles.sin(), angles.cos(), torch.zeros(count, self.dim % 2, device="cpu")), dim=1)
        rows[self.padding] = 0
        return rows

    @torch.no_grad()
    def forward(self, x: Tensor, ids: Tensor | None, seen: int) -> Tensor:
        last = self.padding + 1 + seen + x.shape[1]
        if last > len(self.table):
            self.table = self._rows(last).to(self.table)
        if ids is None:
            return self.table[None, last - x.shape[1] : last]
        text = (ids != self.padding).long()
        return self.table[(text.cumsum(1) + seen) * text + self.padding]


def sinusoids(config: Any) -> PaddedSinusoids:
    """The positions of one half."""
    return PaddedSinusoids(config.max_position_embeddings, config.d_model, config.pad_token_id)


PARTS = Parts(pre_norm=True, positions=sinusoids)
OLD = tuple(Drop(f"{name}.embed_positions.weights") for name in ("encoder", "decoder"))

register("m2m_100", family(M2M100Config, PARTS, OLD, heads={"ForConditionalGeneration": lm_head(Seq2SeqLM)}))
