"""The worker loop: the same in this process and in every Ray Train worker.

start    newest whole checkpoint of this run, else the one that was asked for, else from scratch
step     the pieces of the global batch: forward, backward; then clip and update
after    log, evaluate, save, as often as the arguments say
end      export the final (or best) model in the Hub's layout
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from ..data.ordering import accumulation
from ..data.stream import Piece, stream
from ..errors import TrainingError
from . import checkpoint
from .engine import EngineSettings, make_engine
from .evaluation import evaluate
from .events import Emit, Event, Kind
from .export import export_final
from .process import Process
from .saving import describe, resume_point, write_checkpoint
from .schedules import schedule
from .spec import RunSpec

Report = Callable[[dict[str, float], Path | None], None]
"""Called on every rank after an evaluation or checkpoint (Ray Train's report is collective)."""


class Loop:
    """One worker's run."""

    def __init__(self, spec: RunSpec, process: Process, emit: Emit, report: Report) -> None:
        self.spec, self.process, self.report = spec, process, report
        self.emit = emit if process.is_main else lambda event: None
        self.arguments, self.cadence = spec.arguments, spec.cadence
        self.total = spec.total_steps
        self.engine = make_engine(spec.scale)
        self.metrics: dict[str, float] = {}
        self.best: dict[str, Any] = {}
        self.done = 0

    def run(self) -> dict[str, float]:
        """Train to the last step; returns the final metrics (equal on every rank)."""
        self._start()
        arguments = self.arguments
        rate = schedule(
            arguments.lr_scheduler_type,
            warmup_steps=arguments.get_warmup_steps(self.total),
            total_steps=self.total,
            learning_rate=arguments.learning_rate,
            settings=arguments.lr_scheduler_kwargs,
        )
        pieces = self._stream(self.spec.train, self.spec.plan(self.process), self.done, self.total)
        held_out = self._held_out()
        if arguments.eval_on_start and self.done == 0 and self.spec.evaluation is not None:
            self._evaluate(held_out)
        started = window_started = time.perf_counter()
        first, window_first = self.done, self.done
        window_loss = torch.zeros((), device=self.process.device)
        while self.done < self.total:
            # Dropout and the like depend on the step alone, so that a resumed run draws what it would have drawn.
            torch.manual_seed(hash((arguments.seed, self.done, self.process.rank)) % 2**63)
            for piece in pieces:
                window_loss += self.engine.forward_backward(
                    piece.inputs, weight=piece.micro.weight, last=piece.last
                ).detach()
                if piece.last:
                    break
            learning_rate = rate(self.done)
            norm = self.engine.step(learning_rate)
            self.done += 1
            if self.cadence.logs(self.done) or self.done == self.total:
                loss = float(self.process.sum(window_loss)) / (self.done - window_first)
                self._log(loss, learning_rate, norm, window_first, time.perf_counter() - window_started)
                window_loss.zero_()
                window_first, window_started = self.done, time.perf_counter()
            self._after_step(held_out)
        duration = max(time.perf_counter() - started, 1e-9)
        export_final(self.engine, self.spec, self.process, self.best)
        samples = self.spec.order.samples_before(self.done) - self.spec.order.samples_before(first)
        final = self.metrics | {
            "train_runtime": duration,
            "train_samples_per_second": samples / duration,
            "train_steps_per_second": (self.done - first) / duration,
            "epoch": self.cadence.epoch(self.done),
        }
        self._emit("end", final)
        return final

    # -- start ----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        torch.manual_seed(self.arguments.seed)
        found = self.process.broadcast(resume_point(self.spec) if self.process.is_main else None)
        if isinstance(found, Exception):
            raise found
        folder, state, problems = found
        settings = EngineSettings(
            arguments=self.arguments,
            scale=self.spec.scale,
            process=self.process,
            accumulation=accumulation(
                self.spec.global_batch, world=self.process.world, micro=self.arguments.per_device_train_batch_size
            ),
            saved_world=state.world if state else None,
        )
        model = self.spec.build()
        model.train()
        self.engine.prepare(model, settings)
        if folder is not None and state is not None:
            self.engine.load(folder / checkpoint.ENGINE)
            self.done, self.metrics, self.best = state.step, dict(state.metrics), dict(state.best)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        self._emit("begin", {"total_steps": self.total, "parameters": parameters, "resumed": folder is not None})
        for problem in problems:
            self._emit("notice", {"text": problem})

    def _stream(self, dataset: Any, plan: Any, first: int, last: int) -> Iterator[Piece]:
        return stream(
            dataset,
            plan,
            first_step=first,
            last_step=last,
            distributed=self.process.kind == "ray",
            collate=self.spec.collate,
            prefetch=self.arguments.dataloader_prefetch_factor or 2,
        )

    def _held_out(self) -> Iterator[Piece]:
        """The held-out rows, once for every evaluation to come, read ahead while training."""
        if self.spec.evaluation is None:
            return iter(())
        passes = self.cadence.evaluations_after(self.done) + int(self.arguments.eval_on_start and self.done == 0)
        return self._stream(self.spec.evaluation, self.spec.evaluation_plan(self.process), 0, passes)

    # -- after a step ---------------------------------------------------------------------------------------------

    def _after_step(self, held_out: Iterator[Piece]) -> None:
        evaluates = self.cadence.evaluates(self.done) and self.spec.evaluation is not None
        if evaluates:
            self._evaluate(held_out)
        folder = self._save() if self.cadence.saves(self.done) else None
        if evaluates or folder is not None:
            self.report({**self.metrics, "step": self.done}, folder)

    def _log(self, loss: float, learning_rate: float, norm: float, first: int, duration: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss is {loss} at step {self.done}. Lower learning_rate ({self.arguments.learning_rate}), "
                "lengthen the warm-up, or look for bad rows in the data."
            )
        samples = self.spec.order.samples_before(self.done) - self.spec.order.samples_before(first)
        speed = samples / max(duration, 1e-9)
        self._emit(
            "log", {"loss": loss, "learning_rate": learning_rate, "grad_norm": norm, "samples_per_second": speed}
        )

    def _evaluate(self, held_out: Iterator[Piece]) -> None:
        self.metrics = evaluate(
            self.engine,
            held_out,
            self.process,
            compute_metrics=self.spec.compute_metrics,
            label_names=self.arguments.label_names,
        )
        value = self.metrics.get(self.arguments.best_metric)
        if value is None and self.arguments.load_best_model_at_end:
            raise TrainingError(
                f"metric_for_best_model {self.arguments.best_metric!r} is not among {sorted(self.metrics)}."
            )
        better = value is not None and (
            not self.best
            or ((value > self.best["value"]) is self.arguments.best_is_greatest and value != self.best["value"])
        )
        if better:
            self.best = {"step": self.done, "value": value}
        self._emit("evaluate", dict(self.metrics))

    def _save(self) -> Path:
        state = describe(self.spec, self.process, step=self.done, metrics=self.metrics, best=self.best)
        folder = write_checkpoint(self.engine, self.spec, self.process, state)
        self._emit("save", {"path": str(folder)})
        return folder

    def _emit(self, kind: Kind, values: dict[str, Any]) -> None:
        self.emit(Event(kind=kind, step=self.done, epoch=self.cadence.epoch(self.done), values=values))
