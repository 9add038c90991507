"""The batcher's promises: budgets hold, nobody is lost, nobody pays for a neighbour."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rayformers.errors import InputTooLargeError
from rayformers.serving.batching import Budget, BudgetBatcher, Waiting, cut


class Observer:
    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        self.waits_s: list[float] = []
        self.exhausted: list[int] = []

    def queued(self, seconds: float) -> None:
        self.waits_s.append(seconds)

    def computed(self, seconds: float, rows: int, cost: int) -> None:
        self.batches.append((rows, cost))

    def out_of_memory(self, rows: int) -> None:
        self.exhausted.append(rows)


def run(scenario: Any, compute: Any, budget: Budget) -> tuple[Any, Observer]:
    """Run `scenario(batcher)` with a fresh batcher; its result and what the observer saw."""
    observer = Observer()

    async def main() -> Any:
        with ThreadPoolExecutor(1) as executor:
            batcher = BudgetBatcher(compute, budget, executor, observer)
            try:
                return await scenario(batcher)
            finally:
                await batcher.close()

    return asyncio.run(main()), observer


def waiting_of(costs: list[int], groups: list[int]) -> list[Waiting]:
    loop = asyncio.new_event_loop()
    try:
        return [
            Waiting(item=index, cost=cost, group=group, answer=loop.create_future(), since_s=index)
            for index, (cost, group) in enumerate(zip(costs, groups, strict=True))
        ]
    finally:
        loop.close()


@settings(max_examples=200, deadline=None)
@given(
    costs=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    max_rows=st.integers(1, 9),
    max_cost=st.one_of(st.none(), st.integers(1, 120)),
    data=st.data(),
)
def test_cut_keeps_everything_within_budget(costs: list[int], max_rows: int, max_cost: int | None, data: Any) -> None:
    groups = data.draw(st.lists(st.integers(0, 2), min_size=len(costs), max_size=len(costs)))
    budget = Budget(max_rows=max_rows, max_cost=max_cost)
    batches = cut(waiting_of(costs, groups), budget)
    assert sorted(one.item for batch in batches for one in batch) == list(range(len(costs)))
    for batch in batches:
        assert len({one.group for one in batch}) == 1
        assert len(batch) <= max_rows
        if len(batch) > 1 and max_cost is not None:
            assert len(batch) * max(one.cost for one in batch) <= max_cost
    oldest = [min(one.since_s for one in batch) for batch in batches]
    assert oldest == sorted(oldest)


def test_requests_that_arrive_together_share_batches() -> None:
    async def scenario(batcher: BudgetBatcher) -> list[int]:
        with batcher.announce():
            return await asyncio.gather(*(batcher.submit(value, cost=1) for value in range(20)))

    answers, observer = run(scenario, lambda items: [item * 2 for item in items], Budget(max_rows=8))
    assert answers == [value * 2 for value in range(20)]
    assert sorted(rows for rows, _ in observer.batches) == [4, 8, 8]


def test_a_lone_request_does_not_wait() -> None:
    async def scenario(batcher: BudgetBatcher) -> float:
        start_s = time.perf_counter()
        await batcher.submit(1, cost=1)
        return time.perf_counter() - start_s

    seconds, _ = run(scenario, lambda items: items, Budget(max_wait_s=1.0))
    assert seconds < 0.5


def test_the_batch_waits_for_an_announced_request() -> None:
    async def scenario(batcher: BudgetBatcher) -> None:
        async def late() -> None:
            with batcher.announce():
                await asyncio.sleep(0.05)
            await batcher.submit(2, cost=1)

        later = asyncio.create_task(late())
        await asyncio.sleep(0)
        await asyncio.gather(batcher.submit(1, cost=1), later)

    _, observer = run(scenario, lambda items: items, Budget(max_wait_s=5.0))
    assert observer.batches == [(2, 2)]


def test_the_wait_for_an_announced_request_ends() -> None:
    async def scenario(batcher: BudgetBatcher) -> float:
        with batcher.announce():
            start_s = time.perf_counter()
            await batcher.submit(1, cost=1)
            return time.perf_counter() - start_s

    seconds, observer = run(scenario, lambda items: items, Budget(max_wait_s=0.05))
    assert 0.04 < seconds < 1.0
    assert observer.batches == [(1, 1)]


def test_one_bad_input_fails_alone() -> None:
    def compute(items: list[int]) -> list[int]:
        if 3 in items:
            raise ValueError("three is bad")
        return items

    async def scenario(batcher: BudgetBatcher) -> list[Any]:
        with batcher.announce():
            return await asyncio.gather(*(batcher.submit(value, cost=1) for value in range(6)), return_exceptions=True)

    answers, _ = run(scenario, compute, Budget(max_rows=6))
    assert [answer for answer in answers if isinstance(answer, int)] == [0, 1, 2, 4, 5]
    assert isinstance(answers[3], ValueError)


def test_out_of_memory_halves_until_it_fits() -> None:
    def compute(items: list[int]) -> list[int]:
        if len(items) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return items

    async def scenario(batcher: BudgetBatcher) -> list[int]:
        with batcher.announce():
            return await asyncio.gather(*(batcher.submit(value, cost=1) for value in range(8)))

    answers, observer = run(scenario, compute, Budget(max_rows=8))
    assert answers == list(range(8))
    assert observer.exhausted == [8, 4, 4]
    assert [rows for rows, _ in observer.batches] == [2, 2, 2, 2]


def test_one_input_that_never_fits_is_too_large() -> None:
    def compute(items: list[int]) -> list[int]:
        raise MemoryError

    async def scenario(batcher: BudgetBatcher) -> None:
        await batcher.submit("picture", cost=77)

    with pytest.raises(InputTooLargeError, match="77"):
        run(scenario, compute, Budget())


def test_a_cancelled_request_is_not_computed() -> None:
    started, release = threading.Event(), threading.Event()
    computed: list[int] = []

    def compute(items: list[int]) -> list[int]:
        computed.extend(items)
        started.set()
        release.wait(5)
        return items

    async def scenario(batcher: BudgetBatcher) -> int:
        first = asyncio.create_task(batcher.submit(1, cost=1))
        await asyncio.to_thread(started.wait, 5)
        second = asyncio.create_task(batcher.submit(2, cost=1))
        third = asyncio.create_task(batcher.submit(3, cost=1))
        await asyncio.sleep(0.01)
        second.cancel()
        release.set()
        await first
        return await third

    answer, _ = run(scenario, compute, Budget())
    assert answer == 3
    assert computed == [1, 3]


def test_a_wrong_number_of_outputs_is_an_error_and_not_a_mix_up() -> None:
    async def scenario(batcher: BudgetBatcher) -> None:
        await batcher.submit(1, cost=1)

    with pytest.raises(RuntimeError, match="2 outputs for 1 input"):
        run(scenario, lambda items: [*items, 0], Budget())


def test_closing_answers_nobody_and_hangs_nobody() -> None:
    async def main() -> None:
        release = threading.Event()
        with ThreadPoolExecutor(1) as executor:
            batcher = BudgetBatcher(lambda items: release.wait(5) and items, Budget(), executor, Observer())
            tasks = [asyncio.create_task(batcher.submit(value, cost=1)) for value in range(3)]
            await asyncio.sleep(0.05)
            await batcher.close()
            release.set()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results)

    asyncio.run(main())
