"""Batches by budget: requests that wait together are sorted by cost and cut so that a forward pass fits its budget.

The batcher never waits for nobody: it lingers (at most `max_wait_s`) only while requests are announced that have not
arrived yet, so that a lone request pays no waiting and a crowd fills batches.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import InputTooLargeError


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits of one batch. A batch costs its rows times its most expensive row, as a padded batch does."""

    max_rows: int = 32
    max_cost: int | None = None
    max_wait_s: float = 0.005

    def allows(self, rows: int, row_cost: int) -> bool:
        """Whether `rows` inputs, the most expensive of which costs `row_cost`, make one batch. One row always does."""
        if rows <= 1:
            return True
        return rows <= self.max_rows and (self.max_cost is None or rows * row_cost <= self.max_cost)


class BatchObserver(Protocol):
    """What the batcher reports."""

    def queued(self, seconds: float) -> None: ...
    def computed(self, seconds: float, rows: int, cost: int) -> None: ...
    def out_of_memory(self, rows: int) -> None: ...


@dataclass(kw_only=True)
class Waiting:
    """One input that waits for its forward pass."""

    item: Any
    cost: int
    group: Hashable
    answer: asyncio.Future[Any]
    since_s: float = field(default_factory=time.perf_counter)

    @property
    def dropped(self) -> bool:
        """Whether nobody waits for the answer any more (cancelled: deadline, disconnect)."""
        return self.answer.done()


def cut(waiting: Sequence[Waiting], budget: Budget) -> list[list[Waiting]]:
    """Batches of inputs of one group and like cost within `budget`; the batch with the oldest input comes first."""
    batches: list[list[Waiting]] = []
    groups: dict[Hashable, list[Waiting]] = {}
    for one in waiting:
        groups.setdefault(one.group, []).append(one)
    for members in groups.values():
        batch: list[Waiting] = []
        for one in sorted(members, key=lambda member: member.cost):
            # Costs ascend, so the newcomer is the most expensive row.
            if batch and not budget.allows(len(batch) + 1, one.cost):
                batches.append(batch)
                batch = []
            batch.append(one)
        batches.append(batch)
    return sorted(batches, key=lambda batch: min(one.since_s for one in batch))


class BudgetBatcher:
    """Collects inputs from many requests and computes them together, one batch at a time.

    Args:
        compute: a blocking function from a list of inputs of one group to as many outputs.
        budget: limits of one batch; may be replaced at any time.
        executor: where `compute` runs; a single thread, as a model computes one batch at a time.
        observer: told of waiting and computing times.
    """

    def __init__(
        self, compute: Callable[[list[Any]], list[Any]], budget: Budget, executor: Executor, observer: BatchObserver
    ) -> None:
        self.budget = budget
        self._compute = compute
        self._executor = executor
        self._observer = observer
        self._waiting: list[Waiting] = []
        self._announced = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def queue_length(self) -> int:
        """Inputs that wait for a forward pass."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """False when the batching loop has ended by an error, after which no request would be answered."""
        return self._task is None or not self._task.done()

    @contextlib.contextmanager
    def announce(self) -> Iterator[None]:
        """While entered, an input is on its way here (being read or preprocessed) and worth waiting for."""
        self._announced += 1
        try:
            yield
        finally:
            self._announced -= 1
            self._changed.set()

    async def submit(self, item: Any, *, cost: int, group: Hashable = None) -> Any:
        """The output for `item`. Cancelling drops the input if its batch has not started.

        Raises:
            InputTooLargeError: the input alone does not fit into memory.
            Exception: what `compute` raised for this input alone; neighbours are not affected.
        """
        self._ensure_running()
        one = Waiting(item=item, cost=cost, group=group, answer=asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        self._changed.set()
        return await one.answer

    def _ensure_running(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="rayformers-batcher")

    async def close(self) -> None:
        """End the loop; inputs still waiting are cancelled."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for one in self._waiting:
            one.answer.cancel()
        self._waiting.clear()

    async def _run(self) -> None:
        while True:
            await self._gather()
            taken, self._waiting = self._waiting, []
            try:
                await self._drain(taken)
            finally:
                for one in taken:
                    one.answer.cancel()  # does nothing to an answer that was given

    async def _drain(self, taken: Sequence[Waiting]) -> None:
        """Compute everything taken before more is looked at, so that no input can be overtaken for ever."""
        for batch in cut(taken, self.budget):
            now_s = time.perf_counter()
            alive = [one for one in batch if not one.dropped]
            for one in alive:
                self._observer.queued(now_s - one.since_s)
            if alive:
                await self._answer(alive)

    async def _gather(self) -> None:
        """Return once something waits and either nothing more is on its way, a batch is full, or the wait is over."""
        while not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        deadline_s = self._waiting[0].since_s + self.budget.max_wait_s
        while self._announced and self._fits_more() and (left_s := deadline_s - time.perf_counter()) > 0:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left_s)

    def _fits_more(self) -> bool:
        return self.budget.allows(len(self._waiting) + 1, max(one.cost for one in self._waiting))

    async def _answer(self, batch: list[Waiting]) -> None:
        """Compute `batch`; halve it when memory runs out, and part it when one input spoils it for the others."""
        loop = asyncio.get_running_loop()
        start_s = time.perf_counter()
        try:
            outputs = await loop.run_in_executor(self._executor, self._compute, [one.item for one in batch])
            if len(outputs) != len(batch):
                raise RuntimeError(f"the model gave {len(outputs)} outputs for {len(batch)} inputs")
        except Exception as error:
            await self._recover(batch, error)
            return
        self._observer.computed(time.perf_counter() - start_s, len(batch), len(batch) * max(one.cost for one in batch))
        for one, output in zip(batch, outputs, strict=True):
            if not one.dropped:
                one.answer.set_result(output)

    async def _recover(self, batch: list[Waiting], error: Exception) -> None:
        from ..pipelines.batching import is_out_of_memory, release_memory

        exhausted = is_out_of_memory(error)
        if exhausted:
            self._observer.out_of_memory(len(batch))
            release_memory()
        if len(batch) == 1:
            if exhausted:
                error = InputTooLargeError(
                    f"The input (cost {batch[0].cost}) does not fit into the endpoint's memory. Send a smaller one."
                )
            if not batch[0].dropped:
                batch[0].answer.set_exception(error)
            return
        middle = len(batch) // 2
        parts = [batch[:middle], batch[middle:]] if exhausted else [[one] for one in batch]
        for part in parts:
            if alive := [one for one in part if not one.dropped]:
                await self._answer(alive)
