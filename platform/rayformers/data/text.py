"""Texts to token ids, in shards of one schema whatever the lengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..processing.tokenizer_backend import with_strategies
from .shards import Ragged
from .sources import digest

UNBOUNDED_TOKENS = 10**9
"""Tokenizers without a limit say that they take more than this."""


@dataclass(frozen=True)
class TextClassification:
    """Texts (or pairs of texts) through the tokenizer, cut to its longest input; class numbers to `labels`."""

    tokenizer: Any

    def __call__(self, columns: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Lists of int64 tokens a row (`input_ids`, ...), and "labels": int64 [rows]."""
        names = {"label": columns.get("label", columns.get("labels")), "text": columns.get("text")}
        for name, values in names.items():
            if values is None:
                raise InputError(f"text-classification needs a column {name!r}; the source has {sorted(columns)}.")
        limit = self.tokenizer.model_max_length
        encoded = self.tokenizer(
            list(columns["text"]),
            list(columns["text_pair"]) if "text_pair" in columns else None,
            truncation=bool(limit and limit < UNBOUNDED_TOKENS),
        )
        tokens = {name: Ragged(np.asarray(row, np.int64) for row in encoded[name]) for name in list(encoded.keys())}
        return {**tokens, "labels": np.asarray(names["label"], np.int64)}

    def describe(self) -> dict[str, Any]:
        """A hash of the tokenizer without the strategies of its last call, and its limit in tokens."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        vocabulary = sorted(self.tokenizer.get_vocab().items())
        state = vocabulary if backend is None else with_strategies(backend, None, None)
        return {
            "task": "text-classification",
            "tokenizer": f"{type(self.tokenizer).__name__} {digest(state)}",
            "model_max_length": self.tokenizer.model_max_length,
            "sides": [self.tokenizer.truncation_side, self.tokenizer.padding_side],
        }


def padding_collator(processor: Any | None) -> Any | None:
    """The collator for rows of many lengths: one that pads where the processor is a tokenizer, else None."""
    if not (callable(getattr(processor, "pad", None)) and hasattr(processor, "pad_token_id")):
        return None
    from .collators_text import DataCollatorWithPadding

    return DataCollatorWithPadding(processor)
