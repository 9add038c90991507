"""Rules about particular sequences of tokens: biases, bad words, allowed continuations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor

from ...errors import ConfigError
from .base import LogitsProcessor, TokenIds, token_tensor

Pairs = Mapping[tuple[int, ...], float] | Sequence[tuple[Sequence[int], float]]


class SequenceBiasLogitsProcessor(LogitsProcessor):
    """Adds a bias to the token that would complete a sequence.

    Args:
        sequence_bias: {(tokens): bias} or [[[tokens], bias], ...].
    """

    def __init__(self, sequence_bias: Pairs) -> None:
        self.sequence_bias = _checked(sequence_bias)
        self._groups: list[tuple[Tensor, Tensor, Tensor]] | None = None
        self._single: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self._groups is None or self._single is None:
            self._groups, self._single = self._prepare(scores)
        bias = torch.zeros_like(scores) + self._single
        for prefixes, lasts, biases in self._groups:
            width = prefixes.shape[1]
            if width + 1 > input_ids.shape[1]:
                continue
            follows = (input_ids[:, None, -width:] == prefixes).all(-1)
            bias.scatter_add_(1, lasts.expand(len(scores), -1), torch.where(follows, biases, 0.0))
        return scores + bias

    def _prepare(self, scores: Tensor) -> tuple[list[tuple[Tensor, Tensor, Tensor]], Tensor]:
        """Longer sequences by their length as (prefixes [N, L], last tokens [N], biases [N]); single tokens as [V]."""
        outside = sorted({token for tokens in self.sequence_bias for token in tokens if token >= scores.shape[-1]})
        if outside:
            raise ConfigError(f"sequence_bias names the tokens {outside}; the vocabulary has {scores.shape[-1]}.")
        groups, single = [], torch.zeros(scores.shape[-1], dtype=scores.dtype, device=scores.device)
        for length, items in groupby(
            sorted(self.sequence_bias.items(), key=lambda item: len(item[0])), lambda i: len(i[0])
        ):
            chosen = list(items)
            tokens = torch.tensor([sequence for sequence, _ in chosen], device=scores.device)
            biases = torch.tensor([bias for _, bias in chosen], dtype=scores.dtype, device=scores.device)
            if length == 1:
                single[tokens[:, 0]] = biases
            else:
                groups.append((tokens[:, :-1], tokens[:, -1], biases))
        return groups, single


def _checked(pairs: Pairs) -> dict[tuple[int, ...], float]:
    message = f"sequence_bias is {pairs!r}; expected {{(token, ...): bias}} or [[[token, ...], bias], ...]."
    try:
        items = pairs.items() if isinstance(pairs, Mapping) else pairs
        table = {tuple(tokens): float(bias) for tokens, bias in items}
    except (TypeError, ValueError):
        raise ConfigError(message) from None
    if not table or any(not key or any(not isinstance(t, int) or t < 0 for t in key) for key in table):
        raise ConfigError(message)
    return table


class NoBadWordsLogitsProcessor(SequenceBiasLogitsProcessor):
    """Bans sequences of tokens; an end of text alone is not banned."""

    def __init__(self, bad_words_ids: list[list[int]], eos_token_id: TokenIds | None = None) -> None:
        ends = [] if eos_token_id is None else token_tensor(eos_token_id, "eos_token_id").tolist()
        if (
            not isinstance(bad_words_ids, list)
            or not bad_words_ids
            or not all(isinstance(w, list) for w in bad_words_ids)
        ):
            raise ConfigError(f"bad_words_ids is {bad_words_ids!r}; expected a non-empty list of lists of token ids.")
        super().__init__({tuple(word): -math.inf for word in bad_words_ids if word not in [[end] for end in ends]})


class PrefixConstrainedLogitsProcessor(LogitsProcessor):
    """Only tokens that a function allows may follow (De Cao et al. 2020, arXiv:2010.00904).

    Args:
        prefix_allowed_tokens_fn: (number of the prompt, its tokens so far [T]) -> allowed tokens.
        num_beams: rows for each prompt.
    """

    def __init__(self, prefix_allowed_tokens_fn: Callable[[int, Tensor], Sequence[int]], num_beams: int) -> None:
        self.allowed, self.num_beams = prefix_allowed_tokens_fn, num_beams

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        mask = torch.full_like(scores, -math.inf)
        for row, tokens in enumerate(input_ids):
            allowed = self.allowed(row // self.num_beams, tokens)
            if len(allowed) == 0:
                raise ConfigError(
                    f"prefix_allowed_tokens_fn allows nothing after prompt {row // self.num_beams} at length "
                    f"{len(tokens)}; "
                    "it must give at least one token (for example the end of text)."
                )
            mask[row, allowed] = 0
        return scores + mask
