"""Learning-rate schedules: the share of the peak rate at a step, a pure function of the step.

Most schedules warm up linearly from 0, then follow a curve of their own; two shape the warm-up themselves. A pure
function needs no state in checkpoints. `schedulers` makes torch schedulers of the same functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigError
from ..registry import Registry

Factor = Callable[[int], float]
Curve = Callable[..., float]
"""(progress after the warm-up from 0, 1 at the last step; steps after the warm-up; further settings) to a share."""

SCHEDULES: Registry[Curve] = Registry("learning-rate schedule")
WHOLE: dict[str, Callable[..., float]] = {}
"""Schedules that are given (step, warm-up steps, total steps, further settings): their warm-up is their own."""


def linear(progress: float, after: int) -> float:
    """Straight to 0 at the last step."""
    return max(0.0, 1.0 - progress)


def constant(progress: float, after: int) -> float:
    """The peak rate throughout."""
    return 1.0


def cosine(progress: float, after: int, *, num_cycles: float = 0.5) -> float:
    """Half a cosine wave (Loshchilov and Hutter 2017, arXiv:1608.03983); `num_cycles` counts waves."""
    return max(0.0, 0.5 * (1.0 + math.cos(2.0 * math.pi * num_cycles * progress)))


def cosine_with_restarts(progress: float, after: int, *, num_cycles: int = 1) -> float:
    """Half waves that start again `num_cycles` times (SGDR, arXiv:1608.03983)."""
    if progress >= 1.0:
        return 0.0
    return 0.5 * (1.0 + math.cos(math.pi * ((num_cycles * progress) % 1.0)))


def cosine_with_min_lr(progress: float, after: int, *, num_cycles: float = 0.5, min_lr_rate: float = 0.0) -> float:
    """A cosine wave that ends at `min_lr_rate` of the peak."""
    return max(0.0, cosine(progress, after, num_cycles=num_cycles) * (1.0 - min_lr_rate) + min_lr_rate)


def polynomial(progress: float, after: int, *, power: float = 1.0, lr_end_rate: float = 0.0) -> float:
    """(1 - progress)^power, down to `lr_end_rate` of the peak."""
    return lr_end_rate + (1.0 - lr_end_rate) * math.pow(max(0.0, 1.0 - progress), power)


def inverse_sqrt(progress: float, after: int, *, timescale: int = 10_000) -> float:
    """1 / sqrt(1 + steps / timescale) (Vaswani et al. 2017, arXiv:1706.03762)."""
    return 1.0 / math.sqrt((after + timescale) / timescale)


def cosine_warmup_with_min_lr(
    step: int,
    warmup: int,
    total: int | None,
    *,
    num_cycles: float = 0.5,
    min_lr_rate: float = 0.0,
    warmup_lr_rate: float | None = None,
) -> float:
    """`cosine_with_min_lr`, one step ahead, after a warm-up that starts above 0.

    Args:
        step: steps that were taken.
        warmup: steps of the warm-up.
        total: steps of the run.
        num_cycles, min_lr_rate: as for `cosine_with_min_lr`.
        warmup_lr_rate: share of the peak at step 0; default: one step of the warm-up.
    """
    if step < warmup:
        if warmup_lr_rate is None:
            return (step + 1) / warmup
        return warmup_lr_rate + (1.0 - warmup_lr_rate) * step / max(1, warmup - 1)
    after = step - warmup + 1
    return cosine_with_min_lr(
        after / max(1, (total or 0) - warmup), after, num_cycles=num_cycles, min_lr_rate=min_lr_rate
    )


_RISES: dict[str, Callable[[float], float]] = {
    "linear": lambda progress: progress,
    "cosine": lambda progress: 0.5 * (1.0 - math.cos(math.pi * progress)),
    "1-sqrt": lambda progress: 1.0 - math.sqrt(1.0 - progress),
}


def warmup_stable_decay(
    step: int,
    warmup: int,
    total: int | None,
    *,
    num_decay_steps: int,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0.0,
    num_cycles: float = 0.5,
) -> float:
    """Up, level, down (Hu et al. 2024, arXiv:2404.06395).

    Args:
        step: steps that were taken.
        warmup: steps of the warm-up.
        total: steps of the run; what warm-up and decay leave of them is level, unless `num_stable_steps` says.
        num_decay_steps: steps of the decay.
        num_stable_steps: steps at the peak.
        warmup_type, decay_type: "linear", "cosine" or "1-sqrt".
        min_lr_ratio: share of the peak where the warm-up starts and the decay ends.
        num_cycles: waves of a cosine decay.

    Raises:
        ConfigError: a type is unknown, or neither `total` nor `num_stable_steps` is given.
    """
    for name, value in (("warmup_type", warmup_type), ("decay_type", decay_type)):
        if value not in _RISES:
            raise ConfigError(f"{name} is {value!r}; allowed: {', '.join(map(repr, _RISES))}.")
    if num_stable_steps is None:
        if total is None:
            raise ConfigError("warmup_stable_decay needs num_training_steps or num_stable_steps.")
        num_stable_steps = total - warmup - num_decay_steps
    decay_start = warmup + num_stable_steps
    if step < warmup:
        share = _RISES[warmup_type](step / warmup)
    elif step < decay_start:
        return 1.0
    elif step < decay_start + num_decay_steps:
        share = _fall(decay_type, (step - decay_start) / num_decay_steps, num_cycles)
    else:
        return min_lr_ratio
    return max(0.0, share * (1.0 - min_lr_ratio) + min_lr_ratio)


def _fall(kind: str, progress: float, num_cycles: float) -> float:
    if kind == "cosine":
        return cosine(progress, 0, num_cycles=num_cycles)
    return 1.0 - (progress if kind == "linear" else math.sqrt(progress))


for _name, _curve in {
    "linear": linear,
    "cosine": cosine,
    "cosine_with_restarts": cosine_with_restarts,
    "cosine_with_min_lr": cosine_with_min_lr,
    "polynomial": polynomial,
    "constant": constant,
    "constant_with_warmup": constant,
    "inverse_sqrt": inverse_sqrt,
}.items():
    SCHEDULES.add(_name, _curve)
for _whole in (cosine_warmup_with_min_lr, warmup_stable_decay):
    SCHEDULES.add(_whole.__name__, _whole)
    WHOLE[_whole.__name__] = _whole


def share_at(step: int, *, name: str, warmup_steps: int, total_steps: int | None, settings: Mapping[str, Any]) -> float:
    """The share of the peak rate before optimizer step `step` (from 0). `settings` are as `relative` makes them."""
    if name in WHOLE:
        return WHOLE[name](step, warmup_steps, total_steps, **settings)
    warmup = 0 if name == "constant" else warmup_steps
    if step < warmup:
        return step / warmup
    progress = (step - warmup) / max(1, (total_steps or 0) - warmup)
    return SCHEDULES.get(name)(progress, step - warmup, **settings)


def schedule(
    name: str,
    *,
    warmup_steps: int,
    total_steps: int,
    learning_rate: float,
    settings: Mapping[str, Any] | None = None,
) -> Factor:
    """The learning rate before optimizer step `step` (from 0).

    Args:
        name: a name in SCHEDULES.
        warmup_steps: steps from 0 up to the peak rate; "constant" has none.
        total_steps: steps of the whole run.
        learning_rate: the peak rate.
        settings: the schedule's own keyword arguments; `lr_end` and `min_lr` are rates, turned into shares of the peak.

    Raises:
        UnknownNameError: no such schedule.
        ConfigError: a setting that the schedule does not have.
    """
    keywords = relative(name, settings or {}, learning_rate, warmup_steps, total_steps)

    def rate(step: int) -> float:
        return learning_rate * share_at(
            step, name=name, warmup_steps=warmup_steps, total_steps=total_steps, settings=keywords
        )

    return rate


def relative(
    name: str, settings: Mapping[str, Any], peak: float, warmup_steps: int, total_steps: int | None
) -> dict[str, Any]:
    """The settings of a schedule with rates turned into shares of the peak, checked.

    Raises:
        UnknownNameError: no such schedule. ConfigError: settings that the schedule cannot use.
    """
    curve = SCHEDULES.get(name)
    keywords = dict(settings)
    if name == "polynomial":
        lr_end = keywords.pop("lr_end", 1e-7)
        if lr_end >= peak:
            raise ConfigError(f"lr_scheduler_kwargs: lr_end {lr_end} is not below learning_rate {peak}.")
        keywords.setdefault("lr_end_rate", lr_end / peak)
    if name in ("cosine_with_min_lr", "cosine_warmup_with_min_lr"):
        given = [key for key in ("min_lr", "min_lr_rate") if keywords.get(key) is not None]
        if len(given) != 1:
            raise ConfigError(f"lr_scheduler_kwargs: {name} needs min_lr or min_lr_rate, and not both.")
        lowest = keywords.pop("min_lr", None)
        keywords["min_lr_rate"] = keywords["min_lr_rate"] if lowest is None else lowest / peak
    if name == "inverse_sqrt" and keywords.get("timescale") is None:
        keywords["timescale"] = warmup_steps or 10_000
    try:
        curve(*((0, warmup_steps, total_steps) if name in WHOLE else (0.0, 0)), **keywords)
    except TypeError as error:
        raise ConfigError(f"lr_scheduler_kwargs {dict(settings)} do not fit the schedule {name!r}: {error}") from error
    return keywords
