"""Rules that depend on how long the text is: first and last tokens, least lengths."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .base import LogitsProcessor, TokenIds, fill_tokens, token_tensor, whole


class MinLengthLogitsProcessor(LogitsProcessor):
    """No end of text before min_length tokens, prompt included."""

    def __init__(self, min_length: int, eos_token_id: TokenIds, device: Any = "cpu") -> None:
        self.min_length = whole("min_length", min_length, 0)
        self.eos_token_id = token_tensor(eos_token_id, "eos_token_id", device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return fill_tokens(scores, self.eos_token_id) if input_ids.shape[-1] < self.min_length else scores


class MinNewTokensLengthLogitsProcessor(LogitsProcessor):
    """No end of text before min_new_tokens tokens after the prompt."""

    def __init__(
        self, prompt_length_to_skip: int, min_new_tokens: int, eos_token_id: TokenIds, device: Any = "cpu"
    ) -> None:
        self.prompt_length_to_skip = whole("prompt_length_to_skip", prompt_length_to_skip, 0)
        self.min_new_tokens = whole("min_new_tokens", min_new_tokens, 0)
        self.eos_token_id = token_tensor(eos_token_id, "eos_token_id", device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        new = input_ids.shape[-1] - self.prompt_length_to_skip
        return fill_tokens(scores, self.eos_token_id) if new < self.min_new_tokens else scores


class ForcedBOSTokenLogitsProcessor(LogitsProcessor):
    """The first generated token (of an encoder-decoder model) is bos_token_id."""

    def __init__(self, bos_token_id: int) -> None:
        self.bos_token_id = bos_token_id

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if input_ids.shape[-1] != 1:
            return scores
        forced = torch.full_like(scores, -math.inf)
        forced[:, self.bos_token_id] = 0
        return forced


class ForcedEOSTokenLogitsProcessor(LogitsProcessor):
    """The last token at max_length is an end of text."""

    def __init__(self, max_length: int, eos_token_id: TokenIds, device: Any = "cpu") -> None:
        self.max_length = max_length
        self.eos_token_id = token_tensor(eos_token_id, "eos_token_id", device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if input_ids.shape[-1] != self.max_length - 1:
            return scores
        return fill_tokens(torch.full_like(scores, -math.inf), self.eos_token_id, 0.0)


class ExponentialDecayLengthPenalty(LogitsProcessor):
    """Raises the score of the end of text exponentially.

    Args:
        exponential_decay_length_penalty: (tokens after the prompt at which it starts, factor).
        input_ids_seq_length: tokens of the prompt.
    """

    def __init__(
        self, exponential_decay_length_penalty: tuple[int, float], eos_token_id: TokenIds, input_ids_seq_length: int
    ) -> None:
        start, self.regulation_factor = exponential_decay_length_penalty
        self.regulation_start = start + input_ids_seq_length
        self.eos_token_id = token_tensor(eos_token_id, "eos_token_id")

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        beyond = input_ids.shape[-1] - self.regulation_start
        if beyond <= 0:
            return scores
        tokens = self.eos_token_id.to(scores.device)
        raised = scores.clone()
        more = scores[:, tokens].abs() * (self.regulation_factor**beyond - 1)
        raised[:, tokens] += torch.where(more.isfinite(), more, 0.0)  # what another rule has banned stays so
        return raised


class SuppressTokensAtBeginLogitsProcessor(LogitsProcessor):
    """Some tokens may not come first, at the position begin_index."""

    def __init__(self, begin_suppress_tokens: TokenIds, begin_index: int, device: Any = "cpu") -> None:
        self.begin_suppress_tokens = token_tensor(begin_suppress_tokens, "begin_suppress_tokens", device)
        self.begin_index = begin_index

    def set_begin_index(self, begin_index: int) -> None:
        """Change the position."""
        self.begin_index = begin_index

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return fill_tokens(scores, self.begin_suppress_tokens) if input_ids.shape[-1] == self.begin_index else scores


class SuppressTokensLogitsProcessor(LogitsProcessor):
    """Some tokens may not come at all."""

    def __init__(self, suppress_tokens: TokenIds, device: Any = "cpu") -> None:
        self.suppress_tokens = token_tensor(suppress_tokens, "suppress_tokens", device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return fill_tokens(scores, self.suppress_tokens)
