"""The guides' torch schedulers (main_classes/optimizer_schedules), made of the functions in `schedules`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from ..enums import ExplicitEnum
from ..errors import ConfigError
from .schedules import relative, share_at


class SchedulerType(ExplicitEnum):
    """The schedules that `get_scheduler` makes."""

    LINEAR = "linear"
    COSINE = "cosine"
    COSINE_WITH_RESTARTS = "cosine_with_restarts"
    POLYNOMIAL = "polynomial"
    CONSTANT = "constant"
    CONSTANT_WITH_WARMUP = "constant_with_warmup"
    INVERSE_SQRT = "inverse_sqrt"
    REDUCE_ON_PLATEAU = "reduce_lr_on_plateau"
    COSINE_WITH_MIN_LR = "cosine_with_min_lr"
    COSINE_WARMUP_WITH_MIN_LR = "cosine_warmup_with_min_lr"
    WARMUP_STABLE_DECAY = "warmup_stable_decay"


_WITHOUT_TOTAL = {"constant", "constant_with_warmup", "inverse_sqrt", "warmup_stable_decay"}


def _lambda(
    name: str, optimizer: Optimizer, warmup: int, total: int | None, last_epoch: int, settings: Mapping[str, Any]
) -> LambdaLR:
    needs_peak = {
        "polynomial": ("lr_end",),
        "cosine_with_min_lr": ("min_lr",),
        "cosine_warmup_with_min_lr": ("min_lr",),
    }
    peak = optimizer.defaults.get("lr")
    if peak is None:
        if name in needs_peak:
            raise ConfigError(f"The schedule {name!r} needs an optimizer with a learning rate of its own.")
        peak = 1.0  # the other schedules are shares, whatever the rate
    keywords = relative(name, settings, float(peak), warmup, total)
    share = partial(share_at, name=name, warmup_steps=warmup, total_steps=total, settings=keywords)
    return LambdaLR(optimizer, share, last_epoch)


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def get_constant_schedule(optimizer: Optimizer, last_epoch: int = -1) -> LambdaLR:
    """The peak rate throughout.

    Args:
        optimizer: its groups' rates are the peaks.
        last_epoch: the last step of a run that is continued, -1 for a new run.
    """
    return _lambda("constant", optimizer, 0, None, last_epoch, {})


def get_constant_schedule_with_warmup(optimizer: Optimizer, num_warmup_steps: int, last_epoch: int = -1) -> LambdaLR:
    """Up from 0 in `num_warmup_steps`, then the peak rate."""
    return _lambda("constant_with_warmup", optimizer, num_warmup_steps, None, last_epoch, {})


def get_linear_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Up from 0, then straight down to 0 at `num_training_steps`."""
    return _lambda("linear", optimizer, num_warmup_steps, num_training_steps, last_epoch, {})


def get_cosine_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Up from 0, then `num_cycles` waves of a cosine."""
    return _lambda("cosine", optimizer, num_warmup_steps, num_training_steps, last_epoch, {"num_cycles": num_cycles})


def get_cosine_with_hard_restarts_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, num_cycles: int = 1, last_epoch: int = -1
) -> LambdaLR:
    """Up from 0, then `num_cycles` half waves that each start at the peak."""
    settings = {"num_cycles": num_cycles}
    return _lambda("cosine_with_restarts", optimizer, num_warmup_steps, num_training_steps, last_epoch, settings)


def get_polynomial_decay_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    lr_end: float = 1e-7,
    power: float = 1.0,
    last_epoch: int = -1,
) -> LambdaLR:
    """Up from 0, then down to the rate `lr_end` as a power of what is left.

    Raises:
        ConfigError: `lr_end` is not below the optimizer's rate.
    """
    settings = {"lr_end": lr_end, "power": power}
    return _lambda("polynomial", optimizer, num_warmup_steps, num_training_steps, last_epoch, settings)


def get_inverse_sqrt_schedule(
    optimizer: Optimizer, num_warmup_steps: int, timescale: int | None = None, last_epoch: int = -1
) -> LambdaLR:
    """Up from 0, then 1 / sqrt(1 + steps / timescale); `timescale` in steps, default the warm-up or 10,000."""
    return _lambda("inverse_sqrt", optimizer, num_warmup_steps, None, last_epoch, _given(timescale=timescale))


def get_cosine_with_min_lr_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> LambdaLR:
    """Up from 0, then a cosine down to the rate `min_lr` or the share `min_lr_rate` of the peak.

    Raises:
        ConfigError: neither or both are given.
    """
    settings = {"num_cycles": num_cycles, **_given(min_lr=min_lr, min_lr_rate=min_lr_rate)}
    return _lambda("cosine_with_min_lr", optimizer, num_warmup_steps, num_training_steps, last_epoch, settings)


def get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> LambdaLR:
    """As `get_cosine_with_min_lr_schedule_with_warmup`, up from the share `warmup_lr_rate` of the peak."""
    settings = {
        "num_cycles": num_cycles,
        **_given(min_lr=min_lr, min_lr_rate=min_lr_rate, warmup_lr_rate=warmup_lr_rate),
    }
    return _lambda("cosine_warmup_with_min_lr", optimizer, num_warmup_steps, num_training_steps, last_epoch, settings)


def get_wsd_schedule(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_decay_steps: int,
    num_training_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0.0,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Up, level for `num_stable_steps` (or what the other two leave of `num_training_steps`), down.

    Raises:
        ConfigError: neither of the two numbers is given, or a type is not "linear", "cosine" or "1-sqrt".
    """
    settings = {
        "num_decay_steps": num_decay_steps,
        "num_stable_steps": num_stable_steps,
        "warmup_type": warmup_type,
        "decay_type": decay_type,
        "min_lr_ratio": min_lr_ratio,
        "num_cycles": num_cycles,
    }
    return _lambda("warmup_stable_decay", optimizer, num_warmup_steps, num_training_steps, last_epoch, settings)


def get_reduce_on_plateau_schedule(optimizer: Optimizer, **settings: Any) -> ReduceLROnPlateau:
    """Lower the rate when the evaluated number stops improving; step(number) after each evaluation."""
    return ReduceLROnPlateau(optimizer, **settings)


def get_scheduler(
    name: str | SchedulerType,
    optimizer: Optimizer,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    scheduler_specific_kwargs: Mapping[str, Any] | None = None,
) -> LRScheduler:
    """The schedule of that name.

    Args:
        name: a SchedulerType.
        optimizer: its groups' rates are the peaks.
        num_warmup_steps, num_training_steps: steps; only some schedules do without.
        scheduler_specific_kwargs: the schedule's own settings.

    Raises:
        UnknownNameError: no such schedule. ConfigError: a number or a setting is missing or does not fit.
    """
    kind, settings = SchedulerType(name), dict(scheduler_specific_kwargs or {})
    if kind is SchedulerType.REDUCE_ON_PLATEAU:
        return get_reduce_on_plateau_schedule(optimizer, **settings)
    if kind is SchedulerType.CONSTANT:
        return get_constant_schedule(optimizer)
    if num_warmup_steps is None:
        raise ConfigError(f"The schedule {kind.value!r} needs num_warmup_steps.")
    if num_training_steps is None and kind.value not in _WITHOUT_TOTAL:
        raise ConfigError(f"The schedule {kind.value!r} needs num_training_steps.")
    return _lambda(kind.value, optimizer, num_warmup_steps, num_training_steps, -1, settings)
