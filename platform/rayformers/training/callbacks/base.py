"""What the driver does with the events of a run."""

from __future__ import annotations

from ..events import Event


class Callback:
    """Methods named after kinds of events; override those that matter. All run in the driver, in order."""

    def handle(self, event: Event) -> None:
        """Call the method of the event's kind."""
        getattr(self, f"on_{event.kind}")(event)

    def on_begin(self, event: Event) -> None:
        """Training begins, or begins again after a failure: total_steps, parameters, resumed."""

    def on_log(self, event: Event) -> None:
        """A log line is due: loss, learning_rate, grad_norm, samples_per_second."""

    def on_evaluate(self, event: Event) -> None:
        """An evaluation ended: eval_loss, eval_<metric>, ..."""

    def on_save(self, event: Event) -> None:
        """A checkpoint is whole: path."""

    def on_notice(self, event: Event) -> None:
        """Something a user should know: text."""

    def on_end(self, event: Event) -> None:
        """The last step is done and the model exported: final metrics."""

    def close(self, error: BaseException | None) -> None:
        """Training is over; `error` says why when it failed."""
