"""The trained model in the Hub's layout: config.json, model.safetensors, and the processor's file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .checkpoint import ENGINE, MANIFEST, folder_of
from .engine import Engine
from .process import Process
from .spec import RunSpec

MODEL = "model"
"""Folder of the final model below a run's output."""
WEIGHTS = "weights.pt"
"""File of a module that has no Hub layout of its own."""


def write_model(module: nn.Module, weights: dict[str, torch.Tensor], processor: Any | None, folder: Path) -> None:
    """Write weights, configuration and processor into an existing folder."""
    save = getattr(module, "save_pretrained", None)
    if save is None:
        torch.save(weights, folder / WEIGHTS)
    else:
        save(folder, state_dict=weights)
    if processor is not None:
        processor.save_pretrained(folder)


def export_final(engine: Engine, spec: RunSpec, process: Process, best: dict[str, Any]) -> None:
    """Write the final model to `output/model`; with load_best_model_at_end the best checkpoint's."""
    chosen = folder_of(spec.output, best["step"]) if best and spec.arguments.load_best_model_at_end else None
    weights = engine.weights() if chosen is None else {}
    if process.is_main:
        partial, final = spec.output / f".{MODEL}.partial", spec.output / MODEL
        shutil.rmtree(partial, ignore_errors=True)
        if chosen is None:
            partial.mkdir(parents=True)
            write_model(engine.module, weights, spec.processor, partial)
        else:
            shutil.copytree(chosen, partial, ignore=shutil.ignore_patterns(ENGINE, MANIFEST))
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    process.barrier()
