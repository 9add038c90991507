"""What an endpoint measures of itself, as Prometheus series.

A replica counts for itself: behind several replicas, a scrape of /metrics is answered by one of them and its series
carry that replica's name.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

PHASES = ("queue", "preprocess", "compute", "postprocess")
CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ROWS = tuple(float(2**power) for power in range(11))
_COST = tuple(float(4**power) for power in range(3, 15))


class EndpointMetrics:
    """Requests, their latency, and the phases of their work.

    Args:
        model: value of the label `model`.
        replica: value of the label `replica`.
    """

    def __init__(self, *, model: str, replica: str = "local") -> None:
        self._registry = CollectorRegistry()
        self._names = {"model": model, "replica": replica}
        self._requests = Counter(
            "rayformers_requests",
            "Answered requests by HTTP status.",
            [*self._names, "status"],
            registry=self._registry,
        )
        self._latency = self._histogram("rayformers_request_latency_seconds", "Arrival to answer.", _SECONDS)
        self._phase = Histogram(
            "rayformers_phase_seconds",
            "Time of an input in the queue and in preprocess and postprocess, and of a batch in compute.",
            [*self._names, "phase"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._phases = {phase: self._phase.labels(**self._names, phase=phase) for phase in PHASES}
        self._batch_size = self._histogram("rayformers_batch_size", "Inputs in a forward pass.", _ROWS)
        self._batch_cost = self._histogram("rayformers_batch_cost", "Pixels or tokens in a forward pass.", _COST)
        self._exhausted = Counter(
            "rayformers_out_of_memory",
            "Batches that did not fit into memory.",
            list(self._names),
            registry=self._registry,
        ).labels(**self._names)
        self._in_flight = Gauge(
            "rayformers_requests_in_flight",
            "Requests accepted and not answered.",
            list(self._names),
            registry=self._registry,
        ).labels(**self._names)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        series = Histogram(name, text, list(self._names), buckets=buckets, registry=self._registry)
        return series.labels(**self._names)

    def watch_queue(self, length: Callable[[], float]) -> None:
        """Show `length()` as the series of inputs that wait for a forward pass."""
        gauge = Gauge(
            "rayformers_queue_length",
            "Inputs that wait for a forward pass.",
            list(self._names),
            registry=self._registry,
        )
        gauge.labels(**self._names).set_function(length)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure one of PHASES."""
        start_s = time.perf_counter()
        try:
            yield
        finally:
            self._phases[name].observe(time.perf_counter() - start_s)

    @contextlib.contextmanager
    def in_flight(self) -> Iterator[None]:
        """While entered, one request more is in flight."""
        with self._in_flight.track_inprogress():
            yield

    def queued(self, seconds: float) -> None:
        """An input waited for its forward pass."""
        self._phases["queue"].observe(seconds)

    def computed(self, seconds: float, rows: int, cost: int) -> None:
        """A forward pass ended."""
        self._phases["compute"].observe(seconds)
        self._batch_size.observe(rows)
        self._batch_cost.observe(cost)

    def out_of_memory(self, rows: int) -> None:
        """A batch of `rows` inputs did not fit into memory."""
        self._exhausted.inc()

    def answered(self, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(**self._names, status=str(status)).inc()
        self._latency.observe(seconds)

    def render(self) -> bytes:
        """The series as Prometheus text."""
        return generate_latest(self._registry)
