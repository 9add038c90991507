"""What the loop asks of an engine. Engines hold model, optimizer and gradients; the loop holds steps and data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import nn

from ..errors import ConfigError
from .arguments import TrainingArguments
from .job import ScaleConfig
from .process import Process

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """What all engines need to know of a run."""

    arguments: TrainingArguments
    scale: ScaleConfig
    process: Process
    accumulation: int
    """Forward passes per step that gradients are usually summed over."""
    saved_world: int | None = None
    """Ranks of the checkpoint that `load` will be given; None when the run starts afresh."""

    @property
    def precision(self) -> Precision:
        """The number format of forward and backward passes."""
        if self.arguments.fp16:
            return "float16"
        return "bfloat16" if self.arguments.bf16 else "float32"


class Engine(Protocol):
    """Runs one model on all ranks."""

    module: nn.Module
    """The model as it was given, with its own attributes and `save_pretrained`."""

    def prepare(self, model: nn.Module, settings: EngineSettings) -> None:
        """Move the model to its device and make the optimizer."""

    def forward_backward(self, inputs: Mapping[str, Any], *, weight: float, last: bool) -> torch.Tensor:
        """Add the gradients of `weight` times the mean loss; exchange them when `last`. Returns weight x loss."""

    def step(self, learning_rate: float) -> float:
        """Clip, update the weights, clear the gradients. Returns the gradients' norm before clipping."""

    def evaluate(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The model's outputs without gradients."""

    def weights(self) -> dict[str, torch.Tensor]:
        """All weights on rank 0 (on the CPU), {} on other ranks. All ranks must call it."""

    def save(self, folder: Path) -> None:
        """Write optimizer and weights into an existing folder. All ranks must call it."""

    def load(self, folder: Path) -> None:
        """Continue from what `save` wrote, on the same or another number of ranks."""


def make_engine(scale: ScaleConfig) -> Engine:
    """The engine that a job asks for."""
    if scale.zero_stage is None:
        from .torch_engine import TorchEngine

        return TorchEngine()
    from .deepspeed_engine import DeepSpeedEngine

    return DeepSpeedEngine()


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters that decay, and those that do not: biases and the parameters of norms."""
    spared = {
        id(parameter)
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if name == "bias" or name.endswith("_bias") or "norm" in type(module).__name__.lower()
    }
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) not in spared], "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) in spared], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def adamw(model: nn.Module, arguments: TrainingArguments) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) with the run's settings."""
    return torch.optim.AdamW(
        parameter_groups(model, arguments.weight_decay),
        lr=arguments.learning_rate,
        betas=(arguments.adam_beta1, arguments.adam_beta2),
        eps=arguments.adam_epsilon,
    )


def enable_gradient_checkpointing(model: nn.Module, wanted: bool) -> None:
    """Recompute activations in the backward pass where the run asks for it."""
    if not wanted:
        return
    enable = getattr(model, "gradient_checkpointing_enable", None)
    if enable is None:
        raise ConfigError(f"gradient_checkpointing: {type(model).__name__} cannot recompute its activations.")
    enable()


def to_device(inputs: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Tensors moved to the device, other values as they are."""
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
        for name, value in inputs.items()
    }


def loss_of(outputs: Any) -> torch.Tensor:
    """The loss in a model's outputs.

    Raises:
        ConfigError: there is none, because the batch has no labels.
    """
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", None)
    if loss is None:
        raise ConfigError("The model returned no loss: its batch has no labels. Give the dataset a column 'labels'.")
    found: torch.Tensor = loss
    return found


def set_rate(groups: Iterable[dict[str, Any]], learning_rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in groups:
        group["lr"] = learning_rate
