"""From start and end scores to spans, as extractive question answering needs them."""

from __future__ import annotations

from typing import Any

import numpy as np

Span = tuple[int, int, float]


def best_spans(
    output: dict[str, Any], count: int, max_length: int, impossible: bool, null_score: float
) -> tuple[list[Span], float]:
    """The best spans of one unit: (first token, last token, probability), best first.

    Args:
        output: "start" and "end" logits [1, T], "p_mask" [1, T] (1 = no answer here), "attention_mask" [1, T] or None.
        count: how many.
        max_length: most tokens in a span.
        impossible: whether "no answer" is allowed; then the first token's score, which means it, is kept.
        null_score: the smallest such score so far.

    Returns:
        The spans, and the smallest score of "no answer" so far.
    """
    allowed = np.abs(np.asarray(output["p_mask"]) - 1)
    if output.get("attention_mask") is not None:
        allowed = allowed & np.asarray(output["attention_mask"])
    start, end = (_probabilities(np.asarray(output[name].float()), allowed) for name in ("start", "end"))
    if impossible:
        null_score = min(null_score, float(start[0, 0] * end[0, 0]))
    start[0, 0] = end[0, 0] = 0.0
    return _decode(start, end, count, max_length, allowed), null_score


def _probabilities(logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    hidden = np.where(allowed == 0, -10000.0, logits)
    powers = np.exp(hidden - hidden.max(axis=-1, keepdims=True))
    return powers / powers.sum()


def _decode(start: np.ndarray, end: np.ndarray, count: int, max_length: int, allowed: np.ndarray) -> list[Span]:
    scores = np.tril(np.triu(start[0][:, None] @ end[0][None]), max_length - 1)
    flat = scores.flatten()
    if count == 1:
        order = np.array([flat.argmax()])
    elif len(flat) <= count:
        order = np.argsort(-flat)
    else:
        part = np.argpartition(-flat, count)[:count]
        order = part[np.argsort(-flat[part])]
    firsts, lasts = np.unravel_index(order, scores.shape)
    places = np.nonzero(allowed[0])[0]
    kept = np.isin(firsts, places) & np.isin(lasts, places)
    return [(int(f), int(e), float(scores[f, e])) for f, e in zip(firsts[kept], lasts[kept], strict=True)]
