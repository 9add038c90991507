"""DeepSpeed ZeRO stages 0 to 3. The only file that imports deepspeed."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import CheckpointError, ConfigError, DependencyError, ResourceError
from .engine import EngineSettings, adamw, enable_gradient_checkpointing, loss_of, to_device

TAG = "zero"
UNIVERSAL = "universal"
NATIVE_OPS = "RAYFORMERS_DEEPSPEED_OPS"
"""Set to 1 to let DeepSpeed compile its shared-memory all-reduce for CPU workers (50 to 80 s, once a machine)."""


class DeepSpeedEngine:
    """See `Engine`."""

    module: nn.Module

    def prepare(self, model: nn.Module, settings: EngineSettings) -> None:
        """Divide optimizer (stage 1), gradients (2) and weights (3) among the ranks."""
        if settings.precision == "float16" and settings.process.device.type != "cuda":
            raise ConfigError("fp16 needs a CUDA device; on a CPU set bf16, or neither.")
        deepspeed = _import(settings.process.device.type)
        enable_gradient_checkpointing(model, settings.arguments.gradient_checkpointing)
        self.settings, self.process = settings, settings.process
        self.stage = settings.scale.zero_stage or 0
        self.module = model.to(self.process.device)
        self.engine, *_ = deepspeed.initialize(
            model=self.module,
            optimizer=adamw(self.module, settings.arguments),
            config=configuration(settings),
            dist_init_required=False,
        )
        self._deepspeed = deepspeed

    def forward_backward(self, inputs: Mapping[str, Any], *, weight: float, last: bool) -> torch.Tensor:
        """Add the gradients of `weight` times the mean loss; exchange them when `last`."""
        self.engine.set_gradient_accumulation_boundary(last)
        loss = loss_of(self.engine(**self._inputs(inputs)))
        # DeepSpeed averages over ranks; the weights already add up to 1 over ranks and micro batches.
        self.engine.backward(loss * (weight * self.process.world), scale_wrt_gas=False)
        return loss.detach().float() * weight

    def _inputs(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """On the device, and floats in the weights' own format: DeepSpeed keeps 16-bit weights, not autocast."""
        moved = to_device(inputs, self.process.device)
        if self.settings.precision == "float32":
            return moved
        dtype = getattr(torch, self.settings.precision)
        return {
            name: value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value
            for name, value in moved.items()
        }

    def step(self, learning_rate: float) -> float:
        """Clip, update the weights, clear the gradients. Returns the gradients' norm before clipping."""
        for group in self.engine.optimizer.param_groups:
            group["lr"] = learning_rate
        self.engine.step()
        return float(self.engine.get_global_grad_norm() or 0.0)

    def evaluate(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The model's outputs without gradients."""
        with torch.no_grad():
            outputs: Mapping[str, Any] = self.engine(**self._inputs(inputs))
        return outputs

    def weights(self) -> dict[str, torch.Tensor]:
        """All weights on rank 0 (on the CPU), {} on other ranks. Stage 3 gathers one parameter after the other."""
        if self.stage < 3:
            state = self.module.state_dict() if self.process.is_main else {}
            return {name: value.detach().float().cpu() for name, value in state.items()}
        gathered: dict[str, torch.Tensor] = {}
        for name, parameter in self.module.named_parameters(remove_duplicate=False):
            with self._deepspeed.zero.GatheredParameters(parameter):
                if self.process.is_main:
                    gathered[name] = parameter.detach().cpu().clone()
        if self.process.is_main:
            kept = self.module.state_dict().keys()
            buffers = {name: value for name, value in self.module.named_buffers() if name in kept}
            gathered |= {name: value.detach().cpu().clone() for name, value in buffers.items()}
        return gathered

    def save(self, folder: Path) -> None:
        """Write every rank's part below `folder`."""
        self.engine.save_checkpoint(str(folder), tag=TAG, save_latest=True)

    def load(self, folder: Path) -> None:
        """Continue from what `save` wrote; parts for another number of ranks are converted first.

        Raises:
            CheckpointError: the folder does not hold a DeepSpeed checkpoint, or not of this model.
        """
        if not (folder / TAG).is_dir():
            raise CheckpointError(f"{folder} was not written by DeepSpeed: it has no folder {TAG!r}.")
        tag = TAG
        if _converted(self.settings):
            if self.process.is_main:
                to_universal(folder / TAG, folder / UNIVERSAL, stage=self.stage)
            self.process.barrier()
            tag = UNIVERSAL
        loaded, _ = self.engine.load_checkpoint(str(folder), tag=tag)
        if loaded is None:
            raise CheckpointError(f"DeepSpeed could not load {folder / tag}.")
        if tag == UNIVERSAL:
            self.process.barrier()
            if self.process.is_main:
                shutil.rmtree(folder / UNIVERSAL)


def configuration(settings: EngineSettings) -> dict[str, Any]:
    """DeepSpeed's configuration of a run."""
    stage = settings.scale.zero_stage or 0
    zero: dict[str, Any] = {"stage": stage, "contiguous_gradients": True, "overlap_comm": False}
    if settings.scale.offload_optimizer:
        zero["offload_optimizer"] = {"device": "cpu"}
    if stage == 3:
        # Parameters below this many elements stay whole on every rank.
        zero["stage3_param_persistence_threshold"] = 10_000
    return {
        "train_micro_batch_size_per_gpu": settings.arguments.per_device_train_batch_size,
        "gradient_accumulation_steps": settings.accumulation,
        "gradient_clipping": settings.arguments.max_grad_norm,
        "zero_optimization": zero,
        # The optimizer is torch's own: the same arithmetic as the torch engine, and nothing to compile.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": settings.precision == "bfloat16"},
        "fp16": {"enabled": settings.precision == "float16"},
        "checkpoint": {"load_universal": _converted(settings)},
        "steps_per_print": 2**31,
        "wall_clock_breakdown": False,
    }


def _converted(settings: EngineSettings) -> bool:
    """True when a checkpoint has to change its number of ranks. Stage 0 keeps whole state on every rank."""
    return bool(settings.scale.zero_stage) and settings.saved_world not in (None, settings.process.world)


def to_universal(source: Path, target: Path, *, stage: int) -> None:
    """Convert a ZeRO checkpoint to one that any number of ranks can load."""
    from deepspeed.checkpoint.ds_to_universal import main

    shutil.rmtree(target, ignore_errors=True)
    main(
        argparse.Namespace(
            input_folder=str(source),
            output_folder=str(target),
            num_extract_workers=1,
            num_merge_workers=1,
            keep_temp_folder=False,
            strict=True,
            inject_missing_state=stage < 3,
        )
    )


@contextmanager
def _without_mlflow() -> Iterator[None]:
    """DeepSpeed's autotuner imports mlflow where it finds it: three quarters of the time to start a worker."""
    if "mlflow" in sys.modules:
        yield
        return
    sys.modules["mlflow"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["mlflow"]


def _import(device: str) -> Any:
    """deepspeed, set up for the device and quiet."""
    os.environ.setdefault("DS_ACCELERATOR", device)
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    try:
        with _without_mlflow():
            import deepspeed
            import deepspeed.ops
    except ImportError as error:
        raise DependencyError("scale.zero_stage needs DeepSpeed: pip install 'rayformers[train]'.") from error
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    found = deepspeed.accelerator.get_accelerator().device_name()
    if found != device:
        raise ResourceError(
            f"DeepSpeed runs on {found!r} and the run on {device!r}; unset DS_ACCELERATOR or set it to {device!r}."
        )
    if device == "cpu" and os.environ.get(NATIVE_OPS) != "1":
        # torch's gloo takes the place of DeepSpeed's own all-reduce, which would be compiled at the first start.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed
