"""Optimizers that torch does not have (guide: main_classes/optimizer_schedules)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..errors import ConfigError, InputError

_HALF = (torch.float16, torch.bfloat16)


def _rms(tensor: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(tensor)
    return norm / math.sqrt(tensor.numel())


class Adafactor(Optimizer):
    """Adam with the second moments of a matrix kept as one row and one column (Shazeer and Stern 2018,
    arXiv:1804.04235).

    Args:
        params: parameters or groups of them.
        lr: the rate; None with `relative_step`.
        eps: added to squared gradients, and the least root mean square that counts as a parameter's scale.
        clip_threshold: the largest root mean square of an update.
        decay_rate: the moments forget by 1 - step^decay_rate.
        beta1: decay of a first moment; None keeps none.
        weight_decay: share of a parameter that each unit of rate takes away.
        scale_parameter: multiply the rate by the parameter's root mean square.
        relative_step: the rate is 1 / sqrt(step), at most 0.01.
        warmup_init: with `relative_step`, at most 1e-6 * step instead.

    Raises:
        ConfigError: `lr` and `relative_step` both, or `warmup_init` without `relative_step`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | None = None,
        eps: tuple[float, float] = (1e-30, 1e-3),
        clip_threshold: float = 1.0,
        decay_rate: float = -0.8,
        beta1: float | None = None,
        weight_decay: float = 0.0,
        scale_parameter: bool = True,
        relative_step: bool = True,
        warmup_init: bool = False,
    ) -> None:
        if lr is not None and relative_step:
            raise ConfigError(
                f"Adafactor was given lr={lr} and relative_step=True. Pass relative_step=False with a rate."
            )
        if lr is None and not relative_step:
            raise ConfigError("Adafactor without relative_step needs a rate: pass lr.")
        if warmup_init and not relative_step:
            raise ConfigError("Adafactor's warmup_init=True needs relative_step=True.")
        defaults = {
            "lr": lr,
            "eps": eps,
            "clip_threshold": clip_threshold,
            "decay_rate": decay_rate,
            "beta1": beta1,
            "weight_decay": weight_decay,
            "scale_parameter": scale_parameter,
            "relative_step": relative_step,
            "warmup_init": warmup_init,
        }
        super().__init__(params, defaults)

    @staticmethod
    def rate(group: dict[str, Any], state: dict[str, Any]) -> float:
        """The rate of a parameter's last step, from its group and its state ("step" and "RMS")."""
        rate = group["lr"]
        if group["relative_step"]:
            highest = 1e-6 * state["step"] if group["warmup_init"] else 1e-2
            rate = min(highest, 1.0 / math.sqrt(state["step"]))
        scale = max(group["eps"][1], float(state["RMS"])) if group["scale_parameter"] else 1.0
        return float(scale * rate)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One update; returns the closure's loss.

        Raises:
            InputError: a gradient is sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient = parameter.grad
        assert gradient is not None
        if gradient.is_sparse:
            raise InputError("Adafactor takes dense gradients: make embeddings with sparse=False.")
        gradient = gradient.float() if gradient.dtype in _HALF else gradient
        values = parameter.float() if parameter.dtype in _HALF else parameter
        state = self.state[parameter]
        if not state:
            self._begin(state, gradient, group["beta1"] is not None)
        state["step"] += 1
        state["RMS"] = _rms(values)
        rate = self.rate(group, state)
        update = self._direction(state, gradient, 1.0 - state["step"] ** group["decay_rate"], group["eps"][0])
        update.div_((_rms(update) / group["clip_threshold"]).clamp_(min=1.0)).mul_(rate)
        if group["beta1"] is not None:
            state["exp_avg"] = state["exp_avg"].to(gradient).lerp_(update, 1 - group["beta1"])
            update = state["exp_avg"]
        if group["weight_decay"]:
            values.mul_(1 - group["weight_decay"] * rate)
        values.sub_(update)
        if values is not parameter:
            parameter.copy_(values)

    @staticmethod
    def _begin(state: dict[str, Any], gradient: Tensor, first_moment: bool) -> None:
        state.update(step=0, RMS=0.0)
        if first_moment:
            state["exp_avg"] = torch.zeros_like(gradient)
        if gradient.ndim >= 2:
            state["exp_avg_sq_row"] = torch.zeros_like(gradient[..., 0])
            state["exp_avg_sq_col"] = torch.zeros_like(gradient[..., 0, :])
        else:
            state["exp_avg_sq"] = torch.zeros_like(gradient)

    @staticmethod
    def _direction(state: dict[str, Any], gradient: Tensor, beta2: float, eps: float) -> Tensor:
        """The gradient over the root of its second moments, which are rows times columns for a matrix."""

        def averaged(name: str, new: Tensor) -> Tensor:
            moment: Tensor = state[name].to(gradient).lerp_(new, 1.0 - beta2)
            state[name] = moment
            return moment

        squares = gradient.square() + eps
        if gradient.ndim < 2:
            return averaged("exp_avg_sq", squares).rsqrt() * gradient
        row = averaged("exp_avg_sq_row", squares.mean(dim=-1))
        column = averaged("exp_avg_sq_col", squares.mean(dim=-2))
        row = row / row.mean(dim=-1, keepdim=True)
        return row.rsqrt()[..., None] * column.rsqrt()[..., None, :] * gradient


class AdafactorSchedule(LambdaLR):
    """Shows the rates that Adafactor chooses itself, so that they can be logged; it changes nothing.

    Args:
        optimizer: an Adafactor.
        initial_lr: what to show before the first step.
    """

    def __init__(self, optimizer: Adafactor, initial_lr: float = 0.0) -> None:
        for group in optimizer.param_groups:
            group["initial_lr"] = initial_lr
        super().__init__(optimizer, lambda _: initial_lr)
        for group in optimizer.param_groups:
            del group["initial_lr"]

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each group's first parameter."""
        optimizer = self.optimizer
        assert isinstance(optimizer, Adafactor)
        firsts = [(group, group["params"][0]) for group in optimizer.param_groups]
        rates: list[float | Tensor] = [
            optimizer.rate(group, optimizer.state[first])
            for group, first in firsts
            if first.grad is not None and optimizer.state[first]
        ]
        return rates or list(self.base_lrs)


def get_adafactor_schedule(optimizer: Adafactor, initial_lr: float = 0.0) -> AdafactorSchedule:
    """An AdafactorSchedule of `optimizer`."""
    return AdafactorSchedule(optimizer, initial_lr)
