"""Batches: the same answers as one by one, bounded look-ahead, halving, and no waiting for a slow source."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pipelines.samples import KINDS, example, sentence, text_pipeline

from rayformers import ChunkPipeline, PipelineException
from rayformers.errors import InputError
from rayformers.pipelines import batching
from rayformers.pipelines.batching import Source, Unit, cut, run_halving


def assert_close(found: Any, wanted: Any, place: str = "answer") -> None:
    """Equal, numbers within 1e-4."""
    assert type(found) is type(wanted), place
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), place
        for name in wanted:
            assert_close(found[name], wanted[name], f"{place}.{name}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), place
        for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert_close(one, other, f"{place}[{number}]")
    elif isinstance(wanted, (float, np.floating)):
        assert abs(found - wanted) <= 1e-4, f"{place}: {found} != {wanted}"
    else:
        assert found == wanted, place


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 500)), min_size=1, max_size=9),
    batch_size=st.integers(2, 12),
)
def test_answers_do_not_depend_on_the_batch(kind: str, lengths: list[tuple[int, int]], batch_size: int) -> None:
    pipe = text_pipeline(kind)
    options = {"truncation": True} if kind in CUT_ON_REQUEST else {}
    most = 25 if kind == "fill-mask" or kind.startswith("text-generation") else 60  # these are not cut
    inputs = [example(kind, min(words, most), start) for words, start in lengths]
    alone = [pipe(one, **options) for one in inputs]
    together = pipe(inputs, batch_size=batch_size, **options)
    one_by_one = pipe(inputs, **options)
    if len(inputs) > 1:
        assert_close(together, one_by_one)
        streamed = list(pipe((one for one in inputs), batch_size=batch_size, **options))
        flat = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in alone]
        got = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in streamed]
        assert_close(got, flat)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith(("text", "feature"))])
def test_empty_texts_among_others(kind: str) -> None:
    pipe = text_pipeline(kind)
    inputs = ["", sentence(3), "", "\u2028"]
    assert_close(pipe(inputs, batch_size=4), pipe(inputs))


CUT_ON_REQUEST = (
    "text-classification", "feature-extraction", "text2text-generation", "summarization", "translation"
)  # fmt: skip


def test_the_order_is_that_of_the_inputs() -> None:
    pipe = text_pipeline("feature-extraction")
    texts = [sentence(1 + 37 * number % 50, number) for number in range(40)]
    tokens = [len(pipe.tokenizer(text)["input_ids"]) for text in texts]
    assert [len(answer[0]) for answer in pipe(texts, batch_size=8)] == tokens


units = st.lists(st.tuples(st.integers(1, 400), st.sampled_from("ab")), max_size=60)


@given(units, st.integers(1, 16), st.one_of(st.none(), st.integers(1, 2000)))
def test_batches_are_a_partition_within_bounds(
    costs: list[tuple[int, str]], batch_size: int, budget: int | None
) -> None:
    made = [Unit(item=number, inputs=None, cost=cost, key=key) for number, (cost, key) in enumerate(costs)]
    batches = cut(made, batch_size, budget)
    assert sorted(unit.item for batch in batches for unit in batch) == list(range(len(made)))
    for batch in batches:
        assert len({unit.key for unit in batch}) == 1
        assert len(batch) <= batch_size
        longest = max(unit.cost for unit in batch)
        if budget is not None and len(batch) > 1:
            assert longest * len(batch) <= budget
        if len(batch) > 1 and longest > 8:
            padding = longest * len(batch) - sum(unit.cost for unit in batch)
            assert padding <= batching.MAX_PADDING * longest * len(batch)


def test_equal_texts_fill_their_batches() -> None:
    made = [Unit(item=number, inputs=None, cost=6) for number in range(640)]
    assert [len(batch) for batch in cut(made, 64)] == [64] * 10


def test_one_long_text_is_not_padded_to_by_short_ones() -> None:
    made = [Unit(item=number, inputs=None, cost=600 if number % 64 == 0 else 6) for number in range(640)]
    computed = sum(max(unit.cost for unit in batch) * len(batch) for batch in cut(made, 64))
    assert computed < 1.1 * sum(unit.cost for unit in made)


class Small:
    """A model with room for so many rows: a larger batch really raises torch's out-of-memory error."""

    def __init__(self, model: Any, rows: int) -> None:
        self.model, self.rows, self.sizes = model, rows, []  # type: ignore[var-annotated]

    def __call__(self, **inputs: Any) -> Any:
        self.sizes.append(len(inputs["input_ids"]))
        if len(inputs["input_ids"]) > self.rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.model(**inputs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Any:
    pipe = text_pipeline("feature-extraction")
    found = Small(pipe.model, 3)
    monkeypatch.setattr(pipe, "model", found)
    return pipe, found


def test_a_batch_that_does_not_fit_is_halved(small: tuple[Any, Small]) -> None:
    pipe, model = small
    texts = [sentence(5, number) for number in range(12)]
    wanted = pipe(texts)
    model.sizes.clear()
    assert_close(pipe(texts, batch_size=12, return_tensors=False), wanted)
    assert max(model.sizes) > 3
    assert sum(size for size in model.sizes if size <= 3) == 12


def test_one_text_that_does_not_fit_is_an_error(small: tuple[Any, Small]) -> None:
    pipe, model = small
    model.rows = 0
    with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        pipe(["one", "two"], batch_size=2)
    assert model.sizes[-1] == 1


def test_other_errors_are_not_tried_again() -> None:
    calls = []

    def broken(batch: list[Unit]) -> list[Any]:
        calls.append(len(batch))
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        run_halving(broken, [Unit(item=0, inputs=None, cost=1)] * 4)
    assert calls == [4]


def test_an_endless_generator_is_read_only_a_bounded_way_ahead() -> None:
    pipe = text_pipeline("text-classification")
    seen = Counter[str]()

    def endless() -> Iterator[str]:
        for number in itertools.count():
            seen["read"] += 1
            yield sentence(3, number)

    answers = pipe(endless(), batch_size=4)
    first = list(itertools.islice(answers, 10))
    assert len(first) == 10
    time.sleep(0.3)
    assert 10 <= seen["read"] <= 10 + 3 * 4 * batching.LOOK_AHEAD_BATCHES
    answers.close()
    before = seen["read"]
    time.sleep(0.3)
    assert seen["read"] == before
    wait_until(lambda: not any(thread.name == "pipeline-reader" for thread in threading.enumerate()))


def wait_until(condition: Any, timeout_s: float = 3.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.02)


def test_a_slow_generator_gets_its_answers_as_its_inputs_come() -> None:
    pipe = text_pipeline("text-classification")
    released = threading.Semaphore(1)

    def slow() -> Iterator[str]:
        for number in range(4):
            assert released.acquire(timeout=10)
            yield sentence(4, number)

    count = 0
    for answer in pipe(slow(), batch_size=64):  # the next input comes only after this answer
        assert {entry["label"] for entry in answer} == {"negative", "neutral", "positive"}
        count += 1
        released.release()
    assert count == 4


def test_an_error_in_a_generator_comes_after_the_answers_before_it() -> None:
    pipe = text_pipeline("text-classification")

    def failing() -> Iterator[str]:
        yield from ("one", "two", "three")
        raise LookupError("the database went away")

    for options in ({}, {"batch_size": 2}):
        answers = []
        with pytest.raises(LookupError, match="the database went away"):
            for answer in pipe(failing(), **options):
                answers.append(answer)
        assert len(answers) == 3


def test_a_group_waits_a_moment_for_a_whole_batch_but_not_longer() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        time.sleep(0.5)
        yield from range(3, 6)

    source = Source(items(), limit=64, enough=4)
    started = time.monotonic()
    first = next(source)
    assert time.monotonic() - started < 0.4
    assert first == [0, 1, 2]
    assert [number for group in source for number in group] == [3, 4, 5]


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, "8"])
def test_a_wrong_batch_size_says_so(batch_size: Any) -> None:
    with pytest.raises(InputError, match="positive whole number"):
        text_pipeline("text-classification")(["a"], batch_size=batch_size)


