"""Torch schedulers and Adafactor: by hand, and against torch and the reference."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch

import rayformers
from rayformers.errors import ConfigError, UnknownNameError


def optimizer(lr: float = 0.1) -> torch.optim.Optimizer:
    groups = [
        {"params": [torch.nn.Parameter(torch.ones(2))]},
        {"params": [torch.nn.Parameter(torch.ones(1))], "lr": 3 * lr},
    ]
    return torch.optim.SGD(groups, lr=lr)


def rates(schedule: Any, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        first, second = (group["lr"] for group in schedule.optimizer.param_groups)
        assert second == pytest.approx(3 * first)
        found.append(first)
        schedule.optimizer.step()
        schedule.step()
    return found


def test_linear_by_hand() -> None:
    schedule = rayformers.get_linear_schedule_with_warmup(optimizer(), 2, 6)
    assert rates(schedule, 8) == pytest.approx([0.0, 0.05, 0.1, 0.075, 0.05, 0.025, 0.0, 0.0])


def test_warmup_stable_decay_by_hand() -> None:
    schedule = rayformers.get_wsd_schedule(optimizer(), 2, 4, num_stable_steps=2, decay_type="linear", min_lr_ratio=0.5)
    assert rates(schedule, 9) == pytest.approx([0.05, 0.075, 0.1, 0.1, 0.1, 0.0875, 0.075, 0.0625, 0.05])


MAKERS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "get_constant_schedule": ((), {}),
    "get_constant_schedule_with_warmup": ((4,), {}),
    "get_linear_schedule_with_warmup": ((4, 20), {}),
    "get_cosine_schedule_with_warmup": ((4, 20), {"num_cycles": 1.3}),
    "get_cosine_with_hard_restarts_schedule_with_warmup": ((4, 20), {"num_cycles": 3}),
    "get_polynomial_decay_schedule_with_warmup": ((4, 20), {"lr_end": 1e-3, "power": 2.0}),
    "get_inverse_sqrt_schedule": ((4,), {"timescale": 7}),
    "get_cosine_with_min_lr_schedule_with_warmup": ((4, 20), {"min_lr": 1e-3}),
    "get_cosine_with_min_lr_schedule_with_warmup_lr_rate": ((4, 20), {"min_lr_rate": 0.2, "warmup_lr_rate": 0.3}),
    "get_wsd_schedule": ((4, 6), {"num_training_steps": 20, "warmup_type": "cosine", "decay_type": "1-sqrt"}),
}


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_equal_to_the_reference_beyond_the_end_too(name: str) -> None:
    theirs = pytest.importorskip("transformers.optimization")
    arguments, options = MAKERS[name]
    got = rates(getattr(rayformers, name)(optimizer(), *arguments, **options), 30)
    assert got == pytest.approx(rates(getattr(theirs, name)(optimizer(), *arguments, **options), 30), abs=1e-12)


@pytest.mark.parametrize("kind", list(rayformers.SchedulerType))
def test_every_schedule_by_name(kind: Any) -> None:
    settings = {
        "cosine_with_min_lr": {"min_lr_rate": 0.1},
        "cosine_warmup_with_min_lr": {"min_lr_rate": 0.1},
        "warmup_stable_decay": {"num_decay_steps": 3},
        "reduce_lr_on_plateau": {"patience": 0, "factor": 0.5},
    }.get(kind.value, {})
    schedule = rayformers.get_scheduler(kind.value, optimizer(), 2, 10, scheduler_specific_kwargs=settings)
    if kind.value == "reduce_lr_on_plateau":
        for loss in (1.0, 2.0):
            schedule.step(loss)
        assert schedule.optimizer.param_groups[0]["lr"] == 0.05
    else:
        assert max(rates(schedule, 10)) == pytest.approx(0.1)


def test_a_schedule_can_be_saved_and_sent() -> None:
    first = rayformers.get_scheduler("cosine", optimizer(), 2, 10)
    rates(first, 5)
    second = rayformers.get_scheduler("cosine", optimizer(), 2, 10)
    second.load_state_dict(first.state_dict())
    second.optimizer.step()
    first.optimizer.step()
    first.step()
    second.step()
    assert second.get_last_lr() == first.get_last_lr()
    assert pickle.loads(pickle.dumps(first)).get_last_lr() == first.get_last_lr()


def test_wrong_schedules() -> None:
    with pytest.raises(UnknownNameError, match="'linear'"):
        rayformers.get_scheduler("linaer", optimizer(), 1, 2)
    with pytest.raises(ConfigError, match="num_warmup_steps"):
        rayformers.get_scheduler("linear", optimizer(), num_training_steps=2)
    with pytest.raises(ConfigError, match="num_training_steps"):
        rayformers.get_scheduler("cosine", optimizer(), 1)
    with pytest.raises(ConfigError, match="not both"):
        rayformers.get_scheduler("cosine_with_min_lr", optimizer(), 1, 2, {"min_lr": 0.1, "min_lr_rate": 0.1})
    with pytest.raises(ConfigError, match=r"lr_end 1\.0"):
        rayformers.get_polynomial_decay_schedule_with_warmup(optimizer(), 1, 2, lr_end=1.0)
    with pytest.raises(ConfigError, match="num_stable_steps"):
        rayformers.get_wsd_schedule(optimizer(), 1, 2)
    with pytest.raises(ConfigError, match="'1-sqrt'"):
        rayformers.get_wsd_schedule(optimizer(), 1, 2, 9, decay_type="sqrt")


def trained(make: Any, dtype: torch.dtype = torch.float32, steps: int = 6) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((5, 7), (6,), (2, 3, 4))
    parameters = [torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in shapes]
    made = make(parameters)
    for _ in range(steps):
        made.zero_grad()
        sum(((p - 1.5) ** 2).sum() for p in parameters).backward()  # type: ignore[union-attr]
        made.step()
    return [parameter.detach() for parameter in parameters]


SETTINGS: list[dict[str, Any]] = [
    {},
    {"warmup_init": True},
    {"lr": 0.01, "relative_step": False, "scale_parameter": False},
    {"lr": 0.01, "relative_step": False, "beta1": 0.9, "weight_decay": 0.1, "clip_threshold": 0.3, "decay_rate": -0.5},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_adafactor_equals_the_reference(settings: dict[str, Any], dtype: torch.dtype) -> None:
    theirs = pytest.importorskip("transformers.optimization").Adafactor
    expected = trained(lambda parameters: theirs(parameters, **settings), dtype)
    for got, wanted in zip(trained(lambda p: rayformers.Adafactor(p, **settings), dtype), expected, strict=True):
        torch.testing.assert_close(got, wanted)


def test_adafactor_keeps_a_row_and_a_column_of_a_matrix() -> None:
    matrix = torch.nn.Parameter(torch.randn(5, 7))
    made = rayformers.Adafactor([matrix], lr=0.1, relative_step=False)
    losses = []
    for _ in range(40):
        made.zero_grad()
        loss = ((matrix - 1) ** 2).sum()
        loss.backward()
        losses.append(float(made.step(lambda loss=loss: loss).detach()))
    assert losses[-1] < losses[0] / 10
    assert {name: value.shape for name, value in made.state[matrix].items() if "sq" in name} == {
        "exp_avg_sq_row": (5,),
        "exp_avg_sq_col": (7,),
    }


def test_adafactors_own_rates_are_shown() -> None:
    matrix = torch.nn.Parameter(torch.full((2, 2), 3.0))
    made = rayformers.Adafactor([matrix])
    schedule = rayformers.get_adafactor_schedule(made, 0.5)
    assert schedule.get_lr() == [0.5]
    matrix.sum().backward()
    made.step()
    assert schedule.get_lr() == [pytest.approx(0.03)]


def test_wrong_adafactor() -> None:
    matrix = torch.nn.Parameter(torch.ones(2, 2))
    for settings, words in (
        ({"lr": 0.1}, "relative_step=False"),
        ({"relative_step": False}, "pass lr"),
        ({"lr": 0.1, "relative_step": False, "warmup_init": True}, "warmup_init"),
    ):
        with pytest.raises(ConfigError, match=words):
            rayformers.Adafactor([matrix], **settings)
