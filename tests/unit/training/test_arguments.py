"""TrainingArguments: the guides' names and defaults; nothing is ignored in silence."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from rayformers.errors import ConfigError
from rayformers.training.arguments import TrainingArguments
from rayformers.training.unsupported import NAMES


def test_defaults_are_the_guides() -> None:
    arguments = TrainingArguments("out")
    assert arguments.output_dir == "out"
    assert (arguments.learning_rate, arguments.num_train_epochs, arguments.per_device_train_batch_size) == (
        5e-5,
        3.0,
        8,
    )
    assert (arguments.adam_beta1, arguments.adam_beta2, arguments.adam_epsilon) == (0.9, 0.999, 1e-8)
    assert (arguments.max_grad_norm, arguments.seed, arguments.logging_steps, arguments.save_steps) == (
        1.0,
        42,
        500,
        500,
    )
    assert (arguments.eval_strategy, arguments.save_strategy, arguments.lr_scheduler_type) == ("no", "steps", "linear")


def test_it_pickles_replaces_and_returns() -> None:
    arguments = TrainingArguments("out", learning_rate=1e-3)
    assert pickle.loads(pickle.dumps(arguments)) == arguments
    assert dataclasses.replace(arguments, seed=1).learning_rate == 1e-3
    assert TrainingArguments.from_dict(arguments.to_dict()) == arguments


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"learnin_rate": 1.0}, "Did you mean 'learning_rate'"),
        ({"push_to_hub": True}, "push_to_hub = True is not supported"),
        ({"optim": "adafactor"}, "not supported"),
        ({"bf16": True, "fp16": True}, "choose one"),
        ({"per_device_train_batch_size": 0}, "at least 1"),
        ({"learning_rate": float("nan")}, "finite"),
        ({"lr_scheduler_type": "cosin"}, "Did you mean 'cosine'"),
        ({"eval_strategy": "sometimes"}, "allowed: 'no', 'steps', 'epoch'"),
        ({"load_best_model_at_end": True}, "equal eval_strategy and save_strategy"),
        ({"save_total_limit": 0}, "at least 1"),
        ({"warmup_ratio": 2.0}, "between 0 and 1"),
    ],
)
def test_wrong_values_say_what_to_do(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingArguments("out", **fields)


def test_fields_to_come_are_accepted_at_their_default_only() -> None:
    harmless = {name: TrainingArguments("out").__getattribute__(name) for name in NAMES}
    TrainingArguments("out", **harmless)


def test_every_field_of_the_reference_is_known_or_named() -> None:
    transformers = pytest.importorskip("transformers")
    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    guides = {"bf16", "fp16", "group_by_length", "logging_dir", "warmup_ratio", "push_to_hub", "hub_model_id"}
    shared = {field.name for field in dataclasses.fields(transformers.TrainingArguments)} & (guides | known)
    assert guides <= known
    assert len(shared) > 60


def test_derived_values() -> None:
    arguments = TrainingArguments("out", num_train_epochs=2.5, warmup_ratio=0.1, metric_for_best_model="accuracy")
    assert arguments.total_steps(10) == 25
    assert arguments.get_warmup_steps(25) == 3
    assert (arguments.best_metric, arguments.best_is_greatest) == ("eval_accuracy", True)
    assert TrainingArguments("out").best_is_greatest is False
    assert TrainingArguments("out", max_steps=7).total_steps(10) == 7
