"""Progress on the screen: a bar with loss, speed and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from ..events import Event
from .base import Callback


class Progress(Callback):
    """Shows a run while it goes.

    Args:
        stream: where to; None takes stdout.
        title: what is being trained.
    """

    def __init__(self, stream: TextIO | None = None, *, title: str = "training") -> None:
        self._stream = stream or sys.stdout
        self._title = title
        self._bar: Any = None
        self._task: Any = None
        self._total = 0
        self._begun: tuple[float, int] = (0.0, 0)
        self._held_out = ""

    def _print(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            self._stream.write(text + "\n")
            self._stream.flush()

    def on_begin(self, event: Event) -> None:
        """Say what begins, and start the bar."""
        self._total = int(event.values["total_steps"])
        self._begun = (event.time_s, event.step)
        millions = event.values["parameters"] / 1e6
        how = f"continues at step {event.step}" if event.values["resumed"] else "begins"
        self._print(f"{self._title} {how}: {self._total} steps, {millions:.2f} M parameters")
        if self._stream.isatty() and self._bar is None:
            self._start_bar()
        if self._bar is not None:
            self._bar.update(self._task, total=self._total, completed=event.step)

    def _start_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=Console(file=self._stream),
        )
        self._task = self._bar.add_task(self._title, total=self._total, figures="")
        self._bar.start()

    def on_log(self, event: Event) -> None:
        """Loss, speed and time left."""
        values = event.values
        figures = f"loss {values['loss']:.4f}  {values['samples_per_second']:,.0f} samples/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=event.step, figures=f"{figures}  {self._held_out}")
            return
        then, first = self._begun
        per_step = (event.time_s - then) / max(1, event.step - first)
        left = time.strftime("%H:%M:%S", time.gmtime(per_step * (self._total - event.step)))
        rate = values["learning_rate"]
        self._print(f"step {event.step}/{self._total}  epoch {event.epoch:.2f}  {figures}  lr {rate:.2e}  ETA {left}")

    def on_evaluate(self, event: Event) -> None:
        """The held-out metrics."""
        shown = {name: value for name, value in event.values.items() if not name.endswith(("runtime", "per_second"))}
        self._held_out = "  ".join(f"{name} {value:.4f}" for name, value in shown.items())
        if self._bar is None:
            self._print(f"step {event.step}/{self._total}  epoch {event.epoch:.2f}  held out: {self._held_out}")

    def on_notice(self, event: Event) -> None:
        """A message."""
        self._print(event.values["text"])

    def on_end(self, event: Event) -> None:
        """The last figures."""
        if self._bar is not None:
            self._bar.update(self._task, completed=event.step)
        seconds, speed = event.values["train_runtime"], event.values["train_samples_per_second"]
        self._print(
            f"{self._title} done: {event.step} steps in {seconds:.1f} s, {speed:,.0f} samples/s. {self._held_out}"
        )

    def close(self, error: BaseException | None) -> None:
        """Take the bar down."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
