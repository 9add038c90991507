"""The running batch of continuous batching: rows that end at the same column, whatever their length.

Every row is aligned to the right: its newest token is in the last column, padding is before its first. A step adds
one column for all rows; a row joins by being written so that it ends at the last column, and leaves by the last row
taking its place. The model sees what it sees of a left-padded batch, so that every decoder works unchanged.

Shape letters: N rows, G key-value heads, K columns, E width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..nn.cache import Cache
from .prefix_store import Layers

_AHEAD_COLUMNS = 128
"""Columns that are reserved ahead."""


class SlotCache(Cache):
    """Keys and values of the running rows.

    `first` is the first column that any row needs; columns before it are not attended to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.buffers: list[tuple[Tensor, Tensor]] = []
        self.rows = self.end = self.first = 0

    def update(
        self, keys: Tensor, values: Tensor, layer: int, cache_kwargs: dict[str, Any] | None = None
    ) -> tuple[Tensor, Tensor]:
        stop = self.end + keys.shape[-2]
        for buffer, new in zip(self.buffers[layer], (keys, values), strict=True):
            buffer[: self.rows, :, self.end : stop] = new
        kept = self.buffers[layer]
        return kept[0][: self.rows, :, self.first : stop], kept[1][: self.rows, :, self.first : stop]

    def get_seq_length(self, layer: int = 0, cache_position: Tensor | None = None) -> int:
        return self.end - self.first

    @property
    def capacity(self) -> tuple[int, int]:
        """(rows, columns) that are reserved."""
        if not self.buffers:
            return 0, 0
        shape = self.buffers[0][0].shape
        return shape[0], shape[2]

    def layout(self, like: Layers, rows: int, columns: int, end: int) -> None:
        """Reserve rows x columns and move what there is so that it ends at column `end`."""
        width = self.end - self.first
        made = []
        for number, (keys, values) in enumerate(like):
            pair = tuple(x.new_zeros(rows, x.shape[1], columns, x.shape[3]) for x in (keys, values))
            if self.buffers and width:
                for new, old in zip(pair, self.buffers[number], strict=True):
                    new[: self.rows, :, end - width : end] = old[: self.rows, :, self.first : self.end]
            made.append((pair[0], pair[1]))
        self.buffers, self.end, self.first = made, end, end - width

    def write(self, row: int, layers: Layers, length: int) -> None:
        """Put the last `length` columns of keys and values [1, G, T, E] into a row, ending at the last column."""
        for pair, new in zip(self.buffers, layers, strict=True):
            for buffer, x in zip(pair, new, strict=True):
                buffer[row, :, self.end - length : self.end] = x[0, :, x.shape[2] - length :]

    def move(self, source: int, target: int) -> None:
        """Copy a row."""
        for pair in self.buffers:
            for buffer in pair:
                buffer[target, :, self.first : self.end] = buffer[source, :, self.first : self.end]


class Slots:
    """The running rows: their cache, mask and lengths. Owners are whatever the engine puts in.

    Args:
        device: of the tensors.
    """

    def __init__(self, device: torch.device) -> None:
        self.cache, self.device = SlotCache(), device
        self.owners: list[Any] = []
        self.lengths: list[int] = []
        self._mask = torch.zeros(0, 0, dtype=torch.long, device=device)

    def __len__(self) -> int:
        return len(self.owners)

    def join(self, owner: Any, layers: Layers, length: int) -> None:
        """Add a row of `length` tokens.

        Args:
            layers: its keys and values [1, G, T, E], T >= length.
        """
        cache, row = self.cache, len(self.owners)
        rows, columns = cache.capacity
        if row >= rows or length > cache.end or cache.end + 1 >= columns:
            self._grow(layers, max(rows, row + 1 if row < 4 else row * 3 // 2), max(cache.end - cache.first, length))
        cache.rows = row + 1
        cache.write(row, layers, length)
        self.owners.append(owner)
        self.lengths.append(length)
        self._mask[row] = 0
        self._mask[row, cache.end - length :] = 1
        self._trim()

    def _grow(self, like: Layers, rows: int, width: int) -> None:
        """Lay everything out anew: `width` columns in use, some ahead."""
        cache, kept = self.cache, len(self.owners)
        old_end, old_width = cache.end, cache.end - cache.first
        cache.layout(like, rows, width + _AHEAD_COLUMNS + width // 2, width)
        mask = torch.zeros(rows, cache.capacity[1], dtype=torch.long, device=self.device)
        if kept and old_width:
            mask[:kept, width - old_width : width] = self._mask[:kept, old_end - old_width : old_end]
        mask[:, width:] = 1
        self._mask = mask

    def leave(self, row: int) -> Any:
        """Remove a row; gives its owner. The last row takes its place."""
        last, owner = len(self.owners) - 1, self.owners[row]
        if row != last:
            self.cache.move(last, row)
            self._mask[row] = self._mask[last]
            self.owners[row], self.lengths[row] = self.owners[last], self.lengths[last]
        self.owners.pop()
        self.lengths.pop()
        self.cache.rows = len(self.owners)
        self._trim()
        return owner

    def _trim(self) -> None:
        self.cache.first = self.cache.end - max(self.lengths, default=0)

    def inputs(self) -> dict[str, Any]:
        """What the model needs beside the tokens [N, 1]: mask [N, K], positions [N, 1], the cache."""
        cache, rows = self.cache, len(self.owners)
        if cache.end + 1 > cache.capacity[1]:
            like = [(k[:1], v[:1]) for k, v in cache.buffers]
            self._grow(like, cache.capacity[0], cache.end - cache.first)
        uneven = min(self.lengths) != max(self.lengths)
        return {
            "attention_mask": self._mask[:rows, cache.first : cache.end + 1] if uneven else None,
            "position_ids": torch.tensor(self.lengths, device=self.device)[:, None],
            "past_key_values": cache,
        }

    def stepped(self) -> None:
        """Take note that a column was added."""
        self.cache.end += 1
        self.lengths = [length + 1 for length in self.lengths]
        self._trim()
