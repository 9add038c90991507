"""The green-list watermark: its logits rule and its detector (Kirchenbauer et al. 2023, arXiv:2306.04634)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from ..rules.base import LogitsProcessor
from .config import WatermarkingConfig

_TABLE_SIZE = 1_000_003
_CANDIDATES = 40
"""Tokens that "selfhash" tries, the most likely first."""


class WatermarkLogitsProcessor(LogitsProcessor):
    """Raises the scores of green tokens; see WatermarkingConfig."""

    def __init__(
        self, vocab_size: int, device: Any, greenlist_ratio: float = 0.25, bias: float = 2.0,
        hashing_key: int = 15485863, seeding_scheme: str = "lefthash", context_width: int = 1,
    ) -> None:  # fmt: skip
        WatermarkingConfig(greenlist_ratio, bias, hashing_key, seeding_scheme, context_width).validate()
        self.vocab_size, self.green = vocab_size, int(vocab_size * greenlist_ratio)
        self.bias, self.hash_key = bias, hashing_key
        self.seeding_scheme, self.context_width = seeding_scheme, context_width
        self.generator = torch.Generator(device=device)
        self.generator.manual_seed(hashing_key)
        self.table = torch.randperm(_TABLE_SIZE, generator=self.generator, device=device)

    def greenlist(self, tokens: Tensor) -> Tensor:
        """The green tokens after `tokens` [T] ("selfhash": if the last of them is the token in question)."""
        tokens = tokens[-self.context_width :]
        if self.seeding_scheme == "selfhash":
            hashed = self.table[tokens % _TABLE_SIZE] + 1
            seed = int((self.hash_key * hashed * hashed[-1]).min())
        else:
            seed = self.hash_key * int(tokens[-1])
        self.generator.manual_seed(seed % (2**64 - 1))
        return torch.randperm(self.vocab_size, device=tokens.device, generator=self.generator)[: self.green]

    def _own_green(self, tokens: Tensor, scores: Tensor) -> Tensor:
        """Of the most likely next tokens, those that are green by themselves."""
        likely = scores.sort(dim=-1, descending=True).indices[:_CANDIDATES]
        found = [token for token in likely if token in self.greenlist(torch.cat((tokens, token[None])))]
        return torch.stack(found) if found else likely[:0]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if input_ids.shape[-1] < self.context_width:
            return scores
        raised = scores.clone()
        for row, tokens in enumerate(input_ids):
            own = self.seeding_scheme == "selfhash"
            raised[row, self._own_green(tokens, scores[row]) if own else self.greenlist(tokens)] += self.bias
        return raised


@dataclass
class WatermarkDetectorOutput:
    """What a detector found in each text, arrays [B]."""

    num_tokens_scored: np.ndarray | None = None
    num_green_tokens: np.ndarray | None = None
    green_fraction: np.ndarray | None = None
    z_score: np.ndarray | None = None
    p_value: np.ndarray | None = None
    prediction: np.ndarray | None = None
    confidence: np.ndarray | None = None


class WatermarkDetector:
    """Tells whether texts carry a green-list watermark.

    Args:
        model_config: of the model that wrote them (vocabulary size, first token).
        device: the one that generated; the green lists depend on it.
        watermarking_config: the settings that were used.
        ignore_repeated_ngrams: count equal n-grams once.
        max_cache_size: remembered green lists.
    """

    def __init__(
        self, model_config: Any, device: Any, watermarking_config: WatermarkingConfig | dict[str, Any],
        ignore_repeated_ngrams: bool = False, max_cache_size: int = 128,
    ) -> None:  # fmt: skip
        settings = watermarking_config if isinstance(watermarking_config, dict) else watermarking_config.to_dict()
        first = "decoder_start_token_id" if model_config.is_encoder_decoder else "bos_token_id"
        self.bos_token_id = getattr(model_config, first)
        self.ratio, self.ignore_repeated_ngrams = settings["greenlist_ratio"], ignore_repeated_ngrams
        self.processor = WatermarkLogitsProcessor(vocab_size=model_config.vocab_size, device=device, **settings)
        self._device = device
        self._is_green = lru_cache(maxsize=max_cache_size)(self._look_up)

    def _look_up(self, prefix: tuple[int, ...], target: int) -> bool:
        return bool((self.processor.greenlist(torch.tensor(prefix, device=self._device)) == target).any())

    def _count(self, tokens: list[int]) -> tuple[int, int]:
        """(n-grams, those whose last token is green)."""
        itself = self.processor.seeding_scheme == "selfhash"
        size = self.processor.context_width + (0 if itself else 1)
        grams = Counter(tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1))
        green = {gram: self._is_green(gram if itself else gram[:-1], gram[-1]) for gram in grams}
        if self.ignore_repeated_ngrams:
            return len(grams), sum(green.values())
        return sum(grams.values()), sum(count for gram, count in grams.items() if green[gram])

    def __call__(
        self, input_ids: Tensor, z_threshold: float = 3.0, return_dict: bool = False
    ) -> WatermarkDetectorOutput | np.ndarray:
        """Judge texts [B, T], best without their prompts.

        Args:
            z_threshold: above this z-score a text counts as watermarked.
            return_dict: give all numbers, else only the predictions.

        Raises:
            InputError: the texts are shorter than the watermark's context.
        """
        if input_ids[0, 0] == self.bos_token_id:
            input_ids = input_ids[:, 1:]
        if input_ids.shape[-1] <= self.processor.context_width:
            raise InputError(
                f"Texts of {input_ids.shape[-1]} tokens are too short; the watermark's context is "
                f"{self.processor.context_width}, so at least {self.processor.context_width + 1} are needed."
            )
        counts = np.array([self._count(row) for row in input_ids.tolist()], dtype=float)
        scored, green = counts[:, 0], counts[:, 1]
        z_score = (green - self.ratio * scored) / np.sqrt(scored * self.ratio * (1 - self.ratio))
        prediction = z_score > z_threshold
        if not return_dict:
            return prediction
        p_value = 1 - 0.5 * (1 + np.sign(z_score) * (1 - np.exp(-2 * z_score**2 / np.pi)))
        return WatermarkDetectorOutput(
            num_tokens_scored=scored, num_green_tokens=green, green_fraction=green / scored, z_score=z_score,
            p_value=p_value, prediction=prediction, confidence=1 - p_value,
        )  # fmt: skip
