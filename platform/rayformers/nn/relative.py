"""T5's relative position bias (Raffel et al. 2019, arXiv:1910.10683): a learned number for each head and distance.

Shape letters: B batch, H heads, Q query positions, K key positions.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


def buckets_of(distance: Tensor, *, buckets: int, max_distance: int, bidirectional: bool) -> Tensor:
    """Bucket numbers of distances key - query: near ones one by one, far ones on a logarithmic scale.

    Args:
        distance: whole numbers of any shape.
        buckets: how many there are.
        max_distance: this distance and all beyond it share the last bucket.
        bidirectional: half of the buckets are for keys after the query; else those count as distance 0.
    """
    offset = torch.zeros_like(distance)
    if bidirectional:
        buckets //= 2
        offset = (distance > 0).long() * buckets
        distance = distance.abs()
    else:
        distance = (-distance).clamp_min(0)
    exact = buckets // 2
    ratio = torch.log(distance.clamp_min(1).float() / exact) / math.log(max_distance / exact)
    far = exact + (ratio * (buckets - exact)).long()
    return offset + torch.where(distance < exact, distance, far.clamp_max(buckets - 1))


class RelativeBias(nn.Module):
    """Bias tables of a stack: one that all layers share (T5), or one for each layer (UMT5).

    Args:
        heads: H.
        buckets, max_distance, bidirectional: see `buckets_of`.
        layers: number of tables.
    """

    def __init__(self, heads: int, *, buckets: int, max_distance: int, bidirectional: bool, layers: int = 1) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(buckets, heads) for _ in range(layers))
        self.buckets, self.max_distance, self.bidirectional = buckets, max_distance, bidirectional

    def forward(self, queries: int, keys: int, seen: int, mask: Tensor | None = None) -> dict[str, Tensor]:
        """The context's biases [1 or B, H, Q, K] by kind ("relative.0", ...), the mask folded in.

        Args:
            queries: number of query positions; `seen` positions came before them.
            keys: number of key positions.
            mask: boolean, broadcastable to [B, H, Q, K]; True = attend.
        """
        device = next(self.parameters()).device
        query = torch.arange(seen, seen + queries, device=device)[:, None]
        distance = torch.arange(keys, device=device)[None] - query
        numbers = buckets_of(
            distance, buckets=self.buckets, max_distance=self.max_distance, bidirectional=self.bidirectional
        )
        biases = _Biases(self.tables, numbers, mask)
        if len(self.tables) == 1:  # made once, outside of any layer, so that layers can be computed again
            biases["relative.0"] = biases["relative.0"]
        return biases


class _Biases(dict[str, Tensor]):
    """Makes a layer's bias when the layer asks for it, so that those of all layers never lie in memory together."""

    def __init__(self, tables: nn.ModuleList, numbers: Tensor, mask: Tensor | None) -> None:
        super().__init__()
        self.tables, self.numbers, self.hidden = tables, numbers, None if mask is None else ~mask

    def get(self, kind: str, default: Any = None) -> Any:
        return self[kind] if kind.startswith("relative.") else default

    def __missing__(self, kind: str) -> Tensor:
        table = self.tables[int(kind.rpartition(".")[2])]
        bias = table(self.numbers).permute(2, 0, 1)[None]
        if torch.is_autocast_enabled(bias.device.type):
            bias = bias.to(torch.get_autocast_dtype(bias.device.type))
        return bias if self.hidden is None else bias.masked_fill(self.hidden, torch.finfo(bias.dtype).min)
