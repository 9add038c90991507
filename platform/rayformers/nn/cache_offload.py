"""Caches whose layers wait in the host's memory while other layers run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .cache import Cache, CacheProcessor


class OffloadedCacheProcessor(CacheProcessor):
    """Brings a layer to the accelerator before its update, fetches the next one meanwhile, and sends the last one back.

    Args:
        offload_device: where layers wait.
    """

    def __init__(self, offload_device: str | torch.device = "cpu") -> None:
        self.offload_device = torch.device(offload_device)
        self._stream: torch.cuda.Stream | None = None

    def pre_update(
        self, cache: Cache, keys: Tensor, values: Tensor, layer: int, cache_kwargs: dict[str, Any] | None = None
    ) -> tuple[Tensor, Tensor]:
        if keys.device == self.offload_device:
            return keys, values
        count = len(cache.layers)
        if self._stream is None:
            self._stream = torch.cuda.Stream(keys.device)
        torch.cuda.current_stream(keys.device).wait_stream(self._stream)
        _move(cache.layers[layer], keys.device)
        if count > 1 and layer > 0:
            _move(cache.layers[layer - 1], self.offload_device)
        elif count > 2:
            _move(cache.layers[-1], self.offload_device)
        if layer + 1 < count:
            with torch.cuda.stream(self._stream):
                _move(cache.layers[layer + 1], keys.device)
        return keys, values


def _move(layer: Any, device: torch.device) -> None:
    buffers = layer._buffers
    if buffers is not None and buffers[0].device != device:
        layer._buffers = tuple(buffer.to(device, non_blocking=device.type == "cuda") for buffer in buffers)
