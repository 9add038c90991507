"""Finds the module where numbers overflow or become NaN (guide: internal/trainer_utils)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..enums import ExplicitEnum
from ..errors import ConfigError, TrainingError

logger = logging.getLogger(__name__)

_HEADER = "abs min  abs max  of"


class DebugOption(ExplicitEnum):
    """What `TrainingArguments(debug=...)` can ask for."""

    UNDERFLOW_OVERFLOW = "underflow_overflow"


def _tensors(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _tensors(item, f"{name}.{key}")
    elif isinstance(value, (tuple, list)):
        for number, item in enumerate(value):
            yield from _tensors(item, f"{name}[{number}]")
    else:
        yield name, value


def get_abs_min_max(var: torch.Tensor, ctx: str) -> str:
    """A line with the smallest and the largest absolute value."""
    if not var.numel():
        return f"{'empty':>17} {ctx}"
    values = var.detach().abs()
    return f"{float(values.min()):8.2e} {float(values.max()):8.2e} {ctx}"


def detect_overflow(var: torch.Tensor, ctx: str) -> bool:
    """Whether there is an infinity or a NaN; says which and where in the log."""
    if not var.is_floating_point() or bool(torch.isfinite(var).all()):
        return False
    logger.error("%s has %d nan and %d inf", ctx, int(torch.isnan(var).sum()), int(torch.isinf(var).sum()))
    return True


class DebugUnderflowOverflow:
    """Watches every module's weights, inputs and outputs, and stops at the first infinity or NaN.

    The error shows the last modules before it. Hooks cost time: use it to find a fault, not for whole runs.

    Args:
        model: is watched until `remove` is called.
        max_frames_to_save: modules that the error shows.
        trace_batch_nums: batches, from 0, whose modules are all logged; these are not stopped.
        abort_after_batch_num: stop after this batch, whatever happened.

    Raises:
        ConfigError: no frames are to be saved.
    """

    def __init__(
        self,
        model: nn.Module,
        max_frames_to_save: int = 21,
        trace_batch_nums: Sequence[int] = (),
        abort_after_batch_num: int | None = None,
    ) -> None:
        if max_frames_to_save < 1:
            raise ConfigError(
                f"max_frames_to_save is {max_frames_to_save}; at least 1 module must be kept to be shown."
            )
        self.model = model
        self.trace_batch_nums = frozenset(trace_batch_nums)
        self.abort_after_batch_num = abort_after_batch_num
        self.frames: deque[str] = deque(maxlen=max_frames_to_save)
        self.batch_number = 0
        self.module_names = {module: name for name, module in model.named_modules()}
        self._hooks = [module.register_forward_hook(self._after, with_kwargs=True) for module in model.modules()]

    def remove(self) -> None:
        """Stop watching."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _frame(self, module: nn.Module, values: Any) -> bool:
        """Keep a description of a module's run; whether one of the numbers is not finite."""
        name = self.module_names[module] or "(the model)"
        lines, broken = [f"{'':17} {name} {type(module).__name__}"], False
        for label, value in values:
            if isinstance(value, torch.Tensor):
                lines.append(get_abs_min_max(value, label))
                broken = detect_overflow(value, f"{name} {label}") or broken
            else:
                lines.append(f"{'None' if value is None else 'not a tensor':>17} {label}")
        self.frames.append("\n".join(lines))
        return broken

    def _after(self, module: nn.Module, inputs: Any, options: Mapping[str, Any], output: Any) -> None:
        traced = self.batch_number in self.trace_batch_nums
        values = [
            *module.named_parameters(recurse=False),
            *_tensors(inputs, "input"),
            *_tensors(options, "input"),
            *_tensors(output, "output"),
        ]
        broken = self._frame(module, values)
        if traced:
            logger.info("batch %d\n%s", self.batch_number, self.frames[-1])
        elif broken:
            shown = "\n".join(self.frames)
            raise TrainingError(
                f"A number overflowed or became NaN in batch {self.batch_number}. Lower the learning rate, or use bf16 "
                f"or fp32 rather than fp16. The last {len(self.frames)} modules:\n{_HEADER}\n{shown}"
            )
        if module is self.model:
            finished, self.batch_number = self.batch_number, self.batch_number + 1
            if self.abort_after_batch_num is not None and finished >= self.abort_after_batch_num:
                raise TrainingError(f"Stopped after batch {finished}, as abort_after_batch_num asks.")
