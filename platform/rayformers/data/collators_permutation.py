"""The collator of permutation language modelling (Yang et al. 2019, arXiv:1906.08237)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ConfigError, InputError
from .collators import DataCollatorMixin, stacked
from .collators_masking import padded_ids, special_positions
from .collators_text import IGNORED
from .draws import Draws, draws_for


@dataclass
class DataCollatorForPermutationLanguageModeling(DataCollatorMixin):
    """Spans to predict, and an order in which tokens see each other.

    A batch has "input_ids" [rows, T], "perm_mask" [rows, T, T] (1: the token of the row of the matrix does not see that
    of the column), "target_mapping" [rows, T, T] and "labels" [rows, T].

    Args:
        tokenizer: pads, and gives the mask token.
        plm_probability: share of the tokens that are predicted.
        max_span_length: tokens of a span at most.
        return_tensors: "pt" or "np".

    Raises:
        ConfigError: no mask token, or a setting is out of its range.
    """

    tokenizer: Any
    plm_probability: float = 1 / 6
    max_span_length: int = 5
    return_tensors: str = "pt"

    def __post_init__(self) -> None:
        if self.tokenizer.mask_token is None:
            raise ConfigError("This tokenizer has no mask token, which permutation language modelling needs.")
        if not 0 < self.plm_probability <= 1:
            raise ConfigError(f"plm_probability is {self.plm_probability}; it must be above 0 and at most 1.")
        if self.max_span_length < 1:
            raise ConfigError(f"max_span_length is {self.max_span_length}; a span has at least 1 token.")

    def torch_call(self, examples: Sequence[Any]) -> dict[str, Any]:
        """A batch of torch tensors."""
        return self._batch(examples, "pt")

    def numpy_call(self, examples: Sequence[Any]) -> dict[str, Any]:
        """A batch of numpy arrays."""
        return self._batch(examples, "np")

    def _batch(self, examples: Sequence[Any], kind: str) -> dict[str, Any]:
        ids = [example["input_ids"] if hasattr(example, "keys") else example for example in examples]
        inputs = padded_ids(ids, self.tokenizer, None, kind)["input_ids"]
        names = ("input_ids", "perm_mask", "target_mapping", "labels")
        return dict(zip(names, self._mask(inputs, kind), strict=True))

    def torch_mask_tokens(self, inputs: Any) -> tuple[Any, Any, Any, Any]:
        """(inputs, perm_mask, target_mapping, labels) of a torch tensor [rows, T]."""
        return self._mask(inputs, "pt")

    def numpy_mask_tokens(self, inputs: Any) -> tuple[Any, Any, Any, Any]:
        """(inputs, perm_mask, target_mapping, labels) of a numpy array [rows, T]."""
        return self._mask(inputs, "np")

    def _mask(self, inputs: Any, kind: str) -> tuple[Any, Any, Any, Any]:
        draws = draws_for(kind, None)
        ids = np.asarray(inputs)
        rows, length = ids.shape
        if length % 2:
            raise InputError(
                f"The rows have {length} tokens. Their number must be even, because the two halves are permuted alike "
                "so that a memory of half the length leaks nothing. Pad or truncate them."
            )
        predicted = np.stack([self._spans(length, draws) for _ in range(rows)])
        functional = np.asarray(special_positions(self.tokenizer, ids, draws_for("np", None)))
        if self.tokenizer.pad_token_id is not None:
            functional = functional | (ids == self.tokenizer.pad_token_id)
        predicted &= ~functional
        ids_hidden = np.where(predicted, self.tokenizer.mask_token_id, ids)
        labels = np.where(predicted, ids, IGNORED)
        masks = np.stack([_order_mask(predicted[row], functional[row], draws) for row in range(rows)])
        targets = np.broadcast_to(np.eye(length, dtype=np.float32), (rows, length, length)).copy()
        return stacked(ids_hidden, kind), stacked(masks, kind), stacked(targets, kind), stacked(labels, kind)

    def _spans(self, length: int, draws: Draws) -> np.ndarray[Any, Any]:
        """[T]: spans of 1 to `max_span_length` tokens, each somewhere in a context so long that the share comes out."""
        chosen = np.zeros(length, dtype=bool)
        start = 0
        while start < length:
            span = draws.below(1, self.max_span_length + 1)
            context = int(span / self.plm_probability)
            first = start + draws.below(0, context - span + 1)
            chosen[first : first + span] = True
            start += context
        return chosen


def _order_mask(
    predicted: np.ndarray[Any, Any], functional: np.ndarray[Any, Any], draws: Draws
) -> np.ndarray[Any, Any]:
    """[T, T]: 1 where a token does not see a predicted one because that comes later in the order, or is itself.

    Tokens that are neither predicted nor functional come before all others.
    """
    half = len(predicted) // 2
    order = np.asarray(draws.shuffled(list(range(half))), dtype=np.int64)
    places = np.concatenate([order, order + half])
    places = np.where(~predicted & ~functional, -1, places)
    unseen: np.ndarray[Any, Any] = (places[:, None] <= places[None, :]) & predicted
    return unseen.astype(np.float32)
