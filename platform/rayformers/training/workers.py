"""The run on Ray Train workers: mailbox, worker function, and the call that starts them."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import RayformersError, TrainingError
from .events import Emit, Event
from .spec import RunSpec

POLL_S = 0.2


class Mailbox:
    """An actor that carries events from rank 0 to the driver, and the error that ends a run for good."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._failure: RayformersError | None = None
        self._result: dict[str, float] | None = None

    def put(self, event: Event) -> None:
        """Add an event."""
        self._events.append(event)

    def drain(self) -> list[Event]:
        """Take all events."""
        events, self._events = self._events, []
        return events

    def fail(self, error: RayformersError) -> None:
        """Record an error that a restart cannot mend. The first one counts."""
        self._failure = self._failure or error

    def failure(self) -> RayformersError | None:
        """The recorded error."""
        return self._failure

    def finish(self, result: dict[str, float]) -> None:
        """Record the final metrics."""
        self._result = result

    def result(self) -> dict[str, float] | None:
        """The final metrics, None before the end."""
        return self._result


def work(config: dict[str, Any]) -> None:
    """What every Ray Train worker runs."""
    import ray
    import ray.train
    import torch
    from ray.train.torch import get_device

    from .loop import Loop
    from .process import Process

    mailbox = config["mailbox"]
    if ray.get(mailbox.failure.remote()) is not None:
        return  # restarted after an error that would only come again
    context = ray.train.get_context()
    process = Process(
        rank=context.get_world_rank(), world=context.get_world_size(), device=torch.device(get_device()), kind="ray"
    )

    def report(metrics: dict[str, float], folder: Path | None) -> None:
        checkpoint = ray.train.Checkpoint.from_directory(str(folder)) if folder and process.is_main else None
        ray.train.report(
            metrics, checkpoint=checkpoint, checkpoint_upload_mode=ray.train.CheckpointUploadMode.NO_UPLOAD
        )

    try:
        result = Loop(config["spec"], process, lambda event: mailbox.put.remote(event), report).run()
    except RayformersError as error:
        ray.get(mailbox.fail.remote(error))
        raise
    if process.is_main:
        ray.get(mailbox.finish.remote(result))


def run_on_workers(spec: RunSpec, emit: Emit, *, use_gpu: bool) -> dict[str, float]:
    """Train on Ray Train workers; the process must be connected to a cluster.

    Raises:
        RayformersError: what the workers raised.
        TrainingError: workers died more often than scale.max_failures allows.
    """
    # Workers wait in `report` until the controller has looked; its habit of every 2 s would slow short epochs down.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", str(POLL_S))
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    # Ray's own memory of earlier runs in this folder; ours (checkpoint.json) decides what to go on from.
    (spec.output / "checkpoint_manager_snapshot.json").unlink(missing_ok=True)
    mailbox = ray.remote(Mailbox).options(num_cpus=0).remote()
    trainer = TorchTrainer(
        work,
        train_loop_config={"spec": spec, "mailbox": mailbox},
        torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=spec.scale.num_workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": spec.scale.cpus_per_worker, **({"GPU": 1} if use_gpu else {})},
        ),
        run_config=RunConfig(
            name=spec.output.name,
            storage_path=str(spec.output.parent),
            failure_config=FailureConfig(max_failures=spec.scale.max_failures),
        ),
    )
    with _Courier(lambda: ray.get(mailbox.drain.remote()), emit):
        try:
            trainer.fit()
        except TrainingFailedError as error:
            raise ray.get(mailbox.failure.remote()) or TrainingError(_story(error, spec)) from error
        finally:
            _tidy(spec.output)
    if (failure := ray.get(mailbox.failure.remote())) is not None:
        raise failure
    result: dict[str, float] | None = ray.get(mailbox.result.remote())
    if result is None:
        raise TrainingError("The workers ended without a result.")
    return result


def _story(error: BaseException, spec: RunSpec) -> str:
    causes = getattr(error, "worker_failures", None) or {}
    last = str(next(iter(causes.values()), error)).strip().splitlines() or [type(error).__name__]
    return (
        f"Training workers failed more often than scale.max_failures = {spec.scale.max_failures} allows. "
        f"The last failure: {last[-1]} Checkpoints are in {spec.output}; "
        "go on from there with train.resume_from_checkpoint=true."
    )


def _tidy(output: Path) -> None:
    """Remove what Ray Train leaves in the run's folder."""
    for name in ("checkpoint_manager_snapshot.json", ".validate_storage_marker"):
        (output / name).unlink(missing_ok=True)
    for folder in output.glob("worker_*"):
        shutil.rmtree(folder, ignore_errors=True)


class _Courier:
    """Brings events from the mailbox to the driver's callbacks while the driver waits for the run."""

    def __init__(self, drain: Callable[[], list[Event]], emit: Emit) -> None:
        self._drain, self._emit = drain, emit
        self._over = threading.Event()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._deliver, name="training-events", daemon=True)

    def _deliver(self) -> None:
        try:
            while not self._over.wait(POLL_S):
                self._bring()
        except BaseException as error:  # raised again in the driver's own thread
            self._problem = error

    def _bring(self) -> None:
        for event in self._drain():
            self._emit(event)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._over.set()
        self._thread.join()
        if self._problem is None:
            self._bring()
        elif kind is None:
            raise self._problem
