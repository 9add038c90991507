"""The order of rows is a pure function, and the world size only divides it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rayformers.data.ordering import Order, accumulation, cut
from rayformers.data.stream import Plan

orders = st.builds(
    Order,
    shard_rows=st.lists(st.integers(1, 30), min_size=1, max_size=6).map(tuple),
    global_batch=st.integers(1, 20),
    seed=st.integers(0, 5),
    shuffle=st.booleans(),
    window_rows=st.sampled_from([1, 16, 1 << 17]),
)


@given(order=orders, epoch=st.integers(0, 3))
def test_an_epoch_has_every_row_once(order: Order, epoch: int) -> None:
    assert sorted(order.epoch(epoch)) == list(range(order.num_rows))


@given(order=orders, step=st.integers(0, 40), world=st.integers(1, 5), micro=st.integers(1, 7))
def test_a_step_has_the_same_rows_on_any_number_of_workers(order: Order, step: int, world: int, micro: int) -> None:
    ranks = [order.micro_batches(step, world=world, rank=rank, micro=micro) for rank in range(world)]
    trained = [row for pieces in ranks for piece in pieces if piece.weight for row in piece.rows]
    assert trained == order.batch(step).tolist()
    assert len({len(pieces) for pieces in ranks}) == 1, "ranks exchange gradients equally often"
    assert all(1 <= len(piece.rows) <= micro for pieces in ranks for piece in pieces)
    assert sum(piece.weight for pieces in ranks for piece in pieces) == pytest.approx(1.0)


@settings(max_examples=60)
@given(
    order=orders, world=st.integers(1, 4), micro=st.integers(1, 7), first=st.integers(0, 12), more=st.integers(0, 12)
)
def test_a_plan_can_start_anywhere(order: Order, world: int, micro: int, first: int, more: int) -> None:
    plan = Plan(order=order, world=world, rank=world - 1, micro=micro)
    expected = [
        (piece.rows.tolist(), index == len(pieces) - 1)
        for step in range(first, first + more)
        for pieces in [order.micro_batches(step, world=world, rank=world - 1, micro=micro)]
        for index, piece in enumerate(pieces)
    ]
    found = plan.micro_batches(plan.first(first), plan.first(first + more))
    assert [(micro_batch.rows.tolist(), last) for micro_batch, last in found] == expected


def test_epochs_and_seeds_differ_and_shards_do_not_matter() -> None:
    one = Order(shard_rows=(100,), global_batch=10, seed=1)
    many = Order(shard_rows=(10,) * 10, global_batch=10, seed=1)
    assert np.array_equal(one.epoch(3), many.epoch(3))
    assert not np.array_equal(one.epoch(0), one.epoch(1))
    assert not np.array_equal(one.epoch(0), Order(shard_rows=(100,), global_batch=10, seed=2).epoch(0))


def test_a_golden_order() -> None:
    """A change here breaks the resumption of every run that was saved before."""
    assert Order(shard_rows=(4, 4), global_batch=4, seed=42).epoch(0).tolist() == GOLDEN


GOLDEN = [2, 1, 5, 3, 7, 0, 6, 4]


def test_windows_open_few_shards_at_a_time() -> None:
    order = Order(shard_rows=(10,) * 10, global_batch=10, seed=3, window_rows=20)
    for start in range(0, 100, 20):
        assert len({row // 10 for row in order.epoch(0)[start : start + 20]}) == 2


def test_drop_last() -> None:
    order = Order(shard_rows=(10,), global_batch=4, drop_last=True)
    assert order.steps_per_epoch == 2
    assert order.samples_before(2) == 8
    assert order.samples_before(5) == 20
    assert Order(shard_rows=(10,), global_batch=4).samples_before(5) == 10 + 8


def test_accumulation_keeps_the_global_batch() -> None:
    assert [accumulation(64, world=world, micro=32) for world in (1, 2, 3, 4)] == [2, 1, 1, 1]
    pieces = [cut(np.arange(64), world=3, rank=rank, micro=8) for rank in range(3)]
    assert [sum(len(piece.rows) for piece in own) for own in pieces] == [21, 21, 22]
