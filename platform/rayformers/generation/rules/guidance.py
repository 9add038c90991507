"""Rules of classifier-free guidance, Bark's codebooks and Whisper's timestamps."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...errors import ConfigError, InputError
from .base import LogitsProcessor, whole


class ClassifierFreeGuidanceLogitsProcessor(LogitsProcessor):
    """Guides scores [2 B, V], conditional rows first, away from the unconditional ones (Ho and Salimans 2022)."""

    def __init__(self, guidance_scale: float) -> None:
        if not guidance_scale > 1:
            raise ConfigError(f"guidance_scale is {guidance_scale!r}; expected a number > 1.")
        self.guidance_scale = guidance_scale

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if len(scores) != 2 * len(input_ids):
            raise InputError(
                f"Guidance needs two rows of scores for each row of tokens; there are {len(scores)} "
                f"and {len(input_ids)}."
            )
        conditional, unconditional = scores.chunk(2)
        return unconditional + (conditional - unconditional) * self.guidance_scale


class UnbatchedClassifierFreeGuidanceLogitsProcessor(LogitsProcessor):
    """Guidance where the unconditional scores come from a second forward pass (Sanchez et al. 2023, arXiv:2306.17806).

    Args:
        guidance_scale: > 1 follows the prompt more closely.
        model: the model that generates.
        unconditional_ids: negative prompt [B, T]; default: the prompt's last token.
        unconditional_attention_mask: mask of it [B, T].
        use_cache: whether the second pass keeps a cache of its own.
    """

    def __init__(
        self, guidance_scale: float, model: Any, unconditional_ids: Tensor | None = None,
        unconditional_attention_mask: Tensor | None = None, use_cache: bool = True,
    ) -> None:  # fmt: skip
        self.guidance_scale, self.model, self.use_cache = guidance_scale, model, use_cache
        self.ids, self.mask = unconditional_ids, unconditional_attention_mask
        self._past: Any = None
        self._started = False

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.log_softmax(-1)
        if self.guidance_scale == 1:
            return scores
        free = self._unconditional(input_ids)[:, -1].log_softmax(-1)
        return self.guidance_scale * (scores - free) + free

    def _unconditional(self, input_ids: Tensor) -> Tensor:
        last = input_ids[:, -1:]
        if not self._started or self.ids is None or self.mask is None:
            self.ids = last if self.ids is None else self.ids
            self.mask = torch.ones_like(self.ids) if self.mask is None else self.mask
            self._started = True
            fed = self.ids
        else:
            self.mask = torch.cat((self.mask, torch.ones_like(last)), 1)
            self.ids = torch.cat((self.ids, last), 1)
            fed = last if self.use_cache else self.ids
        output = self.model(fed, attention_mask=self.mask, use_cache=self.use_cache, past_key_values=self._past)
        self._past = output.get("past_key_values")
        return output.logits


class AlternatingCodebooksLogitsProcessor(LogitsProcessor):
    """Bark's coarse acoustics: even positions take the first codebook, odd ones the second."""

    def __init__(self, input_start_len: int, semantic_vocab_size: int, codebook_size: int) -> None:
        self.input_start_len = whole("input_start_len", input_start_len, 0)
        self.semantic_vocab_size, self.codebook_size = semantic_vocab_size, codebook_size

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        first = (input_ids.shape[-1] - self.input_start_len) % 2 == 0
        start = self.semantic_vocab_size if first else self.semantic_vocab_size + self.codebook_size
        stop = self.semantic_vocab_size + self.codebook_size if first else scores.shape[-1]
        kept = torch.full_like(scores, -math.inf)
        kept[:, start:stop] = scores[:, start:stop]
        return kept


class WhisperTimeStampLogitsProcessor(LogitsProcessor):
    """Whisper's grammar of timestamps: in pairs, never falling, text between (Radford et al. 2022, arXiv:2212.04356).

    Args:
        generate_config: has no_timestamps_token_id, eos_token_id (or bos_token_id), max_initial_timestamp_index.
        begin_index: position of the first generated token.
    """

    def __init__(
        self, generate_config: Any, begin_index: int, _detect_timestamp_from_logprob: bool | None = None
    ) -> None:
        self.no_timestamps = generate_config.no_timestamps_token_id
        self.first = self.no_timestamps + 1
        self.eos_token_id = generate_config.eos_token_id or generate_config.bos_token_id
        self.detect = (
            getattr(generate_config, "_detect_timestamp_from_logprob", True)
            if _detect_timestamp_from_logprob is None
            else _detect_timestamp_from_logprob
        )
        self.begin_index = begin_index
        self.max_initial = getattr(generate_config, "max_initial_timestamp_index", None)

    def set_begin_index(self, begin_index: int) -> None:
        """Change the position of the first generated token."""
        self.begin_index = begin_index

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        tokens = input_ids[:, self.begin_index :]
        numbers = torch.arange(scores.shape[-1], device=scores.device)
        stamps = numbers >= self.first
        banned = (numbers == self.no_timestamps).expand_as(scores).clone()
        if tokens.shape[1]:
            banned |= self._pairs(tokens, numbers, stamps)
        else:
            banned |= ~stamps
            if self.max_initial is not None:
                banned |= numbers > self.first + self.max_initial
        scores = scores.masked_fill(banned, -math.inf)
        if not self.detect:
            return scores
        logs = scores.float().log_softmax(-1)
        likely = logs[:, self.first :].logsumexp(-1) > logs[:, : self.first].amax(-1)
        return scores.masked_fill(likely[:, None] & ~stamps, -math.inf)

    def _pairs(self, tokens: Tensor, numbers: Tensor, stamps: Tensor) -> Tensor:
        """[B, V]: what the timestamps so far forbid."""
        is_stamp = tokens >= self.first
        last = is_stamp[:, -1:]
        before = is_stamp[:, -2:-1] if tokens.shape[1] > 1 else torch.ones_like(last)
        opened = last & ~before
        banned = (last & before & stamps) | (opened & (numbers < self.eos_token_id))
        places = torch.where(is_stamp, torch.arange(tokens.shape[1], device=tokens.device), -1).amax(-1, keepdim=True)
        newest = tokens.gather(1, places.clamp(min=0))
        floor = torch.where(opened, newest, newest + 1)  # an opened pair may end at its own time
        return banned | ((places >= 0) & stamps & (numbers < floor))
