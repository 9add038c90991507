"""Samplers and shards of the guides' Trainer, for loops of one's own; our loop orders rows by `data.ordering`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed
from torch.utils.data import IterableDataset, Sampler

from ..errors import ConfigError


def get_length_grouped_indices(
    lengths: Sequence[int],
    batch_size: int,
    mega_batch_mult: int | None = None,
    generator: torch.Generator | None = None,
) -> list[int]:
    """A random order in which rows of similar lengths are neighbours; the longest row comes first.

    Args:
        lengths: of the rows.
        batch_size: rows of a batch.
        mega_batch_mult: batches that are sorted together; default: so that there are four such groups at least, at
            most 50.
        generator: of the order.
    """
    if not len(lengths):
        return []
    multiple = mega_batch_mult or max(1, min(len(lengths) // (4 * batch_size), 50))
    order = torch.randperm(len(lengths), generator=generator).tolist()
    size = multiple * batch_size
    groups = [
        sorted(order[start : start + size], key=lambda row: lengths[row], reverse=True)
        for start in range(0, len(order), size)
    ]
    # A batch that does not fit into memory should fail at once, so the longest row goes first.
    longest = max(range(len(groups)), key=lambda number: lengths[groups[number][0]])
    groups[0][0], groups[longest][0] = groups[longest][0], groups[0][0]
    return [row for group in groups for row in group]


def _lengths(dataset: Any, lengths: Any, model_input_name: str | None) -> list[int]:
    if lengths is not None:
        return lengths.tolist() if isinstance(lengths, torch.Tensor) else list(lengths)
    if dataset is None:
        raise ConfigError("A sampler that groups by length needs a dataset or its lengths.")
    name = model_input_name or "input_ids"
    if not hasattr(dataset[0], "keys") or name not in dataset[0]:
        raise ConfigError(f"Rows have no {name!r} to take lengths from. Pass lengths, or model_input_name.")
    return [len(row[name]) for row in dataset]


class LengthGroupedSampler(Sampler[int]):
    """Every row once, by `get_length_grouped_indices`, in another order in every epoch.

    Args:
        batch_size: rows of a batch.
        dataset: rows as mappings, where no `lengths` are given.
        lengths: of the rows.
        model_input_name: what has the length; default "input_ids".
        generator: of the order.

    Raises:
        ConfigError: lengths are neither given nor to be had.
    """

    def __init__(
        self,
        batch_size: int,
        dataset: Any = None,
        lengths: Sequence[int] | torch.Tensor | None = None,
        model_input_name: str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        self.batch_size = batch_size
        self.lengths = _lengths(dataset, lengths, model_input_name)
        self.generator = generator

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=self.generator))


def _ranks(num_replicas: int | None, rank: int | None) -> tuple[int, int]:
    if num_replicas is not None and rank is not None:
        return num_replicas, rank
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        raise ConfigError("Without a process group, pass num_replicas and rank.")
    world, own = torch.distributed.get_world_size(), torch.distributed.get_rank()
    return (world if num_replicas is None else num_replicas), (own if rank is None else rank)


class DistributedLengthGroupedSampler(Sampler[int]):
    """A rank's part of `LengthGroupedSampler`; all ranks have as many rows, the first ones repeated to fill up.

    Args:
        batch_size, dataset, lengths, model_input_name: as for `LengthGroupedSampler`.
        num_replicas, rank: of the process group by default.
        seed: of the order, which also depends on `set_epoch`.
        drop_last: leave rows out rather than repeat some.
    """

    def __init__(
        self,
        batch_size: int,
        dataset: Any = None,
        num_replicas: int | None = None,
        rank: int | None = None,
        seed: int = 0,
        drop_last: bool = False,
        lengths: Sequence[int] | torch.Tensor | None = None,
        model_input_name: str | None = None,
    ) -> None:
        self.batch_size, self.seed, self.drop_last, self.epoch = batch_size, seed, drop_last, 0
        self.num_replicas, self.rank = _ranks(num_replicas, rank)
        self.lengths = _lengths(dataset, lengths, model_input_name)
        share = len(self.lengths) / self.num_replicas
        self.num_samples = math.floor(share) if drop_last else math.ceil(share)
        self.total_size = self.num_samples * self.num_replicas

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the order depends on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = get_length_grouped_indices(self.lengths, self.batch_size, generator=generator)
        return iter(_filled(order, self.total_size)[self.rank :: self.num_replicas])


def _filled(rows: list[Any], total: int) -> list[Any]:
    """Exactly `total` rows: the first ones again where there are too few."""
    if rows and len(rows) < total:
        rows = rows * math.ceil(total / len(rows))
    return rows[:total]


class SequentialDistributedSampler(Sampler[int]):
    """A rank's consecutive rows, for evaluations whose results are put in order by `DistributedTensorGatherer`."""

    def __init__(
        self, dataset: Any, num_replicas: int | None = None, rank: int | None = None, batch_size: int | None = None
    ) -> None:
        self.dataset, self.batch_size = dataset, batch_size
        self.num_replicas, self.rank = _ranks(num_replicas, rank)
        unit = batch_size or 1
        self.num_samples = math.ceil(len(dataset) / (unit * self.num_replicas)) * unit
        self.total_size = self.num_samples * self.num_replicas

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        rows = _filled(list(range(len(self.dataset))), self.total_size)
        return iter(rows[self.rank * self.num_samples : (self.rank + 1) * self.num_samples])


