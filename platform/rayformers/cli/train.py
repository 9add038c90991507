"""`rayformers train`: run a job file, on this machine or on the cluster that it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .shared import JobFile, Overrides, print_rows

if TYPE_CHECKING:
    from ..training.job import JobConfig


def train(
    job: JobFile,
    overrides: Overrides = None,
    result: Annotated[
        Path | None, typer.Option(help="File to write metrics and addresses to, as JSON, for programs.")
    ] = None,
) -> None:
    """Train what a job file describes; track, evaluate, export and register it.

    The job runs on the cluster at `address` of the file, or RAY_ADDRESS; else on a Ray that it starts on this machine
    and stops again. With scale.num_workers=0 it runs in this process.

    Example: rayformers train jobs/digits.yaml train.num_train_epochs=5
    """
    from ..training import run_job
    from ..training.job import load_job

    config = load_job(job, overrides or [])
    done = run_job(config)
    values = done.metrics.items()
    rows = [(name, f"{value:.6g}" if isinstance(value, float) else str(value)) for name, value in values]
    rows += [(name, str(value)) for name, value in _places(done, config).items() if value is not None]
    print_rows(rows)
    if result is not None:
        _write(result, {"metrics": done.metrics, **_places(done, config)})


def _places(done: Any, config: JobConfig) -> dict[str, Any]:
    """Where the outcome of a run lies."""
    uri = None
    if config.track is not None:
        from ..tracking.mlflow import tracking_uri

        uri = config.track.uri or tracking_uri()
    return {
        "model_uri": str(done.model_uri),
        "run_id": done.run_id,
        "output_dir": str(done.output_dir),
        "picture": str(done.picture) if done.picture else None,
        "tracking_uri": uri,
    }


def _write(file: Path, values: dict[str, Any]) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    part.replace(file)
