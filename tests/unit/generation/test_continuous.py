"""Continuous batching gives what generate gives, whoever else runs."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
import torch

from rayformers.errors import ConfigError, InputError, InputTooLargeError, ResourceError
from rayformers.generation.continuous import Engine, EngineSettings
from rayformers.generation.fair_queue import FairQueue
from rayformers.generation.prefix_store import PrefixStore
from rayformers.generation.request import RequestCancelledError


def uneven(count: int = 11) -> list[list[int]]:
    draw = random.Random(0)
    return [[draw.randrange(3, 97) for _ in range(draw.choice([2, 7, 40]))] for _ in range(count)]


@pytest.mark.parametrize(
    "options",
    [
        {"do_sample": False},
        {"do_sample": True, "temperature": 1.5, "top_k": 30, "top_p": 0.95},
        {"do_sample": False, "repetition_penalty": 1.4, "no_repeat_ngram_size": 2},
    ],
)
@pytest.mark.parametrize("slots", [1, 4])
def test_tokens_are_those_of_generate(decoder: Any, options: dict[str, Any], slots: int) -> None:
    prompts = uneven()
    limits = EngineSettings(max_slots=slots, prefill_chunk_tokens=16)
    outputs = decoder.generate_batch(prompts, limits=limits, seed=5, max_new_tokens=12, **options)
    for number, prompt in enumerate(prompts):
        torch.manual_seed(5 + number)
        alone = decoder.generate(torch.tensor([prompt]), max_new_tokens=12, **options)[0, len(prompt) :].tolist()
        assert outputs[f"req_{number}"].generated_tokens == alone


@pytest.mark.parametrize("model_type", ["gpt2", "mistral", "opt", "bloom"])
def test_other_architectures_run_too(make: Any, model_type: str) -> None:
    sizes = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "eos_token_id": 2}
    more = {
        "mistral": {"sliding_window": 6, "num_key_value_heads": 2},
        "opt": {"word_embed_proj_dim": 32, "ffn_dim": 32},
    }.get(model_type, {})
    model = make(model_type, **sizes, pad_token_id=0, **more)
    prompts = uneven(6)
    outputs = model.generate_batch(prompts, limits=EngineSettings(max_slots=3), max_new_tokens=9)
    for number, prompt in enumerate(prompts):
        alone = model.generate(torch.tensor([prompt]), max_new_tokens=9)[0, len(prompt) :].tolist()
        assert outputs[f"req_{number}"].generated_tokens == alone


def test_settings_differ_from_request_to_request(decoder: Any) -> None:
    engine = Engine(decoder)
    short = engine.submit([5, 6, 7], max_new_tokens=2)
    long = engine.submit([8, 9], max_new_tokens=9, eos_token_id=None)
    drawn = engine.submit([8, 9], max_new_tokens=5, do_sample=True, temperature=3.0, eos_token_id=None, seed=1)
    engine.run()
    assert [len(r.result().generated_tokens) for r in (short, long, drawn)] == [2, 9, 5]
    assert short.result().finish_reason == "length"


def test_requests_join_while_others_run(decoder: Any) -> None:
    engine = Engine(decoder)
    first = engine.submit([5, 6, 7], max_new_tokens=20, eos_token_id=None)
    for _ in range(5):
        engine.step()
    second = engine.submit([11, 12, 13, 14, 15, 16, 17, 18, 19, 20], max_new_tokens=3, eos_token_id=None)
    engine.run()
    for request in (first, second):
        count = len(request.result().generated_tokens)
        alone = decoder.generate(torch.tensor([request.prompt]), max_new_tokens=count, eos_token_id=None)
        assert alone[0].tolist() == request.tokens


def test_beginnings_are_run_once(decoder: Any) -> None:
    shared = list(range(3, 80))
    engine = Engine(decoder)
    for tail in ([81], [82, 83]):
        request = engine.submit([*shared, *tail], max_new_tokens=6)
        engine.run()
        alone = decoder.generate(torch.tensor([request.prompt]), max_new_tokens=6)
        assert alone[0].tolist() == request.tokens
    assert engine.prefixes.hits_tokens >= 64


def test_a_cancelled_request_leaves_and_others_go_on(decoder: Any) -> None:
    engine = Engine(decoder)
    gone = engine.submit([5, 6, 7], max_new_tokens=50, eos_token_id=None)
    kept = engine.submit([8, 9], max_new_tokens=6, eos_token_id=None)
    for _ in range(3):
        engine.step()
    gone.cancel()
    engine.run()
    assert len(kept.result().generated_tokens) == 6
    with pytest.raises(RequestCancelledError):
        gone.result()
    assert gone.output.status == "cancelled"
    assert len(gone.output.generated_tokens) < 50


def test_a_thread_serves_callers_that_iterate(decoder: Any) -> None:
    engine = Engine(decoder)
    engine.start()
    results: dict[int, list[int]] = {}

    def call(number: int) -> None:
        results[number] = list(engine.submit([5 + number, 9], max_new_tokens=7, eos_token_id=None))

    callers = [threading.Thread(target=call, args=(number,)) for number in range(5)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    engine.stop()
    for number in range(5):
        alone = decoder.generate(torch.tensor([[5 + number, 9]]), max_new_tokens=7, eos_token_id=None)
        assert results[number] == alone[0, 2:].tolist()


def test_stop_ends_what_still_runs(decoder: Any) -> None:
    engine = Engine(decoder)
    engine.start()
    request = engine.submit([5, 6], max_new_tokens=240, eos_token_id=None)
    next(iter(request))
    engine.stop()
    with pytest.raises(RequestCancelledError):
        request.result(10)


def test_memory_bounds_how_many_run(decoder: Any) -> None:
    engine = Engine(decoder)
    small = EngineSettings(memory_budget_bytes=60 * engine.token_bytes, prefix_budget_bytes=0)
    engine = Engine(decoder, small)
    requests = [engine.submit([5, 6, 7], max_new_tokens=20, eos_token_id=None) for _ in range(5)]
    most = 0
    while engine.step():
        most = max(most, len(engine.slots))
    assert most == 2
    assert all(len(r.result().generated_tokens) == 20 for r in requests)
    with pytest.raises(InputTooLargeError, match="memory_budget_bytes"):
        engine.submit([5, 6, 7], max_new_tokens=200)


def test_bad_requests_are_refused(decoder: Any, seq2seq: Any) -> None:
    engine = Engine(decoder, EngineSettings(max_waiting=1))
    with pytest.raises(InputError, match="empty"):
        engine.submit([])
    with pytest.raises(InputError, match="token ids"):
        engine.submit(["a"])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="num_beams"):
        engine.submit([3], num_beams=2)
    with pytest.raises(ConfigError, match="key-value cache"):
        Engine(seq2seq)
    engine.submit([3])
    with pytest.raises(ResourceError, match="wait"):
        engine.submit([3])


def test_clients_share_fairly() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(4):
        queue.put(f"a{number}", "a", cost=10)
    queue.put("b0", "b", cost=10)
    queue.put("b1", "b", cost=10)
    assert [queue.get() for _ in range(6)] == ["a0", "b0", "a1", "b1", "a2", "a3"]


def test_a_new_client_has_no_credit_for_idle_time() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(6):
        queue.put(f"a{number}", "a", cost=10)
    assert [queue.get() for _ in range(3)] == ["a0", "a1", "a2"]
    for number in range(3):
        queue.put(f"b{number}", "b", cost=10)
    assert [queue.get() for _ in range(4)] == ["b0", "a3", "b1", "a4"]


def test_old_prefixes_go_when_the_budget_is_full() -> None:
    layers = [(torch.zeros(1, 2, 8, 4), torch.zeros(1, 2, 8, 4))]
    block_bytes = 2 * 2 * 4 * 4 * 4
    store = PrefixStore(2 * block_bytes, block_tokens=4)
    store.keep([1, 2, 3, 4, 5, 6, 7, 8], layers)
    assert store.find([1, 2, 3, 4, 5, 6, 7, 8, 9])[0] == 8
    store.keep([9, 9, 9, 9], layers)
    assert store.find([9, 9, 9, 9, 1])[0] == 4
    assert store.used_bytes <= 2 * block_bytes
