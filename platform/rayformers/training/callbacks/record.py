"""Metrics of a run in the experiment tracker, each step once although a restarted worker repeats some."""

from __future__ import annotations

from ...tracking import Tracker
from ..events import Event
from .base import Callback


class Record(Callback):
    """Sends numbers to a tracker whose run is open."""

    def __init__(self, tracker: Tracker, *, from_step: int = 0) -> None:
        self._tracker = tracker
        self._newest = {"log": from_step, "evaluate": from_step}

    def _numbers(self, event: Event) -> None:
        if event.step > self._newest[event.kind] or event.step == 0:
            self._newest[event.kind] = event.step
            self._tracker.metrics({**event.values, "epoch": event.epoch}, step=event.step, time_s=event.time_s)

    def on_log(self, event: Event) -> None:
        """Loss, learning rate, gradient norm, speed."""
        self._numbers(event)

    def on_evaluate(self, event: Event) -> None:
        """Held-out metrics."""
        self._numbers(event)

    def on_save(self, event: Event) -> None:
        """The newest checkpoint, by reference."""
        self._tracker.tag("checkpoint", str(event.values["path"]))

    def on_end(self, event: Event) -> None:
        """Duration and speed of the whole run."""
        values = {name: value for name, value in event.values.items() if name.startswith("train_")}
        self._tracker.metrics(values, step=event.step, time_s=event.time_s)
