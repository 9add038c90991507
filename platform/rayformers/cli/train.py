"""`rayformers train`: run a job file, on this machine or on the cluster that it names."""

from __future__ import annotations

from .shared import JobFile, Overrides, print_rows


def train(job: JobFile, overrides: Overrides = None) -> None:
    """Train what a job file describes; track, evaluate, export and register it.

    The job runs on the cluster at `address` of the file, or RAY_ADDRESS; else on a Ray that it starts on this machine
    and stops again. With scale.num_workers=0 it runs in this process.

    Example: rayformers train jobs/digits.yaml train.num_train_epochs=5
    """
    from ..training import run_job
    from ..training.job import load_job

    result = run_job(load_job(job, overrides or []))
    rows = [
        (name, f"{value:.6g}" if isinstance(value, float) else str(value)) for name, value in result.metrics.items()
    ]
    rows += [("model", str(result.model_uri)), ("run", str(result.run_id)), ("output", str(result.output_dir))]
    if result.picture is not None:
        rows.append(("picture", str(result.picture)))
    print_rows(rows)
