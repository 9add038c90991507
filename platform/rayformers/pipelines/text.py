"""What all text tasks share: tokenising one text or many, and how their inputs are padded in a batch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import InputTypeError
from . import batching
from .base import Pipeline


class TextPipeline(Pipeline):
    """A pipeline whose units are tokens: input_ids, attention_mask, token_type_ids, each [1, T]."""

    look_ahead_batches = batching.LOOK_AHEAD_BATCHES

    @property
    def padded_inputs(self) -> dict[str, int | float]:  # type: ignore[override]
        """Inputs that are padded together, and with what."""
        return {
            "input_ids": self._pad_id(),
            "attention_mask": 0,
            "token_type_ids": getattr(self.tokenizer, "pad_token_type_id", 0) or 0,
            "special_tokens_mask": 1,
            "offset_mapping": 0,
            "p_mask": 1,
        }

    def _pad_id(self) -> int:
        pad = getattr(self.tokenizer, "pad_token_id", None)
        return int(pad if pad is not None else getattr(self.model.config, "pad_token_id", None) or 0)

    def cost(self, model_inputs: Any) -> int:
        """Tokens."""
        ids = model_inputs.get("input_ids")
        return int(ids.shape[-1]) if isinstance(ids, Tensor) else 1

    def batch_key(self, model_inputs: Any) -> Hashable:
        """Texts of any length share a batch; one without a token (an empty prompt) stands alone."""
        return super().batch_key(model_inputs) if self.cost(model_inputs) else id(model_inputs)

    def tokenize_many(self, texts: list[Any], **options: Any) -> list[dict[str, Tensor]]:
        """One tokenizer call for several texts: model inputs [1, T] of each."""
        encoded = self.tokenizer(texts, **options)
        columns = {name: encoded[name] for name in encoded.keys()}  # noqa: SIM118 - a BatchEncoding iterates otherwise
        return [{name: torch.tensor([rows[row]]) for name, rows in columns.items()} for row in range(len(texts))]

    def model_inputs(self, unit: Mapping[str, Any]) -> dict[str, Any]:
        """The part of a unit that the model takes."""
        names = self.model.input_names()
        return {name: value for name, value in unit.items() if name in names and value is not None}


def check_text(value: Any, task: str) -> str:
    """The text itself.

    Raises:
        InputTypeError: it is no text.
    """
    if not isinstance(value, str):
        raise InputTypeError(f"{task} takes text; it got {type(value).__name__}. Pass a str or a list of str.")
    return value
