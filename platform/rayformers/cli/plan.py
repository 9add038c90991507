"""`rayformers plan`: check a job file and say what it will take."""

from __future__ import annotations

from .shared import JobFile, Overrides, bytes_text, print_rows


def plan(job: JobFile, overrides: Overrides = None) -> None:
    """Check a job file and print what it will take. Starts nothing and downloads no weights.

    Example: rayformers plan jobs/digits.yaml scale.num_workers=8 scale.zero_stage=3
    """
    from ..cluster import plan as plan_job
    from ..training.job import load_job

    made = plan_job(load_job(job, overrides or []))
    rows = [
        ("task", made.task),
        ("model", made.model),
        ("data", made.data),
        ("world size", f"{made.world_size} ({made.engine}, {made.device})"),
        ("global batch", f"{made.global_batch_rows} rows = {made.batch_formula}"),
        ("accumulation", f"{made.accumulation_steps} forward passes per optimizer step"),
        ("parameters", f"{made.parameters:,} ({made.trainable_parameters:,} trained, {made.precision})"),
        (
            "memory per worker",
            f"{bytes_text(made.state_bytes_per_worker)} of {made.memory_formula}; activations come on top",
        ),
        ("checkpoint", f"{bytes_text(made.checkpoint_bytes)} (weights and optimizer state)"),
        ("final model", bytes_text(made.model_bytes)),
        ("cluster needs", made.needs),
    ]
    if made.optimizer_steps is not None:
        rows.insert(6, ("optimizer steps", f"{made.optimizer_steps:,}"))
    print_rows(rows)