class Windows(ChunkPipeline):
    """Sums of windows of a list of numbers; the model adds."""

    padded_inputs = {"numbers": 0}  # noqa: RUF012
    sizes: list[int]

    def _sanitize_parameters(self, width: int | None = None) -> Any:
        return {} if width is None else {"width": width}, {}, {}

    def _is_many(self, inputs: Any, pre: dict[str, Any]) -> bool:
        return isinstance(inputs[0], list)

    def preprocess(self, inputs: list[int], width: int = 2) -> Iterator[dict[str, Any]]:
        for start in range(0, len(inputs), width):
            yield {"numbers": torch.tensor([inputs[start : start + width]])}

    def _forward(self, model_inputs: dict[str, Any]) -> Any:
        self.sizes.append(len(model_inputs["numbers"]))
        return {"sum": model_inputs["numbers"].sum(-1)}

    def postprocess(self, model_outputs: list[dict[str, Any]]) -> list[int]:
        return [int(output["sum"][0]) for output in model_outputs]


def test_chunks_of_several_inputs_share_batches() -> None:
    pipe = Windows(text_pipeline("feature-extraction").model, task="windows")
    pipe.sizes = []
    inputs = [[1, 2, 3], [4], [], [5, 6, 7, 8, 9]]
    assert pipe(inputs, batch_size=3) == [[3, 3], [4], [], [11, 15, 9]]
    assert sorted(pipe.sizes, reverse=True) == [3, 3]
    assert pipe(inputs, width=3) == [[6], [4], [], [18, 17]]
    assert pipe([1, 2, 3]) == [3, 3]


