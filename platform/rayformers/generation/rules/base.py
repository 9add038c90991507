"""What logits rules share. Shape letters: B rows, T tokens so far, V vocabulary."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ...errors import ConfigError, InputError

TokenIds = int | Iterable[int] | Tensor


class LogitsProcessor:
    """Base of rules (guide: internal/generation_utils): rule(input_ids [B, T], scores [B, V]) -> scores [B, V]."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} is a base class; define __call__(input_ids, scores).")


class LogitsProcessorList(list):  # type: ignore[type-arg]
    """Rules, applied in order."""

    def __call__(self, input_ids: Tensor, scores: Tensor, **extra: Any) -> Tensor:
        """Apply all.

        Args:
            input_ids: tokens so far [B, T].
            scores: [B, V].
            extra: what rules with more than two parameters take, by name.

        Raises:
            InputError: a rule needs a parameter that is missing.
        """
        for rule in self:
            if not extra:
                scores = rule(input_ids, scores)
                continue
            wanted = list(inspect.signature(rule.__call__).parameters)[2:]
            if missing := [name for name in wanted if name not in extra]:
                raise InputError(f"{type(rule).__name__} needs {missing}; only {sorted(extra)} were given.")
            scores = rule(input_ids, scores, **{name: extra[name] for name in wanted})
        return scores


def token_tensor(ids: TokenIds, name: str, device: Any = None) -> Tensor:
    """One or several token ids as a tensor [N].

    Raises:
        ConfigError: they are no whole numbers >= 0.
    """
    tensor = ids if isinstance(ids, Tensor) else torch.tensor([ids] if isinstance(ids, int) else list(ids))
    tensor = tensor.reshape(-1).to(device) if device is not None else tensor.reshape(-1)
    if tensor.is_floating_point() or bool((tensor < 0).any()):
        raise ConfigError(f"{name} is {tensor.tolist()}; token ids are whole numbers >= 0.")
    return tensor.long()


def fill_tokens(scores: Tensor, tokens: Tensor, value: float = -math.inf) -> Tensor:
    """Scores with the columns `tokens` set."""
    return scores.index_fill(-1, tokens.to(scores.device), value)


def whole(name: str, value: Any, least: int) -> int:
    """`value`, checked to be a whole number >= least.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} is {value!r}; expected a whole number >= {least}.")
    return value


def between(name: str, value: Any, low: float, high: float, ends: bool = False) -> float:
    """`value` as a float, checked to lie between low and high.

    Args:
        ends: whether low and high themselves are allowed.

    Raises:
        ConfigError: it does not.
    """
    number = float(value)
    if not (low <= number <= high if ends else low < number < high):
        raise ConfigError(
            f"{name} is {value!r}; expected a number between {low:g} and {high:g}{'' if ends else ', exclusive'}."
        )
    return number


def positive(name: str, value: Any, advice: str = "") -> float:
    """`value` as a float, checked to be > 0 and finite.

    Raises:
        ConfigError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0 or math.isinf(value):
        raise ConfigError(f"{name} is {value!r}; expected a number > 0.{advice}")
    return float(value)
