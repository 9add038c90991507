"""When to log, evaluate and save: pure functions of the number of finished steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .arguments import Interval, TrainingArguments


@dataclass(frozen=True, kw_only=True)
class Cadence:
    """The rhythm of one run."""

    arguments: TrainingArguments
    steps_per_epoch: int
    total_steps: int

    def _due(self, strategy: Interval, every: float, done: int) -> bool:
        if strategy == "no":
            return False
        if strategy == "epoch":
            return done % self.steps_per_epoch == 0 or done == self.total_steps
        interval = math.ceil(every * self.total_steps) if every < 1 else int(every)
        return done % interval == 0

    def logs(self, done: int) -> bool:
        """True after the step that made `done` steps when a log line is due."""
        first = self.arguments.logging_first_step and done == 1
        return first or self._due(self.arguments.logging_strategy, self.arguments.logging_steps, done)

    def evaluates(self, done: int) -> bool:
        """True when an evaluation is due."""
        every = self.arguments.eval_steps or self.arguments.logging_steps
        return self._due(self.arguments.eval_strategy, every, done)

    def saves(self, done: int) -> bool:
        """True when a checkpoint is due; a run that saves at all saves its end."""
        ends = done == self.total_steps and self.arguments.save_strategy != "no"
        return ends or self._due(self.arguments.save_strategy, self.arguments.save_steps, done)

    def evaluations_after(self, done: int) -> int:
        """Evaluations still to come."""
        return sum(self.evaluates(step) for step in range(done + 1, self.total_steps + 1))

    def epoch(self, done: int) -> float:
        """Epochs finished, with the fraction of the present one."""
        return done / self.steps_per_epoch
