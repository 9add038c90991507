"""The layers of a cache: how the keys and values of one decoder layer are kept.

Shape letters: B rows, G key-value heads, T positions, E width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError

_GROWTH_TOKENS = 64
"""Least number of positions that a growing layer reserves ahead."""


class CacheLayerMixin:
    """Base of layers (guide: internal/generation_utils): keys and values [B, G, T, E] of one decoder layer."""

    is_compileable = False
    is_sliding = False

    def __init__(self) -> None:
        self._buffers: tuple[Tensor, Tensor] | None = None
        self._length = 0

    @property
    def keys(self) -> Tensor | None:
        """Keys of the positions that are kept, None before the first."""
        return None if self._buffers is None else self._buffers[0][..., : self._length, :]

    @property
    def values(self) -> Tensor | None:
        """Values of the positions that are kept, None before the first."""
        return None if self._buffers is None else self._buffers[1][..., : self._length, :]

    @property
    def is_initialized(self) -> bool:
        """Whether anything is kept."""
        return self._buffers is not None

    def update(self, keys: Tensor, values: Tensor, cache_kwargs: dict[str, Any] | None = None) -> tuple[Tensor, Tensor]:
        """Add positions; gives all that the new ones may attend to."""
        raise NotImplementedError

    def get_seq_length(self, cache_position: Tensor | None = None) -> int:
        """Positions seen."""
        return self._length

    def get_max_cache_shape(self) -> int:
        """Positions that fit, -1 for no limit."""
        return -1

    def get_mask_sizes(self, cache_position: Tensor) -> tuple[int, int]:
        """(keys that a mask for these new positions must cover, position of the first of them)."""
        return self.get_seq_length() + len(cache_position), 0

    def reset(self) -> None:
        """Forget everything; reserved memory stays."""
        self._length = 0

    def map(self, function: Callable[[Tensor], Tensor]) -> None:
        """Change the rows by function(tensor); reserved positions go along, so that they need not be made again."""
        if self._buffers is not None:
            self._buffers = (function(self._buffers[0]), function(self._buffers[1]))

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Let row i continue what row beam_idx[i] has seen."""
        self.map(lambda x: x.index_select(0, beam_idx.to(x.device)))

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row."""
        self.map(lambda x: x.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep only these rows."""
        self.map(lambda x: x[indices])

    def crop(self, max_length: int) -> None:
        """Keep the first max_length positions (a negative number drops that many at the end)."""
        length = max_length if max_length >= 0 else self.get_seq_length() + max_length
        self._length = max(0, min(self._length, length))

    def _reserve(self, like: tuple[Tensor, Tensor], capacity: int) -> None:
        """Make room for `capacity` positions; those kept are copied."""
        kept = self._buffers
        made = tuple(x.new_empty(*x.shape[:-2], capacity, x.shape[-1]) for x in like)
        if kept is not None:
            for new, old in zip(made, kept, strict=True):
                new[..., : self._length, :] = old[..., : self._length, :]
        self._buffers = made  # type: ignore[assignment]

    def _write(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        assert self._buffers is not None
        start, stop = self._length, self._length + keys.shape[-2]
        for buffer, new in zip(self._buffers, (keys, values), strict=True):
            buffer[..., start:stop, :] = new
        self._length = stop
        return self._buffers[0][..., :stop, :], self._buffers[1][..., :stop, :]


class DynamicLayer(CacheLayerMixin):
    """Grows with every update; memory is reserved ahead, so that a token is written without copying the rest."""

    def update(self, keys: Tensor, values: Tensor, cache_kwargs: dict[str, Any] | None = None) -> tuple[Tensor, Tensor]:
        if self._buffers is None or self._length == 0:
            self._buffers, self._length = (keys, values), keys.shape[-2]
            return keys, values
        if torch.is_grad_enabled() and (keys.requires_grad or self._buffers[0].requires_grad):
            old_keys, old_values = (buffer[..., : self._length, :] for buffer in self._buffers)
            self._buffers = (torch.cat((old_keys, keys), -2), torch.cat((old_values, values), -2))
            self._length = self._buffers[0].shape[-2]
            return self._buffers
        needed = self._length + keys.shape[-2]
        if needed > self._buffers[0].shape[-2] or self._buffers[0].requires_grad:
            self._reserve((keys, values), needed + max(_GROWTH_TOKENS, needed // 2))
        return self._write(keys, values)


class StaticLayer(CacheLayerMixin):
    """Room for max_cache_len positions, reserved at the first update.

    Raises:
        InputError: an update does not fit.
    """

    is_compileable = True

    def __init__(self, max_cache_len: int) -> None:
        super().__init__()
        self.max_cache_len = max_cache_len

    def update(self, keys: Tensor, values: Tensor, cache_kwargs: dict[str, Any] | None = None) -> tuple[Tensor, Tensor]:
        needed = self._length + keys.shape[-2]
        if needed > self.max_cache_len:
            raise InputError(
                f"The cache has room for {self.max_cache_len} positions; {needed} are needed. Make it with a larger "
                "max_cache_len, or reset() it."
            )
        full = self._buffers is not None and self._buffers[0].shape[-2] == self.max_cache_len
        if not full or self._buffers is None or self._buffers[0].shape[0] != keys.shape[0]:
            self._reserve((keys, values), self.max_cache_len)
        return self._write(keys, values)

    def get_max_cache_shape(self) -> int:
        return self.max_cache_len


class SlidingWindowLayer(CacheLayerMixin):
    """Keeps the last positions only, as many as a window reaches back.

    Args:
        max_cache_len: of the whole cache; a window that is longer is cut.
        sliding_window: positions that a query attends to, itself included.
    """

    is_sliding = True

    def __init__(self, max_cache_len: int | None, sliding_window: int) -> None:
        super().__init__()
        self.sliding_window = sliding_window
        self.max_cache_len = sliding_window if max_cache_len is None else min(max_cache_len, sliding_window)
        self._seen = self._start = 0

    @property
    def keys(self) -> Tensor | None:
        return None if self._buffers is None else self._buffers[0][..., self._start : self._start + self._length, :]

    @property
    def values(self) -> Tensor | None:
        return None if self._buffers is None else self._buffers[1][..., self._start : self._start + self._length, :]

    def update(self, keys: Tensor, values: Tensor, cache_kwargs: dict[str, Any] | None = None) -> tuple[Tensor, Tensor]:
        new = keys.shape[-2]
        self._seen += new
        old = (self.keys, self.values)
        if old[0] is None or old[1] is None or self._length == 0:
            return self._keep((keys, values), keys.shape[-2])
        if torch.is_grad_enabled() and (keys.requires_grad or old[0].requires_grad):
            joined = torch.cat((old[0], keys), -2), torch.cat((old[1], values), -2)
            return self._keep(joined, joined[0].shape[-2])
        total = self._length + new
        if self._start + total > self._buffers[0].shape[-2]:  # type: ignore[index]
            ahead = max(_GROWTH_TOKENS, min(total, self.sliding_window) // 2)
            made = tuple(x.new_empty(*x.shape[:-2], total + ahead, x.shape[-1]) for x in (keys, values))
            for buffer, x in zip(made, (old[0], old[1]), strict=True):
                buffer[..., : self._length, :] = x
            self._buffers, self._start = (made[0], made[1]), 0
        assert self._buffers is not None
        start, stop = self._start, self._start + total
        for buffer, x in zip(self._buffers, (keys, values), strict=True):
            buffer[..., stop - new : stop, :] = x
        self._length = min(total, self.sliding_window - 1)
        self._start = stop - self._length
        return self._buffers[0][..., start:stop, :], self._buffers[1][..., start:stop, :]

    def _keep(self, everything: tuple[Tensor, Tensor], total: int) -> tuple[Tensor, Tensor]:
        """Keep what a window reaches back of `total` positions; gives all of them."""
        self._length, self._start = min(total, self.sliding_window - 1), 0
        keys, values = (x[..., total - self._length :, :] for x in everything)
        self._buffers = (keys.contiguous(), values.contiguous()) if self._length < total else (keys, values)
        return everything

    def get_seq_length(self, cache_position: Tensor | None = None) -> int:
        return self._seen

    def get_max_cache_shape(self) -> int:
        return self.sliding_window

    def get_mask_sizes(self, cache_position: Tensor) -> tuple[int, int]:
        keys = self._length + len(cache_position)
        return keys, self._seen + len(cache_position) - keys

    def reset(self) -> None:
        self._length = self._seen = self._start = 0

    def crop(self, max_length: int) -> None:
        """See CacheLayerMixin.crop.

        Raises:
            InputError: positions that left the window would be needed again.
        """
        length = max_length if max_length >= 0 else self._seen + max_length
        if length >= self._seen:
            return
        if self._seen > self._length:
            raise InputError(
                "A sliding cache cannot go back: positions have left its window. Use "
                "cache_implementation='dynamic_full'."
            )
        self._length = self._seen = max(0, length)
