"""SynthID's tournament watermark (Dathathri et al. 2024, doi:10.1038/s41586-024-08025-4): its logits rule.

Shape letters: B rows, T tokens, N n-gram length, C candidates, L layers of the tournament (keys).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import InputError
from ..rules.base import LogitsProcessor

_MULTIPLIER, _INCREMENT = 6364136223846793005, 1
"""Knuth's linear congruential generator, as newlib and musl use it."""


class SynthIDTextWatermarkState:
    """The contexts that a generation has seen.

    Args:
        batch_size, ngram_len, context_history_size: B, N, and how many contexts are remembered.
    """

    def __init__(self, batch_size: int, ngram_len: int, context_history_size: int, device: Any) -> None:
        self.context = torch.zeros(batch_size, ngram_len - 1, dtype=torch.int64, device=device)
        self.context_history = torch.zeros(batch_size, context_history_size, dtype=torch.int64, device=device)
        self.num_calls = 0

    def repeated(self, hashes: Tensor) -> Tensor:
        """[B, 1]: whether contexts of these hashes [B] came before; they are remembered now."""
        hashes = hashes[:, None]
        known = (self.context_history == hashes).any(1, keepdim=True)
        self.context_history = torch.cat((hashes, self.context_history), 1)[:, :-1]
        return known


class SynthIDTextWatermarkLogitsProcessor(LogitsProcessor):
    """Lets a tournament decide between likely tokens; see SynthIDTextWatermarkingConfig."""

    def __init__(
        self, ngram_len: int, keys: list[int], sampling_table_size: int, sampling_table_seed: int,
        context_history_size: int, device: Any, skip_first_ngram_calls: bool = False, debug_mode: bool = False,
    ) -> None:  # fmt: skip
        self.ngram_len, self.keys = ngram_len, torch.tensor(keys, device=device)
        generator = torch.Generator(device=device).manual_seed(sampling_table_seed)
        self.sampling_table = torch.randint(0, 2, (sampling_table_size,), generator=generator, device=device)
        self.context_history_size, self.device = context_history_size, device
        self.skip_first_ngram_calls, self.debug_mode = skip_first_ngram_calls, debug_mode
        self.state: SynthIDTextWatermarkState | None = None

    def _new_state(self, batch: int) -> SynthIDTextWatermarkState:
        return SynthIDTextWatermarkState(batch, self.ngram_len, self.context_history_size, self.device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        _check(input_ids)
        if self.debug_mode:
            scores = torch.ones_like(scores)
        if self.state is None:
            self.state = self._new_state(len(scores))
        else:
            self.state.context = torch.cat((self.state.context, input_ids[:, -1:]), 1)[:, 1:]
        self.state.num_calls += 1
        if self.skip_first_ngram_calls and self.state.num_calls < self.ngram_len:
            return scores
        candidates = torch.arange(scores.shape[1], device=scores.device)
        context = accumulate_hash(torch.ones_like(self.state.context[:, 0]), self.state.context)
        keys = self._layer_keys(accumulate_hash(context[:, None], candidates[None, :, None]))
        marked = self.update_scores(scores, self.sample_g_values(keys))
        return torch.where(self.state.repeated(context), scores, marked)

    def update_scores(self, scores: Tensor, g_values: Tensor) -> Tensor:
        """Log-probabilities [B, V] after the tournament, given scores [B, V] and bits [B, V, L]."""
        probabilities = scores.softmax(1)
        for bits in g_values.unbind(-1):
            mass = (bits * probabilities).sum(1, keepdim=True)
            probabilities = probabilities * (1 + bits - mass)
        logs = probabilities.log()
        return torch.where(logs.isfinite(), logs, torch.finfo(logs.dtype).min)

    def _layer_keys(self, hashes: Tensor) -> Tensor:
        """Hashes [B, C] with each layer's key: [B, C, L]."""
        return accumulate_hash(hashes[..., None], self.keys[:, None])

    def sample_g_values(self, ngram_keys: Tensor) -> Tensor:
        """The table's bits for keys of any shape."""
        return self.sampling_table[ngram_keys % len(self.sampling_table)]

    def compute_ngram_keys(self, ngrams: Tensor) -> Tensor:
        """Keys [B, C, L] of n-grams [B, C, N]."""
        if ngrams.ndim != 3 or ngrams.shape[2] != self.ngram_len:
            raise InputError(
                f"n-grams have the shape {list(ngrams.shape)}; expected [rows, n-grams, {self.ngram_len}]."
            )
        return self._layer_keys(accumulate_hash(torch.ones_like(ngrams[..., 0]), ngrams))

    def compute_g_values(self, input_ids: Tensor) -> Tensor:
        """Bits [B, T - N + 1, L] of texts [B, T]."""
        _check(input_ids)
        return self.sample_g_values(self.compute_ngram_keys(input_ids.unfold(1, self.ngram_len, 1)))

    def compute_context_repetition_mask(self, input_ids: Tensor) -> Tensor:
        """[B, T - N + 1]: whether a context came for the first time."""
        _check(input_ids)
        state = self._new_state(len(input_ids))
        contexts = input_ids[:, :-1].unfold(1, self.ngram_len - 1, 1)
        hashes = accumulate_hash(torch.ones_like(contexts[..., 0]), contexts)
        return torch.cat([~state.repeated(column) for column in hashes.unbind(1)], 1)

    def compute_eos_token_mask(self, input_ids: Tensor, eos_token_id: int) -> Tensor:
        """[B, T]: 1 before the first end of text, 0 from there on."""
        _check(input_ids)
        return ((input_ids == eos_token_id).cumsum(1) == 0).long()

    def expected_mean_g_value(self, vocab_size: int, coinflip_prob: float = 0.5) -> float:
        """The mean bit to expect of watermarked text, for one layer and uniform probabilities."""
        return coinflip_prob + coinflip_prob * (1 - coinflip_prob) * (1 - 1 / vocab_size)


def accumulate_hash(current: Tensor, data: Tensor) -> Tensor:
    """Hash data [..., N] on top of hashes that broadcast with [...]."""
    for column in data.unbind(-1):
        current = (current + column) * _MULTIPLIER + _INCREMENT
    return current


def _check(input_ids: Tensor) -> None:
    if input_ids.ndim != 2:
        raise InputError(f"input_ids have the shape {list(input_ids.shape)}; expected [rows, tokens].")
