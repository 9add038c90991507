"""Collators that pad tokenized rows to batches (guide: main_classes/data_collator)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from .collators import DataCollatorMixin, stacked

Features = Sequence[Mapping[str, Any]]
IGNORED = -100
"""The label that losses leave out."""


@dataclass
class DataCollatorWithPadding:
    """Pad what the tokenizer knows; "label" and "label_ids" become "labels".

    Args:
        tokenizer: its `pad` is used.
        padding: True or "longest", "max_length", False.
        max_length: tokens, for padding="max_length".
        pad_to_multiple_of: round lengths up to a multiple, in tokens.
        return_tensors: "pt" or "np".
    """

    tokenizer: Any
    padding: Any = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: Features) -> Any:
        """Rows to a batch."""
        batch = padded(self, features, self.return_tensors)
        for name in ("label", "label_ids"):
            if name in batch:
                batch["labels"] = batch.pop(name)
        return batch


def padded(collator: Any, features: Features, return_tensors: str | None) -> Any:
    """The tokenizer's `pad` with the collator's settings."""
    return collator.tokenizer.pad(
        list(features),
        padding=collator.padding,
        max_length=collator.max_length,
        pad_to_multiple_of=collator.pad_to_multiple_of,
        return_tensors=return_tensors,
    )


def split_labels(features: Features) -> tuple[list[dict[str, Any]], list[Any] | None]:
    """Rows without their "labels" (or "label"), and these."""
    if not features:
        raise InputError("A collator was given no rows.")
    name = "label" if "label" in features[0] else "labels"
    rows = [{key: value for key, value in feature.items() if key != name} for feature in features]
    if name not in features[0] or all(feature[name] is None for feature in features):
        return [{key: value for key, value in row.items() if key != "labels"} for row in rows], None
    return rows, [feature[name] for feature in features]


def pad_labels(labels: Sequence[Any], length: int, filler: int, side: str) -> list[list[int]]:
    """Rows of labels extended to `length`.

    Raises:
        InputError: a row is longer.
    """
    rows = []
    for number, label in enumerate(labels):
        row = np.asarray(label).tolist()
        if len(row) > length:
            raise InputError(
                f"Row {number} has {len(row)} labels, more than the {length} positions of the batch. "
                "Truncate the labels together with the tokens."
            )
        fill = [filler] * (length - len(row))
        rows.append(row + fill if side == "right" else fill + row)
    return rows


@dataclass
class DataCollatorForTokenClassification(DataCollatorMixin):
    """Pad rows that have one label for each token.

    Args:
        tokenizer, padding, max_length, pad_to_multiple_of, return_tensors: as for `DataCollatorWithPadding`.
        label_pad_token_id: the label of padding.
    """

    tokenizer: Any
    padding: Any = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    label_pad_token_id: int = IGNORED
    return_tensors: str = "pt"

    def torch_call(self, features: Features) -> Any:
        """A batch of torch tensors."""
        return self._batch(features, "pt")

    def numpy_call(self, features: Features) -> Any:
        """A batch of numpy arrays."""
        return self._batch(features, "np")

    def _batch(self, features: Features, kind: str) -> Any:
        rows, labels = split_labels(features)
        batch = padded(self, rows, kind)
        if labels is not None:
            length = batch[self.tokenizer.model_input_names[0]].shape[1]
            filled = pad_labels(labels, length, self.label_pad_token_id, self.tokenizer.padding_side)
            batch["labels"] = stacked(filled, kind)
        return batch


@dataclass
class DataCollatorForSeq2Seq:
    """Pad inputs and labels, each to a length of its own.

    Args:
        tokenizer, padding, max_length, pad_to_multiple_of, return_tensors: as for `DataCollatorWithPadding`;
            `max_length` and the multiple hold for the labels too.
        model: one with `prepare_decoder_input_ids_from_labels` gives "decoder_input_ids"; a name does not.
        label_pad_token_id: the label of padding.
    """

    tokenizer: Any
    model: Any = None
    padding: Any = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    label_pad_token_id: int = IGNORED
    return_tensors: str = "pt"

    def __call__(self, features: Features, return_tensors: str | None = None) -> Any:
        """Rows to a batch; "labels" is None where the rows have none."""
        kind = return_tensors or self.return_tensors
        rows, labels = split_labels(features)
        batch = padded(self, rows, kind)
        batch["labels"] = None
        if labels is None:
            return batch
        batch["labels"] = stacked(self._pad(labels), kind)
        prepare = getattr(self.model, "prepare_decoder_input_ids_from_labels", None)
        if prepare is not None:
            batch["decoder_input_ids"] = prepare(labels=batch["labels"])
        return batch

    def _pad(self, labels: Sequence[Any]) -> list[list[int]]:
        if self.padding is False or self.padding == "do_not_pad":
            return [np.asarray(label).tolist() for label in labels]
        length = max(len(label) for label in labels)
        if self.padding == "max_length" and self.max_length is not None:
            length = self.max_length
        multiple = self.pad_to_multiple_of or 1
        length = -(-length // multiple) * multiple
        return pad_labels(labels, length, self.label_pad_token_id, self.tokenizer.padding_side)


@dataclass
class DataCollatorForMultipleChoice(DataCollatorMixin):
    """Pad rows that hold several choices: [rows, choices, tokens].

    The arguments are those of `DataCollatorWithPadding`.
    """

    tokenizer: Any
    padding: Any = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def torch_call(self, features: Features) -> Any:
        """A batch of torch tensors."""
        return self._batch(features, "pt")

    def numpy_call(self, features: Features) -> Any:
        """A batch of numpy arrays."""
        return self._batch(features, "np")

    def _batch(self, features: Features, kind: str) -> dict[str, Any]:
        rows, labels = split_labels(features)
        choices = len(rows[0]["input_ids"])
        uneven = [number for number, row in enumerate(rows) if any(len(value) != choices for value in row.values())]
        if uneven:
            raise InputError(f"Row 0 has {choices} choices; rows {uneven[:5]} have another number of them.")
        flat = [{name: value[choice] for name, value in row.items()} for row in rows for choice in range(choices)]
        batch = padded(self, flat, kind)
        result = {name: value.reshape(len(rows), choices, -1) for name, value in batch.items()}
        if labels is not None:
            result["labels"] = stacked([int(label) for label in labels], kind)
        return result
