"""Metrics of an evaluation, computed on rank 0 from all ranks' predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..registry import Registry


class EvalPrediction:
    """What a `compute_metrics` function gets (guides' name): arrays over all held-out rows.

    It unpacks and indexes as the tuple (predictions, label_ids) with inputs and losses where there are any.
    """

    def __init__(self, predictions: Any, label_ids: Any, inputs: Any = None, losses: Any = None) -> None:
        self.predictions = predictions
        self.label_ids = label_ids
        self.inputs = inputs
        self.losses = losses

    def _elements(self) -> tuple[Any, ...]:
        more = (value for value in (self.inputs, self.losses) if value is not None)
        return (self.predictions, self.label_ids, *more)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._elements())

    def __getitem__(self, place: int) -> Any:
        return self._elements()[place]

    def __len__(self) -> int:
        return len(self._elements())


ComputeMetrics = Callable[[EvalPrediction], Mapping[str, float]]

METRICS: Registry[ComputeMetrics] = Registry("task with metrics")
"""By task: what a job computes when its user gives no function."""
METRICS.add("image-classification", target="rayformers.training.metrics:classification")
METRICS.add("text-classification", target="rayformers.training.metrics:classification")


def classification(prediction: EvalPrediction) -> dict[str, float]:
    """Accuracy and macro-averaged F1 of the most probable class."""
    from sklearn.metrics import accuracy_score, f1_score

    chosen = np.argmax(prediction.predictions, axis=-1)
    return {
        "accuracy": float(accuracy_score(prediction.label_ids, chosen)),
        "f1": float(f1_score(prediction.label_ids, chosen, average="macro")),
    }
