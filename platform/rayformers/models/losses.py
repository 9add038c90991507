"""Losses as the reference computes them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError


def problem_type(config: Any, labels: Tensor) -> str:
    """ "regression", "single_label_classification" or "multi_label_classification".

    Taken from the configuration, else from the number and dtype of the labels, and then kept in the configuration.
    """
    if config.problem_type is None:
        if config.num_labels == 1:
            config.problem_type = "regression"
        elif labels.dtype in (torch.long, torch.int, torch.int16, torch.uint8):
            config.problem_type = "single_label_classification"
        else:
            config.problem_type = "multi_label_classification"
    return str(config.problem_type)


def classification(config: Any, logits: Tensor, labels: Tensor) -> Tensor:
    """Loss of logits [B, labels] by the problem type.

    Raises:
        InputError: the problem type is none of the three, or a label is out of range.
    """
    labels = labels.to(logits.device)
    kind = problem_type(config, labels)
    if kind == "regression":
        return F.mse_loss(logits.squeeze(), labels.squeeze()) if config.num_labels == 1 else F.mse_loss(logits, labels)
    if kind == "single_label_classification":
        return F.cross_entropy(logits.view(-1, config.num_labels), labels.view(-1))
    if kind == "multi_label_classification":
        return F.binary_cross_entropy_with_logits(logits, labels)
    raise InputError(
        f"config.problem_type is {kind!r}; expected 'regression', 'single_label_classification' or "
        "'multi_label_classification'."
    )


def token_cross_entropy(logits: Tensor, labels: Tensor, *, num_items: Tensor | int | None = None) -> Tensor:
    """Cross entropy over tokens [B, T, V] against [B, T]; -100 is ignored. With num_items, the sum divided by it."""
    flat = logits.flatten(0, -2).float()
    target = labels.flatten().to(flat.device)
    if num_items is None:
        return F.cross_entropy(flat, target)
    return F.cross_entropy(flat, target, reduction="sum") / num_items


def causal(logits: Tensor, labels: Tensor, *, num_items: Tensor | int | None = None) -> Tensor:
    """Cross entropy of each token given those before it: logits [B, T, V], labels [B, T] (not shifted)."""
    shifted = F.pad(labels, (0, 1), value=-100)[..., 1:]
    return token_cross_entropy(logits, shifted, num_items=num_items)


def spans(start_logits: Tensor, end_logits: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
    """Mean of the cross entropies of start and end [B, T]; positions beyond the text are ignored."""
    length = start_logits.shape[1]
    targets = [p.squeeze(-1) if p.ndim > 1 else p for p in (starts, ends)]
    first, last = (
        F.cross_entropy(logits, target.to(logits.device).clamp(0, length), ignore_index=length)
        for logits, target in zip((start_logits, end_logits), targets, strict=True)
    )
    return (first + last) / 2
