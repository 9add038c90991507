"""Batches that never lose: look ahead, sort by length, cut by a budget, restore the order.

Items come from a background thread, so that loading overlaps with computing, through a bounded queue: an endless
generator is never read far ahead, and a slow one gets its answers as its items come.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

T = TypeVar("T")
LOOK_AHEAD_BATCHES = 16
"""How many batches' worth of items of different lengths are read before they are sorted."""
MAX_PADDING = 0.25
"""Largest share of padding that a batch may have before a shorter unit starts a new one."""
LINGER_S = 0.005
"""How long a group that is smaller than one batch waits for further items."""
_END = object()


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One forward pass' worth of one item.

    Args:
        item: index of the item in its group.
        inputs: what `preprocess` made.
        cost: tokens, pixels or samples.
        key: units with different keys cannot share a batch.
    """

    item: int
    inputs: Any
    cost: int
    key: Hashable = None


class Source(Iterator[list[T]]):
    """Groups of items: as many as have arrived, at least one, at most `limit`.

    Args:
        items: read in a background thread.
        limit: largest group, and how far the thread reads ahead.
        enough: a group of fewer items waits a moment for more.
    """

    def __init__(self, items: Iterable[T], limit: int, enough: int = 1) -> None:
        self.limit, self.enough = limit, enough
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=limit)
        self._stop = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._read, args=(items,), name="pipeline-reader", daemon=True)
        self._thread.start()

    def _read(self, items: Iterable[T]) -> None:
        try:
            for item in items:
                if not self._put((item, None)):
                    return
            self._put((_END, None))
        except BaseException as error:  # handed to the consumer, which raises it
            self._put((_END, error))

    def _put(self, entry: Any) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def __next__(self) -> list[T]:
        if self._ended:
            raise StopIteration
        group: list[T] = []
        deadline = 0.0
        while len(group) < self.limit:
            patience = None if not group else max(0.0, deadline - time.monotonic()) if len(group) < self.enough else 0.0
            try:
                item, error = self._queue.get(block=patience != 0.0, timeout=patience)
            except queue.Empty:
                break
            deadline = deadline or time.monotonic() + LINGER_S
            if item is _END:
                self._ended = True
                if error is not None and not group:
                    raise error
                if error is not None:
                    self._ended = False
                    self._queue.put((item, error))
                break
            group.append(item)
        if not group:
            raise StopIteration
        return group

    def close(self) -> None:
        """Let the reading thread end."""
        self._stop.set()


def cut(units: Sequence[Unit], batch_size: int, budget: int | None = None) -> list[list[Unit]]:
    """Batches of units of one key and of similar cost, longest first.

    Args:
        units: in any order.
        batch_size: most units in a batch.
        budget: most cost of a batch, padding included; default: what `batch_size` units of twice the median cost take.
    """
    if not units:
        return []
    limit = budget or max(1, int(2 * median(unit.cost for unit in units) * batch_size))
    batches: list[list[Unit]] = []
    open_batches: dict[Hashable, list[Unit]] = {}
    spent: dict[Hashable, int] = {}
    for unit in sorted(units, key=lambda unit: -unit.cost):
        batch = open_batches.get(unit.key)
        if batch is None or not _fits(batch, unit, spent[unit.key], batch_size, limit):
            batch = open_batches[unit.key] = []
            batches.append(batch)
            spent[unit.key] = 0
        batch.append(unit)
        spent[unit.key] += unit.cost
    return batches


def _fits(batch: list[Unit], unit: Unit, spent: int, batch_size: int, limit: int) -> bool:
    rows = len(batch) + 1
    padded = batch[0].cost * rows
    if rows > batch_size or padded > limit:
        return False
    return padded - (spent + unit.cost) <= MAX_PADDING * padded or batch[0].cost <= 8


def run_halving(run: Callable[[list[Unit]], list[Any]], batch: list[Unit]) -> list[Any]:
    """Run a batch; where it does not fit in memory, run its halves.

    Raises:
        The out-of-memory error of a single unit.
    """
    try:
        return run(batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or len(batch) == 1:
            raise
    release_memory()
    middle = len(batch) // 2
    return [*run_halving(run, batch[:middle]), *run_halving(run, batch[middle:])]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a device or the machine ran out of memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def release_memory() -> None:
    """Give cached device memory back."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
