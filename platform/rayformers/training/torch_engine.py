"""Plain torch: one process, or DistributedDataParallel on many."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import CheckpointError, ConfigError
from .engine import EngineSettings, adamw, enable_gradient_checkpointing, loss_of, set_rate, to_device

STATE = "state.pt"


class TorchEngine:
    """See `Engine`."""

    module: nn.Module

    def prepare(self, model: nn.Module, settings: EngineSettings) -> None:
        """Move the model to its device and make the optimizer."""
        process = settings.process
        if settings.precision == "float16" and process.device.type != "cuda":
            raise ConfigError("fp16 needs a CUDA device; on a CPU set bf16, or neither.")
        enable_gradient_checkpointing(model, settings.arguments.gradient_checkpointing)
        self.settings, self.process = settings, process
        self.module = model.to(process.device)
        self.runner: nn.Module = self.module
        if process.world > 1:
            self.runner = DistributedDataParallel(
                self.module, device_ids=[process.device] if process.device.type == "cuda" else None
            )
        self.optimizer = adamw(self.module, settings.arguments)
        self.scaler = torch.amp.GradScaler(process.device.type, enabled=settings.precision == "float16")

    def _autocast(self) -> Any:
        dtype = getattr(torch, self.settings.precision)
        return nullcontext() if dtype is torch.float32 else torch.autocast(self.process.device.type, dtype=dtype)

    def forward_backward(self, inputs: Mapping[str, Any], *, weight: float, last: bool) -> torch.Tensor:
        """Add the gradients of `weight` times the mean loss; exchange them when `last`."""
        quiet = isinstance(self.runner, DistributedDataParallel) and not last
        synchronisation: Any = self.runner.no_sync() if quiet else nullcontext()  # type: ignore[operator]
        with synchronisation:
            with self._autocast():
                loss = loss_of(self.runner(**to_device(inputs, self.process.device)))
            # DistributedDataParallel averages over ranks; the weights already add up to 1 over them.
            self.scaler.scale(loss * (weight * self.process.world)).backward()  # type: ignore[no-untyped-call]
        return loss.detach().float() * weight

    def step(self, learning_rate: float) -> float:
        """Clip, update the weights, clear the gradients. Returns the gradients' norm before clipping."""
        set_rate(self.optimizer.param_groups, learning_rate)
        self.scaler.unscale_(self.optimizer)
        limit = self.settings.arguments.max_grad_norm
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), limit if limit > 0 else float("inf"))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return float(norm)

    def evaluate(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The model's outputs without gradients."""
        with torch.inference_mode(), self._autocast():
            outputs: Mapping[str, Any] = self.module(**to_device(inputs, self.process.device))
        return outputs

    def weights(self) -> dict[str, torch.Tensor]:
        """All weights on rank 0 (on the CPU), {} on other ranks."""
        if not self.process.is_main:
            return {}
        return {name: value.detach().cpu() for name, value in self.module.state_dict().items()}

    def save(self, folder: Path) -> None:
        """Write weights, optimizer and loss scale; ranks hold the same, so rank 0 writes."""
        if self.process.is_main:
            state = {
                "model": self.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
            }
            torch.save(state, folder / STATE)

    def load(self, folder: Path) -> None:
        """Continue from what `save` wrote, on any number of ranks."""
        file = folder / STATE
        if not file.is_file():
            raise CheckpointError(f"{folder} was not written by the torch engine: it has no {STATE}.")
        state = torch.load(file, map_location=self.process.device, weights_only=True)
        try:
            self.module.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{file} does not fit the model of this run: {error}") from error
        self.scaler.load_state_dict(state["scaler"])
