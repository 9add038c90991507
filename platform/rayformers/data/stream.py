"""Batches of a run in training order, for one rank: read in this process, or streamed by Ray Data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import TrainingError
from .collators import collate_columns
from .ordering import MicroBatch, Order, accumulation
from .quiet import quiet
from .shards import ShardedDataset, table_columns, table_rows

ROW = "__row__"
"""Column of row numbers that travels with streamed rows, so that every batch is checked against the plan."""
CHUNK_ROWS = 8192
"""Rows that one reading task fetches."""

Collate = Callable[[list[dict[str, Any]]], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One forward pass: tensors, the share of the global batch, and whether the step ends with it."""

    inputs: Mapping[str, Any]
    micro: MicroBatch
    last: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The micro batches of one rank over a whole run, numbered from 0."""

    order: Order
    world: int
    rank: int
    micro: int

    def _pieces(self, step_in_epoch: int) -> int:
        rows = min(self.order.global_batch, self.order.num_rows - step_in_epoch * self.order.global_batch)
        return accumulation(rows, world=self.world, micro=self.micro)

    @property
    def _per_epoch(self) -> int:
        last = self.order.steps_per_epoch - 1
        return last * self._pieces(0) + self._pieces(last)

    def first(self, step: int) -> int:
        """The number of the first micro batch of global step `step`."""
        epoch, within = divmod(step, self.order.steps_per_epoch)
        return epoch * self._per_epoch + within * self._pieces(0)

    def micro_batches(self, start: int, stop: int) -> Iterator[tuple[MicroBatch, bool]]:
        """Micro batches `start` to `stop`, each with whether it is the last of its step."""
        steps, full = self.order.steps_per_epoch, self._pieces(0)
        while start < stop:
            epoch, index = divmod(start, self._per_epoch)
            within = min(index // full, steps - 1)
            found = self.order.micro_batches(epoch * steps + within, world=self.world, rank=self.rank, micro=self.micro)
            for piece in range(index - within * full, len(found)):
                if start < stop:
                    yield found[piece], piece == len(found) - 1
                    start += 1


@dataclass(frozen=True, kw_only=True)
class ReadChunk:
    """A Ray Data task: chunk numbers to the rows of their micro batches, in order."""

    dataset: ShardedDataset
    plan: Plan
    start: int
    stop: int
    size: int

    def rows(self, chunk: int) -> np.ndarray[Any, Any]:
        """Row numbers of a chunk."""
        low = self.start + chunk * self.size
        found = self.plan.micro_batches(low, min(low + self.size, self.stop))
        return np.concatenate([micro.rows for micro, _ in found])

    def __call__(self, batch: pa.Table) -> pa.Table:
        """A table with a column "id" of chunk numbers to the table of their rows."""
        rows = np.concatenate([self.rows(chunk) for chunk in batch.column("id").to_pylist()])
        return self.dataset.read(rows).append_column(ROW, pa.array(rows))


def stream(
    dataset: Any,
    plan: Plan,
    *,
    first_step: int,
    last_step: int,
    distributed: bool,
    collate: Collate | None = None,
    prefetch: int = 2,
) -> Iterator[Piece]:
    """The pieces of steps `first_step` to `last_step` of one rank.

    Args:
        dataset: a ShardedDataset, or (not distributed) anything with rows by number.
        plan: whose micro batches.
        distributed: True lets Ray Data read ahead on the cluster; the shards must be visible to it.
        collate: rows to tensors; None stacks them.
        prefetch: blocks to fetch ahead.

    Raises:
        TrainingError: the rows that came are not those of the plan.
    """
    start, stop = plan.first(first_step), plan.first(last_step)
    planned = plan.micro_batches(start, stop)
    if not isinstance(dataset, ShardedDataset):
        from .collators import default_data_collator

        for micro, last in planned:
            rows = [dataset[int(row)] for row in micro.rows]
            yield Piece(inputs=(collate or default_data_collator)(rows), micro=micro, last=last)
        return
    size = max(1, CHUNK_ROWS // plan.micro)
    chunks = -(-(stop - start) // size)
    task = ReadChunk(dataset=dataset, plan=plan, start=start, stop=stop, size=size)
    tables = _ray_tables(task, chunks, plan.world, prefetch) if distributed else _tables(task, chunks)
    buffer = _Buffer(tables)
    for micro, last in planned:
        table = buffer.take(len(micro.rows))
        if not np.array_equal(table.column(ROW).to_numpy(), micro.rows):
            raise TrainingError("Ray Data delivered rows out of order; the run stops rather than train on other rows.")
        yield Piece(inputs=_tensors(table, dataset, collate), micro=micro, last=last)


def _tensors(table: pa.Table, dataset: ShardedDataset, collate: Collate | None) -> Mapping[str, Any]:
    columns: Sequence[Any] = dataset.manifest.columns
    return collate_columns(table_columns(table, columns)) if collate is None else collate(table_rows(table, columns))


class _Buffer:
    """Tables of any length to tables of the asked length."""

    def __init__(self, tables: Iterator[pa.Table]) -> None:
        self._tables = tables
        self._rest: pa.Table | None = None

    def take(self, count: int) -> pa.Table:
        parts, missing = [], count
        while missing:
            if self._rest is None or self._rest.num_rows == 0:
                self._rest = next(self._tables, None)
                if self._rest is None:
                    raise TrainingError(f"The row stream ended {missing} rows before its plan.")
            parts.append(self._rest.slice(0, missing))
            self._rest = self._rest.slice(parts[-1].num_rows)
            missing -= parts[-1].num_rows
        return pa.concat_tables(parts)


def _tables(task: ReadChunk, chunks: int) -> Iterator[pa.Table]:
    for chunk in range(chunks):
        yield task(pa.table({"id": [chunk]}))


def _ray_tables(task: ReadChunk, chunks: int, world: int, prefetch: int) -> Iterator[pa.Table]:
    import ray.data

    if chunks == 0:
        return
    with _CONTEXT:
        context = ray.data.DataContext.get_current()
        quiet(context)
        context.execution_options.preserve_order = True  # else blocks come as they finish
        dataset = ray.data.range(chunks, override_num_blocks=min(chunks, 1024)).map_batches(
            task, batch_size=1, batch_format="pyarrow", num_cpus=0.5 / world, zero_copy_batch=True
        )
    yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=prefetch)


_CONTEXT = threading.Lock()