def test_outputs_are_answered_batch_by_batch() -> None:
    """The outputs of a vocabulary's size do not pile up over the whole look-ahead."""
    events: list[str] = []

    class Logged(Windows):
        def _forward(self, model_inputs: dict[str, Any]) -> Any:
            events.append("forward")
            return super()._forward(model_inputs)

        def postprocess(self, model_outputs: list[dict[str, Any]]) -> list[int]:
            events.append("answer")
            return super().postprocess(model_outputs)

    pipe = Logged(text_pipeline("feature-extraction").model, task="windows")
    pipe.sizes = []
    assert pipe([[1, 2], [3, 4], [5, 6], [7, 8]], batch_size=2) == [[3], [7], [11], [15]]
    assert events == ["forward", "answer", "answer", "forward", "answer", "answer"]


def test_other_ways_to_call() -> None:
    pipe = text_pipeline("feature-extraction")
    texts = [sentence(3), sentence(5, 9)]
    wanted = pipe(texts)
    assert_close(pipe.predict(texts), wanted)
    assert_close(pipe.transform(texts), wanted)
    assert_close(pipe.run_multi(texts, {}, {}, {}), wanted)
    assert_close(list(pipe.get_iterator(texts, 1, 2, {}, {}, {})), wanted)
    assert isinstance(next(pipe.iterate(texts, {}, {}, {"return_tensors": True})), torch.Tensor)
    with pipe.device_placement():
        assert torch.zeros(1).device == pipe.device
    moved = pipe.ensure_tensor_on_device(ids=torch.zeros(1), name="x")
    assert (moved["ids"].device, moved["name"]) == (pipe.device, "x")
    pipe.check_model_type(["BertModel", "GPT2Model"])
    with pytest.raises(PipelineException, match="BertModel is not supported for feature-extraction"):
        pipe.check_model_type({"gpt2": "GPT2Model"})
