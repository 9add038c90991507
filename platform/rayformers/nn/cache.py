"""Key-value caches: what a decoder keeps of the positions it has seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


class DynamicLayer:
    """Keys and values [B, G, T, E] of one layer, growing with every update."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def update(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append and return everything that the new positions may attend to."""
        if self.keys is None or self.values is None:
            self.keys, self.values = keys, values
        else:
            self.keys = torch.cat((self.keys, keys), dim=-2)
            self.values = torch.cat((self.values, values), dim=-2)
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Positions seen."""
        return 0 if self.keys is None else self.keys.shape[-2]

    def map(self, function: Any) -> None:
        """Replace keys and values by function(tensor)."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = function(self.keys), function(self.values)


class Cache:
    """Base of caches: one layer object for each decoder layer (guide: internal/generation_utils).

    `update` is what self attention calls. `cross` and `keep_cross` hold the keys and values of an encoder's states,
    which are computed once.
    """

    def __init__(self) -> None:
        self.layers: list[Any] = []
        self.cross_layers: dict[int, tuple[Tensor, Tensor]] = {}

    def _new_layer(self, number: int) -> Any:
        return DynamicLayer()

    def update(
        self, keys: Tensor, values: Tensor, layer: int, cache_kwargs: dict[str, Any] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Add positions to a layer and return all its keys and values [B, G, T, E]."""
        while len(self.layers) <= layer:
            self.layers.append(self._new_layer(len(self.layers)))
        return self.layers[layer].update(keys, values)

    def get_seq_length(self, layer: int = 0) -> int:
        """Positions that a layer has seen."""
        return self.layers[layer].get_seq_length() if layer < len(self.layers) else 0

    def cross(self, layer: int) -> tuple[Tensor, Tensor] | None:
        """Keys and values of the encoder's states, None before they are computed."""
        return self.cross_layers.get(layer)

    def keep_cross(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Keep the encoder's keys and values; gives them back."""
        self.cross_layers[layer] = (keys, values)
        return keys, values

    def reorder_cache(self, beams: Tensor) -> None:
        """Let row i continue what row beams[i] has seen."""
        self._map(lambda x: x.index_select(0, beams.to(x.device)))

    def crop(self, max_length: int) -> None:
        """Keep the first `max_length` positions (a negative number drops that many at the end)."""
        length = max_length if max_length >= 0 else self.get_seq_length() + max_length
        for layer in self.layers:
            layer.map(lambda x: x[..., :length, :])

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row."""
        self._map(lambda x: x.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, rows: Tensor) -> None:
        """Keep only these rows."""
        self._map(lambda x: x[rows])

    def _map(self, function: Any) -> None:
        for layer in self.layers:
            layer.map(function)
        self.cross_layers = {number: (function(k), function(v)) for number, (k, v) in self.cross_layers.items()}

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        return self.layers[number].keys, self.layers[number].values

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self[number] for number in range(len(self)))


class DynamicCache(Cache):
    """A cache that grows with every token; the default."""
