"""Rules against repetition: of tokens, of n-grams, of other groups of beams."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import ConfigError
from .base import LogitsProcessor, positive, whole


def _penalise(scores: Tensor, tokens: Tensor, penalty: float) -> Tensor:
    """Scores [B, V] of `tokens` [B, N] divided by the penalty where positive, multiplied where negative."""
    chosen = scores.gather(1, tokens)
    return scores.scatter(1, tokens, torch.where(chosen < 0, chosen * penalty, chosen / penalty))


class RepetitionPenaltyLogitsProcessor(LogitsProcessor):
    """Penalises tokens that came before (Keskar et al. 2019, arXiv:1909.05858).

    Args:
        penalty: > 1 against repetition, < 1 for it.
        prompt_ignore_length: tokens of the prompt that do not count.
    """

    def __init__(self, penalty: float, prompt_ignore_length: int | None = None) -> None:
        self.penalty = positive("repetition_penalty", penalty)
        if prompt_ignore_length is not None:
            whole("prompt_ignore_length", prompt_ignore_length, 0)
        self.prompt_ignore_length = prompt_ignore_length or 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return _penalise(scores, input_ids[:, self.prompt_ignore_length :], self.penalty)


class EncoderRepetitionPenaltyLogitsProcessor(LogitsProcessor):
    """Raises (penalty > 1) the scores of tokens of the encoder's input."""

    def __init__(self, penalty: float, encoder_input_ids: Tensor) -> None:
        self.penalty = 1 / positive("encoder_repetition_penalty", penalty)
        self.encoder_input_ids = encoder_input_ids

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        repeats = scores.shape[0] // self.encoder_input_ids.shape[0]
        tokens = self.encoder_input_ids if repeats == 1 else self.encoder_input_ids.repeat_interleave(repeats, 0)
        return _penalise(scores, tokens, self.penalty)


def _ban_continuations(scores: Tensor, text: Tensor, prefix: Tensor) -> Tensor:
    """Ban the tokens that follow `prefix` [B, N] somewhere in `text` [B, T]."""
    windows = text.unfold(1, prefix.shape[1] + 1, 1)
    follows = (windows[..., :-1] == prefix[:, None]).all(-1)
    banned = torch.zeros(scores.shape, dtype=torch.int8, device=scores.device)
    banned.scatter_reduce_(1, windows[..., -1], follows.to(torch.int8), "amax")
    return scores.masked_fill(banned.bool(), -math.inf)


class NoRepeatNGramLogitsProcessor(LogitsProcessor):
    """No n-gram comes twice."""

    def __init__(self, ngram_size: int) -> None:
        self.ngram_size = whole("no_repeat_ngram_size", ngram_size, 1)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        length = input_ids.shape[1]
        if length < self.ngram_size:
            return scores
        return _ban_continuations(scores, input_ids, input_ids[:, length + 1 - self.ngram_size :])


class EncoderNoRepeatNGramLogitsProcessor(LogitsProcessor):
    """No n-gram of the encoder's input comes again."""

    def __init__(self, encoder_ngram_size: int, encoder_input_ids: Tensor) -> None:
        self.ngram_size = whole("encoder_no_repeat_ngram_size", encoder_ngram_size, 1)
        self.encoder_input_ids = encoder_input_ids if encoder_input_ids.ndim == 2 else encoder_input_ids[None]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        length = input_ids.shape[1]
        if length + 1 < self.ngram_size or self.encoder_input_ids.shape[1] < self.ngram_size:
            return scores
        text = self.encoder_input_ids.repeat_interleave(scores.shape[0] // len(self.encoder_input_ids), 0)
        return _ban_continuations(scores, text, input_ids[:, length + 1 - self.ngram_size :])


class HammingDiversityLogitsProcessor(LogitsProcessor):
    """Penalises tokens that earlier groups of beams chose at this step (Vijayakumar et al. 2016, arXiv:1610.02424).

    Args:
        diversity_penalty: taken off for each choice.
        num_beams, num_beam_groups: all beams, and into how many groups they are divided.
    """

    def __init__(self, diversity_penalty: float, num_beams: int, num_beam_groups: int) -> None:
        self.diversity_penalty = positive("diversity_penalty", diversity_penalty)
        self.num_beams = whole("num_beams", num_beams, 2)
        if whole("num_beam_groups", num_beam_groups, 2) > num_beams:
            raise ConfigError(f"num_beam_groups ({num_beam_groups}) must not exceed num_beams ({num_beams}).")
        self.group_size = num_beams // num_beam_groups

    def __call__(  # type: ignore[override]
        self, input_ids: Tensor, scores: Tensor, current_tokens: Tensor, beam_group_idx: int
    ) -> Tensor:
        """
        Args:
            current_tokens: what the beams chose at this step [B * num_beams].
            beam_group_idx: the group that `scores` [B * group, V] belong to.
        """
        before = beam_group_idx * self.group_size
        if before == 0:
            return scores
        chosen = current_tokens.view(-1, self.num_beams)[:, :before]
        counts = torch.zeros(len(chosen), scores.shape[-1], device=scores.device, dtype=scores.dtype)
        counts.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=scores.dtype))
        return scores - self.diversity_penalty * counts.repeat_interleave(scores.shape[0] // len(chosen), 0)
