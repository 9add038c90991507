"""Rows to batches of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import InputError


def default_data_collator(features: Sequence[Mapping[str, Any]], return_tensors: str = "pt") -> dict[str, Any]:
    """Stack rows of equal shapes; "label" and "label_ids" become "labels"; text and None are left out.

    Args:
        features: rows, each a mapping from names to numbers, lists, arrays or tensors.
        return_tensors: "pt" for torch tensors, "np" for numpy arrays.

    Raises:
        InputError: a column's rows differ in shape, so that they need a padding collator.
    """
    if return_tensors not in ("pt", "np"):
        raise InputError(f"return_tensors is {return_tensors!r}; allowed: 'pt', 'np'.")
    rows = [row if isinstance(row, Mapping) else vars(row) for row in features]
    batch: dict[str, Any] = {}
    for name, first in rows[0].items():
        if first is None or isinstance(first, str) or (name == "label_ids" and rows[0].get("label") is not None):
            continue
        target = "labels" if name in ("label", "label_ids") else name
        tensor = _stack(name, [row[name] for row in rows])
        batch[target] = tensor if return_tensors == "pt" else tensor.numpy()
    return batch


class DataCollatorMixin:
    """Calls `torch_call` or `numpy_call`, as `return_tensors` ("pt" or "np") says."""

    return_tensors: str

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> Any:
        """Rows to a batch.

        Raises:
            InputError: another kind of tensors.
        """
        kind = return_tensors or self.return_tensors
        if kind == "pt":
            return self.torch_call(features)
        if kind == "np":
            return self.numpy_call(features)
        raise InputError(f"return_tensors is {kind!r}; allowed: 'pt', 'np'.")

    def torch_call(self, features: Sequence[Any]) -> Any:
        """A batch of torch tensors."""
        raise NotImplementedError(f"{type(self).__name__} makes no torch tensors")

    def numpy_call(self, features: Sequence[Any]) -> Any:
        """A batch of numpy arrays."""
        raise NotImplementedError(f"{type(self).__name__} makes no numpy arrays")


@dataclass
class DefaultDataCollator:
    """`default_data_collator` with the kind of tensors chosen beforehand."""

    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Mapping[str, Any]], return_tensors: str | None = None) -> dict[str, Any]:
        """Rows to a batch."""
        return default_data_collator(features, return_tensors or self.return_tensors)


def stacked(values: Any, kind: str) -> Any:
    """Nested lists or an array as one tensor of the kind "pt" or "np".

    Raises:
        InputError: rows of different lengths.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"Rows of different lengths cannot be stacked: {error}. Pass padding=True.") from error
    return torch.from_numpy(array) if kind == "pt" else array


def _stack(name: str, values: Sequence[Any]) -> torch.Tensor:
    tensors = [value if isinstance(value, torch.Tensor) else torch.from_numpy(_array(value)) for value in values]
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if len(shapes) > 1:
        raise InputError(
            f"Column {name!r} has rows of shapes {sorted(shapes)[:4]} and cannot be stacked. "
            "Pass a data_collator that pads, such as DataCollatorWithPadding."
        )
    return torch.stack(tensors)


def _array(value: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(value)
    if array.dtype == np.float64 and not isinstance(value, np.ndarray):
        array = array.astype(np.float32)  # Python floats: torch's default precision
    return array.copy() if not array.flags.writeable else array


def collate_columns(columns: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Whole columns [rows, ...] to tensors; the fast road for shards, equal to collating row by row."""
    batch = {}
    for name, values in columns.items():
        if isinstance(values, list):
            raise InputError(f"Column {name!r} has rows of different lengths. Pass a data_collator that pads.")
        batch["labels" if name in ("label", "label_ids") else name] = torch.from_numpy(
            np.ascontiguousarray(values).copy()
        )
    return batch
