"""Learning-rate schedules: the factor on the peak rate at a step, a pure function of the step.

Every schedule warms up linearly from 0, then follows its own curve. A pure function needs no state in checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigError
from ..registry import Registry

Factor = Callable[[int], float]
Curve = Callable[..., float]
"""(progress after the warm-up in 0..1, steps after the warm-up, further settings) to a factor."""

SCHEDULES: Registry[Curve] = Registry("learning-rate schedule")


def linear(progress: float, after: int) -> float:
    """Straight to 0 at the last step."""
    return 1.0 - progress


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
    return cosine(progress, after, num_cycles=num_cycles) * (1.0 - min_lr_rate) + min_lr_rate


def polynomial(progress: float, after: int, *, power: float = 1.0, lr_end_rate: float = 0.0) -> float:
    """(1 - progress)^power, down to `lr_end_rate` of the peak."""
    return lr_end_rate + (1.0 - lr_end_rate) * math.pow(1.0 - progress, power)


def inverse_sqrt(progress: float, after: int, *, timescale: int = 10_000) -> float:
    """1 / sqrt(1 + steps / timescale) (Vaswani et al. 2017, arXiv:1706.03762)."""
    return 1.0 / math.sqrt((after + timescale) / timescale)


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
        settings: the curve's own keyword arguments; `lr_end` and `min_lr` are rates, turned into shares of the peak.

    Raises:
        UnknownNameError: no such schedule.
        ConfigError: a setting that the schedule does not have.
    """
    curve = SCHEDULES.get(name)
    keywords = _relative(name, dict(settings or {}), learning_rate, warmup_steps)
    try:
        curve(0.0, 0, **keywords)
    except TypeError as error:
        raise ConfigError(
            f"lr_scheduler_kwargs {dict(settings or {})} do not fit the schedule {name!r}: {error}"
        ) from error
    warmup = 0 if name == "constant" else warmup_steps

    def rate(step: int) -> float:
        if step < warmup:
            return learning_rate * step / max(1, warmup)
        progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
        return learning_rate * curve(progress, step - warmup, **keywords)

    return rate


def _relative(name: str, settings: dict[str, Any], peak: float, warmup_steps: int) -> dict[str, Any]:
    if name == "polynomial":
        lr_end = settings.pop("lr_end", 1e-7)
        if lr_end >= peak:
            raise ConfigError(f"lr_scheduler_kwargs: lr_end {lr_end} is not below learning_rate {peak}.")
        settings.setdefault("lr_end_rate", lr_end / peak)
    if name == "cosine_with_min_lr" and "min_lr" in settings:
        settings["min_lr_rate"] = settings.pop("min_lr") / peak
    if name == "inverse_sqrt":
        settings.setdefault("timescale", warmup_steps or 10_000)
    return settings
