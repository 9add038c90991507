"""The order of training rows, a pure function of (seed, epoch, step, row counts).

An epoch is one permutation of all rows, cut into global batches. World size and rank only decide which part of a
global batch a process takes, so that a run continues on another number of workers with the same rows at each step.

Rows are shuffled inside windows of whole shards, and the shards are shuffled too, so that a reader opens few shards
at a time. A dataset that fits one window (the usual case) is shuffled uniformly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

WINDOW_ROWS = 1 << 17
"""Rows that are shuffled together."""


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """The rows of one forward pass on one rank.

    `weight` is the rows' share of the global batch: the weights of a step add up to 1 over all ranks and micro
    batches, so that the sum of weighted mean losses is the mean over the global batch. It is 0 for a row that only
    keeps a rank without rows of its own in step with the others.
    """

    rows: Rows
    weight: float


@dataclass(frozen=True, kw_only=True)
class Order:
    """Which rows are trained on at each step.

    Args:
        shard_rows: rows of each shard.
        global_batch: rows of one optimizer step over all ranks.
        seed: the seed of all permutations.
        shuffle: False keeps the rows in their stored order.
        drop_last: leave out the last, smaller batch of an epoch.
        window_rows: rows that are shuffled together, at least one shard.
    """

    shard_rows: tuple[int, ...]
    global_batch: int
    seed: int = 42
    shuffle: bool = True
    drop_last: bool = False
    window_rows: int = WINDOW_ROWS

    @property
    def num_rows(self) -> int:
        """Rows of the dataset."""
        return sum(self.shard_rows)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one epoch, at least 1 for a dataset that has rows."""
        whole, rest = divmod(self.num_rows, self.global_batch)
        return max(whole, min(1, rest)) if self.drop_last else whole + (rest > 0)

    def epoch(self, epoch: int) -> Rows:
        """The row numbers of an epoch in training order: [num_rows] int64."""
        return _permutation(self.shard_rows, self.seed, epoch, self.shuffle, self.window_rows)

    def batch(self, step: int) -> Rows:
        """The row numbers of the global batch at global step `step` (from 0)."""
        epoch, within = divmod(step, self.steps_per_epoch)
        return self.epoch(epoch)[within * self.global_batch : (within + 1) * self.global_batch]

    def samples_before(self, step: int) -> int:
        """Rows trained on before global step `step`."""
        epoch, within = divmod(step, self.steps_per_epoch)
        per_epoch = min(self.num_rows, self.steps_per_epoch * self.global_batch) if self.drop_last else self.num_rows
        return epoch * per_epoch + within * self.global_batch

    def micro_batches(self, step: int, *, world: int, rank: int, micro: int) -> list[MicroBatch]:
        """What `rank` of `world` does at a step, in forward passes of at most `micro` rows.

        All ranks get the same number of micro batches, because gradients are exchanged after the last one.
        """
        return cut(self.batch(step), world=world, rank=rank, micro=micro)


def cut(batch: Rows, *, world: int, rank: int, micro: int) -> list[MicroBatch]:
    """One rank's part of a global batch, in pieces of at most `micro` rows."""
    count = len(batch)
    start, stop = rank * count // world, (rank + 1) * count // world
    own = batch[start:stop]
    pieces = accumulation(count, world=world, micro=micro)
    bounds = [index * len(own) // pieces for index in range(pieces + 1)]
    parts = [own[low:high] for low, high in pairwise(bounds)]
    return [
        MicroBatch(rows=part, weight=len(part) / count) if len(part) else MicroBatch(rows=batch[:1], weight=0.0)
        for part in parts
    ]


def accumulation(global_batch: int, *, world: int, micro: int) -> int:
    """Forward passes per optimizer step on each rank."""
    per_rank = -(-global_batch // world)
    return -(-per_rank // micro)


@lru_cache(maxsize=4)
def _permutation(shard_rows: tuple[int, ...], seed: int, epoch: int, shuffle: bool, window_rows: int) -> Rows:
    total = sum(shard_rows)
    if not shuffle:
        return np.arange(total, dtype=np.int64)
    shards, generator = (np.random.Generator(np.random.PCG64([seed, epoch, use])) for use in (0, 1))
    offsets = np.concatenate([[0], np.cumsum(shard_rows)]).astype(np.int64)
    pieces = []
    for window in _windows(shards.permutation(len(shard_rows)).tolist(), shard_rows, window_rows):
        # Shards of a window go back to stored order: only which shards meet in a window is left to chance, and a
        # dataset of one window has the same order however it was cut into shards.
        rows = np.concatenate([np.arange(offsets[shard], offsets[shard + 1]) for shard in sorted(window)])
        pieces.append(generator.permutation(rows))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)


def _windows(shards: Sequence[int], shard_rows: Sequence[int], window_rows: int) -> Iterator[list[int]]:
    window: list[int] = []
    filled = 0
    for shard in shards:
        if window and filled + shard_rows[shard] > window_rows:
            yield window
            window, filled = [], 0
        window.append(shard)
        filled += shard_rows[shard]
    if window:
        yield window
