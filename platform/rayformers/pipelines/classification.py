"""What all classification tasks share: functions on logits and ranking."""

from __future__ import annotations

from enum import Enum
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError


class ClassificationFunction(str, Enum):  # noqa: UP042 - compared with plain text by users
    """What is applied to logits."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    NONE = "none"


def check_function(name: Any) -> str:
    """The name of a function to apply.

    Raises:
        InputError: unknown.
    """
    text = str(getattr(name, "value", name)).lower()
    allowed = [function.value for function in ClassificationFunction]
    if text not in allowed:
        raise InputError(f"function_to_apply is {name!r}; expected one of {', '.join(map(repr, allowed))}.")
    return text


def default_function(config: Any) -> str:
    """Softmax for one of several labels, sigmoid for several at once or a single one, unless the configuration says."""
    if config.problem_type == "regression":
        return "none"
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return "sigmoid"
    if config.problem_type == "single_label_classification" or config.num_labels > 1:
        return "softmax"
    return str(getattr(config, "function_to_apply", None) or "none")


def apply_function(logits: Tensor, function: str) -> Tensor:
    """Scores from logits [labels], in float32."""
    logits = logits.float()
    if function == "softmax":
        return logits.softmax(-1)
    return torch.sigmoid(logits) if function == "sigmoid" else logits


def ranked(scores: Tensor, config: Any) -> list[dict[str, Any]]:
    """[{"label", "score"}] for every label, best first; ties keep the order of the labels."""
    order = torch.argsort(scores, descending=True, stable=True).tolist()
    values = scores.tolist()
    return [{"label": config.id2label.get(number, f"LABEL_{number}"), "score": values[number]} for number in order]
