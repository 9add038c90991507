"""One pass over the held-out rows, divided among the ranks."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from ..data.stream import Piece
from .engine import Engine
from .metrics import ComputeMetrics, EvalPrediction
from .process import Process


def evaluate(
    engine: Engine,
    pieces: Iterable[Piece],
    process: Process,
    *,
    compute_metrics: ComputeMetrics | None,
    label_names: list[str] | None = None,
    prefix: str = "eval",
) -> dict[str, float]:
    """Mean loss, metrics and speed over the rows of `pieces`; the same on every rank.

    Args:
        pieces: this rank's share; a piece of weight 0 keeps ranks in step and is not counted.
        compute_metrics: from predictions and labels of all ranks, in row order, to named numbers.
    """
    started = time.perf_counter()
    engine.module.eval()
    names = label_names or ["labels"]
    loss, rows, outputs, labels = 0.0, 0, [], []
    try:
        for piece in pieces:
            result = engine.evaluate(piece.inputs)
            count = len(piece.micro.rows) if piece.micro.weight else 0
            if count:
                rows += count
                found = result.get("loss")
                loss += float(found) * count if found is not None else math.nan
                outputs.append(_predictions(result))
                labels.append([piece.inputs[name].cpu().numpy() for name in names if name in piece.inputs])
            if piece.last:
                break
    finally:
        engine.module.train()
    return _summary(process, (loss, rows, outputs, labels), compute_metrics, prefix, started)


def _predictions(result: Mapping[str, Any]) -> Any:
    logits = result["logits"]
    return logits.float().cpu().numpy() if isinstance(logits, torch.Tensor) else logits


def _summary(
    process: Process,
    own: tuple[float, int, list[Any], list[Any]],
    compute: ComputeMetrics | None,
    prefix: str,
    start: float,
) -> dict[str, float]:
    parts = process.gather(own if compute else (own[0], own[1], [], []))
    rows = sum(part[1] for part in parts)
    metrics = {"loss": sum(part[0] for part in parts) / rows}
    problem: BaseException | None = None
    if compute and process.is_main:
        try:
            predictions = np.concatenate([array for part in parts for array in part[2]])
            columns = list(zip(*[arrays for part in parts for arrays in part[3]], strict=True))
            labels = tuple(np.concatenate(column) for column in columns)
            found = compute(EvalPrediction(predictions, labels[0] if len(labels) == 1 else labels))
            metrics |= {name: float(value) for name, value in found.items()}
        except Exception as error:  # told to all ranks below, else they would wait for ever
            problem = error
    problem, metrics = process.broadcast((problem, metrics))
    if problem is not None:
        raise problem
    duration = time.perf_counter() - start
    metrics |= {"runtime": duration, "samples_per_second": rows / max(duration, 1e-9)}
    return {name if name.startswith(f"{prefix}_") else f"{prefix}_{name}": value for name, value in metrics.items()}
