"""When to stop. Shape letters: B rows, T tokens so far, V vocabulary, K stop strings, S states."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError
from .rules.base import TokenIds, token_tensor
from .stop_strings import StopTable, stop_table


class StoppingCriteria:
    """Base: criterion(input_ids [B, T], scores) -> [B] booleans, True where a row is done."""

    def __call__(self, input_ids: Tensor, scores: Any, **extra: Any) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} is a base class; define __call__(input_ids, scores).")


def _every_row(input_ids: Tensor, done: bool) -> Tensor:
    return torch.full((input_ids.shape[0],), done, dtype=torch.bool, device=input_ids.device)


class MaxLengthCriteria(StoppingCriteria):
    """Stops at max_length tokens, prompt included.

    Args:
        max_position_embeddings: the model's own limit, for a caller's information.
    """

    def __init__(self, max_length: int, max_position_embeddings: int | None = None) -> None:
        self.max_length, self.max_position_embeddings = max_length, max_position_embeddings

    def __call__(self, input_ids: Tensor, scores: Any, **extra: Any) -> Tensor:
        return _every_row(input_ids, input_ids.shape[-1] >= self.max_length)


class MaxTimeCriteria(StoppingCriteria):
    """Stops after max_time seconds.

    Args:
        initial_timestamp: when the clock started, in seconds of time.time(); default: now.
    """

    def __init__(self, max_time: float, initial_timestamp: float | None = None) -> None:
        self.max_time_s = max_time
        self.start_s = time.time() if initial_timestamp is None else initial_timestamp

    def __call__(self, input_ids: Tensor, scores: Any, **extra: Any) -> Tensor:
        return _every_row(input_ids, time.time() - self.start_s > self.max_time_s)


class EosTokenCriteria(StoppingCriteria):
    """Stops rows that end with one of some tokens."""

    def __init__(self, eos_token_id: TokenIds) -> None:
        self.eos_token_id = token_tensor(eos_token_id, "eos_token_id")

    def __call__(self, input_ids: Tensor, scores: Any, **extra: Any) -> Tensor:
        self.eos_token_id = self.eos_token_id.to(input_ids.device)
        return torch.isin(input_ids[:, -1], self.eos_token_id)


class StopStringCriteria(StoppingCriteria):
    """Stops rows in whose last token a stop string ends, wherever token borders lie.

    Args:
        tokenizer: gives each token's text.
        stop_strings: one or several.

    Raises:
        ConfigError: a stop string is empty or no tokens of the vocabulary can spell it.
    """

    def __init__(self, tokenizer: Any, stop_strings: str | Iterable[str]) -> None:
        self.stop_strings = (stop_strings,) if isinstance(stop_strings, str) else tuple(stop_strings)
        if not self.stop_strings or not all(isinstance(s, str) and s for s in self.stop_strings):
            raise ConfigError(f"stop_strings is {stop_strings!r}; expected one or several texts that are not empty.")
        self._table: StopTable = stop_table(tokenizer, self.stop_strings)

    def __call__(self, input_ids: Tensor, scores: Any, **extra: Any) -> Tensor:
        return self._table.to(input_ids.device).ends(input_ids)


class ConfidenceCriteria(StoppingCriteria):
    """Stops a draft model (one row) whose last token was less probable than a threshold."""

    def __init__(self, assistant_confidence_threshold: float) -> None:
        self.threshold = assistant_confidence_threshold

    def __call__(self, input_ids: Tensor, scores: Any, **extra: Any) -> Tensor:
        probability = scores[-1].softmax(-1)[0, input_ids[0, -1]]
        return (probability < self.threshold).reshape(1)


class StoppingCriteriaList(list):  # type: ignore[type-arg]
    """Criteria of which any one stops a row."""

    def __call__(self, input_ids: Tensor, scores: Any, **extra: Any) -> Tensor:
        done = _every_row(input_ids, False)
        for criterion in self:
            done = done | criterion(input_ids, scores, **extra)
        return done

    @property
    def max_length(self) -> int | None:
        """The limit of the MaxLengthCriteria among them, None without one."""
        limits = [criterion.max_length for criterion in self if isinstance(criterion, MaxLengthCriteria)]
        return limits[0] if limits else None

    @property
    def only_length(self) -> bool:
        """Whether nothing but the length can stop a row, so that no result need be looked at."""
        return bool(self) and all(type(criterion) is MaxLengthCriteria for criterion in self)


def validate_stopping_criteria(criteria: StoppingCriteriaList, max_length: int) -> StoppingCriteriaList:
    """The criteria, with one for max_length where they have none."""
    if criteria.max_length is None:
        return StoppingCriteriaList([*criteria, MaxLengthCriteria(max_length)])
    return criteria
