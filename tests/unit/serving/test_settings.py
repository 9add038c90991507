from __future__ import annotations

from typing import Any

import pytest

from rayformers.errors import ConfigError
from rayformers.serving.settings import AppArguments, batching_of, parse_arguments


def test_defaults_and_what_follows_from_them() -> None:
    arguments = parse_arguments({"model": "google/vit", "batching": {"max_batch_rows": 8}})
    assert arguments.max_ongoing_requests >= 2 * 8
    assert arguments.target_ongoing_requests == 4
    assert arguments.num_gpus == 0
    assert parse_arguments({"model": "m", "device": "cuda:0"}).num_gpus == 1
    assert AppArguments.model_validate(arguments.model_dump()) == arguments


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "args.model is required and missing"),
        ({"model": "m", "replica": {}}, "'replica' is not a known key. Did you mean 'replicas'?"),
        ({"model": "m", "replicas": {"maxx": 2}}, "args.replicas: 'maxx' is not a known key. Did you mean 'max'?"),
        ({"model": "m", "replicas": {"min": 3, "max": 2}}, "args.replicas: min is 3 and max is 2"),
        ({"model": "m", "replicas": {"min": 1, "max": 2, "initial": 5}}, "initial is 5"),
        ({"model": "m", "batching": {"max_batch_rows": 0}}, "args.batching.max_batch_rows is 0"),
        ({"model": "m", "limits": {"deadline_s": "soon"}}, "args.limits.deadline_s is 'soon'"),
        ({"model": "m", "dtype": "int3"}, "args.dtype is 'int3'"),
        ({"model": ""}, "args.model is ''"),
        ({"model": "m", "name": "a b"}, "args.name is 'a b'"),
        (["model"], "args is ['model']"),
    ],
)
def test_errors_name_the_key(values: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_arguments(values)
    assert message in str(caught.value)


def test_user_config_changes_batching() -> None:
    arguments = parse_arguments({"model": "m", "batching": {"max_batch_rows": 8, "max_wait_ms": 3}})
    changed = batching_of(arguments, {"batching": {"max_batch_rows": 16}})
    assert (changed.max_batch_rows, changed.max_wait_ms) == (16, 3)
    assert batching_of(arguments, {"batching": {}}) == arguments.batching
    with pytest.raises(ConfigError, match=r"user_config.batching: 'rows' is not a known key"):
        batching_of(arguments, {"batching": {"rows": 1}})
    with pytest.raises(ConfigError, match="expected a mapping with the key 'batching'"):
        batching_of(arguments, {"batch": {}})


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_arguments({"model": "", "limits": {"max_pixels": 0}})
    assert len(str(caught.value).splitlines()) == 2
