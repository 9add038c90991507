"""Metrics of an evaluation, computed on rank 0 from all ranks' predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..registry import Registry


class EvalPrediction(NamedTuple):
    """What a `compute_metrics` function gets (guides' name): arrays over all held-out rows."""

    predictions: Any
    label_ids: Any
    inputs: Any = None
    losses: Any = None


ComputeMetrics = Callable[[EvalPrediction], Mapping[str, float]]

METRICS: Registry[ComputeMetrics] = Registry("task with metrics")
"""By task: what a job computes when its user gives no function."""
METRICS.add("image-classification", target="rayformers.training.metrics:classification")


def classification(prediction: EvalPrediction) -> dict[str, float]:
    """Accuracy and macro-averaged F1 of the most probable class."""
    from sklearn.metrics import accuracy_score, f1_score

    chosen = np.argmax(prediction.predictions, axis=-1)
    return {
        "accuracy": float(accuracy_score(prediction.label_ids, chosen)),
        "f1": float(f1_score(prediction.label_ids, chosen, average="macro")),
    }
