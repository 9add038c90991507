"""Random choices for collators, by torch or by numpy, from the global generators or from one with a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from ..errors import InputError

Item = TypeVar("Item")


class Draws(Protocol):
    """What collators ask of a library of arrays."""

    def copy(self, values: Any) -> Any:
        """A copy."""

    def booleans(self, values: Any) -> Any:
        """An array of booleans."""

    def shares(self, share: float, shape: Sequence[int], never: Any) -> Any:
        """An array of probabilities: 0 where `never`, `share` elsewhere."""

    def chance(self, share: Any, shape: Sequence[int]) -> Any:
        """Booleans that are true with a probability, one for all or an array of them."""

    def words(self, size: int, where: Any, everywhere: bool) -> Any:
        """Numbers below `size` for the places `where`; `everywhere` draws for all places and keeps those."""

    def below(self, low: int, high: int) -> int:
        """A number from `low` to `high` - 1."""

    def shuffled(self, items: list[Item]) -> list[Item]:
        """The items in another order."""


class TorchDraws:
    """Draws with torch."""

    def __init__(self, seed: int | None) -> None:
        self.generator = None if seed is None else torch.Generator().manual_seed(seed)

    def copy(self, values: Any) -> Any:
        return values.clone()

    def booleans(self, values: Any) -> Any:
        return torch.as_tensor(values).bool()

    def shares(self, share: float, shape: Sequence[int], never: Any) -> Any:
        return torch.full(tuple(shape), float(share)).masked_fill_(never, 0.0)

    def chance(self, share: Any, shape: Sequence[int]) -> Any:
        shares = share if isinstance(share, torch.Tensor) else torch.full(tuple(shape), float(share))
        return torch.bernoulli(shares, generator=self.generator).bool()

    def words(self, size: int, where: Any, everywhere: bool) -> Any:
        return torch.randint(size, where.shape, dtype=torch.long, generator=self.generator)[where]

    def below(self, low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=self.generator).item())

    def shuffled(self, items: list[Item]) -> list[Item]:
        return [items[int(place)] for place in torch.randperm(len(items), generator=self.generator)]


class NumpyDraws:
    """Draws with numpy."""

    def __init__(self, seed: int | None) -> None:
        self.generator = None if seed is None else np.random.default_rng(seed)

    def copy(self, values: Any) -> Any:
        return np.copy(values)

    def booleans(self, values: Any) -> Any:
        return np.asarray(values).astype(bool)

    def shares(self, share: float, shape: Sequence[int], never: Any) -> Any:
        return np.where(never, 0.0, float(share))

    def chance(self, share: Any, shape: Sequence[int]) -> Any:
        source: Any = self.generator or np.random
        return source.binomial(1, share, size=tuple(shape)).astype(bool)

    def words(self, size: int, where: Any, everywhere: bool) -> Any:
        shape = where.shape if everywhere else int(np.count_nonzero(where))
        if self.generator is None:
            numbers = np.random.randint(0, size, size=shape, dtype=np.int64)
        else:
            numbers = self.generator.integers(0, size, size=shape, dtype=np.int64)
        return numbers[where] if everywhere else numbers

    def below(self, low: int, high: int) -> int:
        return int(np.random.randint(low, high) if self.generator is None else self.generator.integers(low, high))

    def shuffled(self, items: list[Item]) -> list[Item]:
        order = (self.generator or np.random).permutation(len(items))
        return [items[int(place)] for place in order]


def worker_number() -> int | None:
    """The number of the loader's worker that this process is, None outside of one."""
    worker = torch.utils.data.get_worker_info()
    return None if worker is None else int(worker.id)


def draws_for(kind: str, seed: int | None) -> Draws:
    """Draws for "pt" or "np"; a loader's worker adds its number to the seed, so that workers differ.

    Raises:
        InputError: another kind.
    """
    kinds: dict[str, type[TorchDraws] | type[NumpyDraws]] = {"pt": TorchDraws, "np": NumpyDraws}
    if kind not in kinds:
        raise InputError(f"return_tensors is {kind!r}; allowed: 'pt', 'np'.")
    return kinds[kind](None if seed is None else seed + (worker_number() or 0))
