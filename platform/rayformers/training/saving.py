"""Checkpoints in the loop: all ranks write one together, and agree on the one to go on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from . import checkpoint
from .checkpoint import CheckpointState
from .engine import Engine
from .export import write_model
from .process import Process
from .spec import RunSpec


def describe(
    spec: RunSpec, process: Process, *, step: int, metrics: dict[str, float], best: dict[str, Any]
) -> CheckpointState:
    """The state of a run after `step` steps."""
    return CheckpointState(
        step=step,
        epoch=spec.cadence.epoch(step),
        samples_seen=spec.order.samples_before(step),
        seed=spec.arguments.seed,
        order_seed=spec.arguments.order_seed,
        global_batch=spec.global_batch,
        total_steps=spec.total_steps,
        data_hash=spec.data_hash,
        world=process.world,
        zero_stage=spec.scale.zero_stage,
        attempt=spec.attempt,
        run_id=spec.run_id,
        metrics=metrics,
        best=best,
    )


def write_checkpoint(engine: Engine, spec: RunSpec, process: Process, state: CheckpointState) -> Path:
    """Write weights, engine state and manifest; delete what save_total_limit leaves no room for."""
    if process.is_main:
        checkpoint.begin(spec.output, state.step)
    process.barrier()
    partial = checkpoint.partial_of(spec.output, state.step)
    engine.save(partial / checkpoint.ENGINE)
    weights = engine.weights()
    process.barrier()
    if process.is_main:
        write_model(engine.module, weights, spec.processor, partial)
        checkpoint.commit(spec.output, state)
        best = state.best.get("step") if spec.arguments.load_best_model_at_end else None
        checkpoint.rotate(spec.output, keep=spec.arguments.save_total_limit, best_step=best)
    process.barrier()
    return checkpoint.folder_of(spec.output, state.step)


def resume_point(spec: RunSpec) -> tuple[Path | None, CheckpointState | None, list[str]] | Exception:
    """The checkpoint to go on from, or why that cannot be. Rank 0 looks, so that all ranks agree.

    A worker that was killed finds the newest whole checkpoint of its own run; a new run starts from the one it was
    given, which must have the same samples at every step.
    """
    own = checkpoint.newest(spec.output, attempt=spec.attempt)
    if own is not None:
        return own
    if spec.resume is None:
        return None, None, []
    try:
        state = checkpoint.read(spec.resume)
    except (CheckpointError, OSError) as error:
        return error
    expected = (spec.global_batch, spec.arguments.order_seed, spec.data_hash)
    if (state.global_batch, state.order_seed, state.data_hash) != expected:
        return CheckpointError(
            f"{spec.resume} was made with another global batch, data seed or data "
            f"({state.global_batch}, {state.order_seed}, {state.data_hash[:12]}) than this run has "
            f"({expected[0]}, {expected[1]}, {expected[2][:12]}); going on would train on other samples."
        )
    if state.zero_stage != spec.scale.zero_stage:
        return CheckpointError(
            f"{spec.resume} was made with zero_stage {state.zero_stage}, this run has "
            f"{spec.scale.zero_stage}. Set scale.zero_stage to {state.zero_stage}."
        )
    return spec.resume, state, []
