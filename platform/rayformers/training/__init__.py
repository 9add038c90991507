"""Training: the driver (`Trainer`, `run_job`), the worker loop, engines, checkpoints, callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .arguments import TrainingArguments
    from .job import JobConfig, ScaleConfig, load_job
    from .metrics import EvalPrediction
    from .run import TrainResult, run_job
    from .trainer import Trainer, TrainOutput

__all__ = [
    "EvalPrediction", "JobConfig", "ScaleConfig", "TrainOutput", "TrainResult", "Trainer", "TrainingArguments",
    "load_job", "run_job",
]  # fmt: skip

_MODULES = {
    "TrainingArguments": "arguments",
    "JobConfig": "job",
    "ScaleConfig": "job",
    "load_job": "job",
    "EvalPrediction": "metrics",
    "TrainResult": "run",
    "run_job": "run",
    "TrainOutput": "trainer",
    "Trainer": "trainer",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