class ShardSampler(Sampler[int]):
    """Every process takes its batch of each round, in the order of the data set; the first rows fill the last round.

    Args:
        dataset: with a length.
        batch_size: rows of a batch of one process.
        drop_last: leave an incomplete round out.
        num_processes, process_index: which process this is of how many.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        drop_last: bool = False,
        num_processes: int = 1,
        process_index: int = 0,
    ) -> None:
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.num_processes, self.process_index = num_processes, process_index
        self.total_batch_size = batch_size * num_processes
        rounds = len(dataset) / self.total_batch_size
        self.total_num_samples = (math.floor(rounds) if drop_last else math.ceil(rounds)) * self.total_batch_size

    def __len__(self) -> int:
        return self.total_num_samples // self.num_processes

    def __iter__(self) -> Iterator[int]:
        rows = _filled(list(range(len(self.dataset))), self.total_num_samples)
        for start in range(self.process_index * self.batch_size, len(rows), self.total_batch_size):
            yield from rows[start : start + self.batch_size]


class IterableDatasetShard(IterableDataset[Any]):
    """What one process takes of an iterable data set: its batch of each round of all processes.

    The last round is filled up with the rows of the first. A data set with a `set_epoch` is told the epoch; one with a
    `generator` has it seeded with `seed` and the epoch, so that all processes see the same order.

    Args:
        dataset: the same on all processes.
        batch_size: rows of a batch of one process.
        drop_last: leave an incomplete round out.
        num_processes, process_index: which process this is of how many.
        seed: for the data set's generator.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        drop_last: bool = False,
        num_processes: int = 1,
        process_index: int = 0,
        seed: int = 0,
    ) -> None:
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.num_processes, self.process_index, self.seed = num_processes, process_index, seed
        self.epoch = 0
        self.num_examples = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch, passed on to the data set."""
        self.epoch = epoch
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        self.num_examples = 0
        generator = getattr(self.dataset, "generator", None)
        if isinstance(generator, torch.Generator) and not hasattr(self.dataset, "set_epoch"):
            generator.manual_seed(self.seed + self.epoch)
        size = self.batch_size * self.num_processes
        own = slice(self.process_index * self.batch_size, (self.process_index + 1) * self.batch_size)
        first: list[Any] = []
        rows: list[Any] = []
        for row in self.dataset:
            self.num_examples += 1
            rows.append(row)
            if len(rows) == size:
                yield from rows[own]
                first = first or rows
                rows = []
        if rows and not self.drop_last:
            yield from _filled(rows + _filled(first or rows, size), size)[own]

    def __len__(self) -> int:
        rounds = len(self.dataset) / (self.batch_size * self.num_processes)
        return (math.floor(rounds) if self.drop_last else math.ceil(rounds)) * self.batch_size
