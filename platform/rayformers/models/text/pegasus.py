"""PEGASUS (Zhang et al. 2019, arXiv:1912.08777): summarization with sinusoid positions and norms before each branch.

Hub: google/pegasus-xsum, google/pegasus-cnn_dailymail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...nn.positions import sinusoids
from ...weights import Rename
from ..registry import register
from .bart import BartBase, Parts, family
from .inputs import check_length


@dataclass(kw_only=True, init=False, repr=False)
class PegasusConfig(BartBase):
    """config.json of PEGASUS."""

    model_type: ClassVar[str] = "pegasus"

    pad_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    decoder_start_token_id: int | None = 0
    forced_eos_token_id: int | list[int] | None = 1


class SinusoidTable(nn.Module):
    """Adds sines and cosines of the position, all sines first: [1, T, D]. Files may carry the table."""

    def __init__(self, positions: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(positions, dim), requires_grad=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Compute the table."""
        if not self.weight.is_meta:
            self.weight.copy_(sinusoids(*self.weight.shape))

    def forward(self, x: Tensor, ids: Tensor | None, seen: int) -> Tensor:
        check_length(seen + x.shape[1], len(self.weight))
        return self.weight[None, seen : seen + x.shape[1]]


def table(config: Any) -> SinusoidTable:
    """The positions of one half."""
    return SinusoidTable(config.max_position_embeddings, config.d_model)


SINUSOIDS = tuple(Rename(f"{name}.embed_positions", f"{name}.positions") for name in ("encoder", "decoder"))
COMPUTED = ("backbone.*coder.positions.weight", "head.final_logits_bias")

PARTS = Parts(pre_norm=True, positions=table, scaled_embedding=False)

register("pegasus", family(PegasusConfig, PARTS, SINUSOIDS, computed=COMPUTED))
