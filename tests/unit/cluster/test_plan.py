"""The arithmetic of a plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from rayformers.cluster import plan
from rayformers.cluster.plan import training_state
from rayformers.errors import ConfigError, NotFoundError, RayformersError, UnknownNameError
from rayformers.training.job import load_job

ROOT = Path(__file__).parents[3]
JOB = ROOT / "jobs" / "digits.yaml"
MILLION = 1_000_000


@pytest.mark.parametrize(
    ("stage", "precision", "expected_bytes"),
    [
        # 4 weights + 4 gradients + 8 moments, in float32.
        (None, "float32", 16 * MILLION),
        (None, "bfloat16", 16 * MILLION),
        (0, "float32", 16 * MILLION),
        (1, "float32", 10 * MILLION),
        (2, "float32", 7 * MILLION),
        (3, "float32", 4 * MILLION),
        # DeepSpeed in half precision: 2 + 2 + (4 master + 8 moments).
        (0, "bfloat16", 16 * MILLION),
        (1, "bfloat16", 7 * MILLION),
        (3, "bfloat16", 4 * MILLION),
    ],
)
def test_bytes_of_one_rank_of_four(stage: int | None, precision: str, expected_bytes: int) -> None:
    state = training_state(MILLION, MILLION, world_size=4, zero_stage=stage, precision=precision)
    assert state.total == expected_bytes


def test_frozen_weights_have_no_gradients() -> None:
    state = training_state(MILLION, 0, world_size=1, zero_stage=None, precision="float32")
    assert state.total == state.weights == 4 * MILLION


def test_the_digits_job() -> None:
    made = plan(load_job(JOB, ["train.gradient_accumulation_steps=3", "scale.num_workers=4"]))
    assert (made.world_size, made.accumulation_steps, made.global_batch_rows) == (4, 3, 32 * 3 * 4)
    assert "1,438 rows to train on, 359 held out" in made.data
    assert made.engine == "DeepSpeed ZeRO-2"
    assert made.needs.startswith("6 logical CPUs")


def test_parameters_are_those_of_the_real_model() -> None:
    from rayformers import AutoConfig, AutoModelForImageClassification

    job = load_job(JOB)
    made = plan(job)
    model = AutoModelForImageClassification.from_config(AutoConfig.for_model("vit", num_labels=10, **job.model.config))
    assert made.parameters == made.trainable_parameters == sum(p.numel() for p in model.parameters())
    assert made.model_bytes == 4 * made.parameters


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("model.architecture=vitt", UnknownNameError, "Did you mean 'vit'"),
        ("model.config.hidden_size=97", RayformersError, "97"),
        ("data.source=sklearn://digit", NotFoundError, "Did you mean 'digits'"),
        ("data.validation=1.5", ConfigError, r"data\.validation is 1\.5"),
    ],
)
def test_what_cannot_work_is_told(override: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plan(load_job(JOB, [override]))
