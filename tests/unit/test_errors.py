"""Errors cross process boundaries whole and carry their codes."""

from __future__ import annotations

import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayformers import errors
from rayformers.errors import PipelineException, RayformersError, did_you_mean

CLASSES = sorted(
    (kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RayformersError)),
    key=lambda kind: kind.__name__,
)


def make(kind: type[RayformersError]) -> RayformersError:
    return kind("fill-mask", "bert", "no mask") if kind is PipelineException else kind("no mask")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_errors_pickle(kind: type[RayformersError]) -> None:
    error = make(kind)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error) == "no mask"
    assert copy.__dict__ == error.__dict__


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_errors_have_codes_that_callers_can_use(kind: type[RayformersError]) -> None:
    assert kind.exit_code in (1, 2)
    assert 400 <= kind.status < 600


def test_builtin_bases_let_callers_catch_what_they_know() -> None:
    assert issubclass(errors.ConfigError, ValueError)
    assert issubclass(errors.NotFoundError, OSError)
    assert issubclass(errors.InputTypeError, TypeError)
    assert issubclass(errors.DependencyError, ImportError)


def test_nearest_name_is_given() -> None:
    assert did_you_mean("lerning_rate", ["learning_rate", "warmup_steps"]) == "Did you mean 'learning_rate'?"
    assert did_you_mean("zzz", ["b", "a"]) == "Allowed: a, b."
    assert did_you_mean("zzz", []) == "None is available."


@given(st.lists(st.text(alphabet="abcdefgh_", min_size=1), min_size=31, unique=True))
def test_long_lists_are_cut(names: list[str]) -> None:
    sentence = did_you_mean("\0", names)
    assert sentence.endswith(f"({len(names)} in all).")
    assert sentence.count(",") == 30
