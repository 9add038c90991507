"""Units to one padded batch, and a batch's outputs back to its units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, cat


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Cuts a batch's outputs into those of its units: one row each, sequences without their padding."""

    names: set[str]
    longest: int
    left: bool

    def part(self, name: str, value: Any, row: int, length: int) -> Any:
        """What belongs to the unit at `row`, whose own length is `length`."""
        if isinstance(value, tuple):
            return tuple(self.part(name, item, row, length) for item in value)
        if isinstance(value, list):
            return value[row]
        if not isinstance(value, Tensor) or value.ndim == 0:
            return value
        part = value[row : row + 1]
        if length == self.longest or name not in self.names:
            return part
        return part[:, self.longest - length :] if self.left else part[:, :length]


def length_of(unit: Mapping[str, Any], padded: Mapping[str, Any]) -> int:
    """The length of a unit: that of its first padded input, 0 where it has none."""
    return next((value.shape[1] for name, value in unit.items() if name in padded), 0)


def pad_together(values: list[Tensor], fill: float, side: str) -> Tensor:
    """Tensors [1, T_i, ...] as one [B, max T_i, ...], shorter ones filled at `side`."""
    longest = max(value.shape[1] for value in values)
    if all(value.shape[1] == longest for value in values):
        return cat(values)
    out = values[0].new_full((len(values), longest, *values[0].shape[2:]), fill)
    for row, value in enumerate(values):
        length = value.shape[1]
        if side == "left":
            out[row, longest - length :] = value[0]
        else:
            out[row, :length] = value[0]
    return out
