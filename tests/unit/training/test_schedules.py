"""Schedules against their published formulas, and against the reference where it is installed."""

from __future__ import annotations

import math

import pytest
import torch

from rayformers.errors import ConfigError
from rayformers.training.schedules import SCHEDULES, schedule

SETTINGS = {
    "cosine_with_min_lr": {"min_lr": 1e-4},
    "cosine_warmup_with_min_lr": {"min_lr_rate": 0.1, "warmup_lr_rate": 0.2},
    "warmup_stable_decay": {"num_decay_steps": 30, "decay_type": "1-sqrt", "min_lr_ratio": 0.1},
}


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize("warmup", [0, 10])
def test_equal_to_the_reference(name: str, warmup: int) -> None:
    transformers = pytest.importorskip("transformers")
    settings = SETTINGS.get(name, {})
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1e-2)
    theirs = transformers.get_scheduler(name, optimizer, warmup, 100, scheduler_specific_kwargs=settings)
    ours = schedule(name, warmup_steps=warmup, total_steps=100, learning_rate=1e-2, settings=settings)
    for step in range(100):
        assert ours(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12), step
        optimizer.step()
        theirs.step()


def test_cosine_by_hand() -> None:
    rate = schedule("cosine", warmup_steps=10, total_steps=110, learning_rate=2.0)
    assert rate(0) == 0.0
    assert rate(5) == 1.0
    assert rate(10) == 2.0
    assert rate(60) == pytest.approx(1.0)
    assert rate(35) == pytest.approx(1.0 + math.cos(math.pi / 4))


def test_a_setting_that_the_schedule_lacks() -> None:
    with pytest.raises(ConfigError, match="lr_scheduler_kwargs"):
        schedule("linear", warmup_steps=0, total_steps=10, learning_rate=1.0, settings={"power": 2})
