"""Rules that shape the distribution that is sampled from."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .base import LogitsProcessor, between, positive, whole


class TemperatureLogitsWarper(LogitsProcessor):
    """Divides scores by the temperature."""

    def __init__(self, temperature: float) -> None:
        self.temperature = positive("temperature", temperature, " For greedy search, set do_sample=False.")

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores / self.temperature


class _Filter(LogitsProcessor):
    """Removes tokens but the `min_tokens_to_keep` best."""

    def __init__(self, filter_value: float = -math.inf, min_tokens_to_keep: int = 1) -> None:
        self.filter_value = filter_value
        self.min_tokens_to_keep = whole("min_tokens_to_keep", min_tokens_to_keep, 1)

    def _not_best(self, scores: Tensor) -> Tensor:
        """[B, V]: below the `min_tokens_to_keep` best scores."""
        kept = min(self.min_tokens_to_keep, scores.shape[-1])
        return scores < scores.topk(kept).values[..., -1:]

    def _remove_sorted(self, scores: Tensor, order: Tensor, gone: Tensor) -> Tensor:
        """Remove what `gone` [B, V] marks in the order `order`."""
        return scores.masked_fill(torch.zeros_like(gone).scatter(-1, order, gone), self.filter_value)


class TopKLogitsWarper(_Filter):
    """Keeps the k best tokens."""

    def __init__(self, top_k: int, filter_value: float = -math.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.top_k = max(whole("top_k", top_k, 1), min_tokens_to_keep)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        kept = min(self.top_k, scores.shape[-1])
        return scores.masked_fill(scores < scores.topk(kept).values[..., -1:], self.filter_value)


class TopPLogitsWarper(_Filter):
    """Keeps the fewest best tokens whose probabilities sum to top_p (Holtzman et al. 2020, arXiv:1904.09751)."""

    def __init__(self, top_p: float, filter_value: float = -math.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.top_p = between("top_p", top_p, 0, 1, ends=True)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        ascending, order = scores.sort(dim=-1)
        gone = ascending.softmax(-1).cumsum(-1) <= 1 - self.top_p
        gone[..., -self.min_tokens_to_keep :] = False
        return self._remove_sorted(scores, order, gone)


class MinPLogitsWarper(_Filter):
    """Keeps tokens at least `min_p` times as probable as the best (Nguyen et al. 2024, arXiv:2407.01082)."""

    def __init__(self, min_p: float, filter_value: float = -math.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.min_p = between("min_p", min_p, 0, 1, ends=True)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        probabilities = scores.softmax(-1)
        rare = probabilities < self.min_p * probabilities.amax(-1, keepdim=True)
        order = scores.argsort(dim=-1, descending=True)
        gone = rare.gather(-1, order)
        gone[..., : self.min_tokens_to_keep] = False
        return self._remove_sorted(scores, order, gone)


class TypicalLogitsWarper(_Filter):
    """Keeps the tokens whose information is nearest to the entropy (Meister et al. 2022, arXiv:2202.00666)."""

    def __init__(self, mass: float = 0.9, filter_value: float = -math.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.mass = between("typical_p", mass, 0, 1)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        logs = scores.log_softmax(-1)
        entropy = -(logs * logs.exp()).nansum(-1, keepdim=True)
        surprise, order = (-logs - entropy).abs().sort(dim=-1)
        mass = scores.gather(-1, order).softmax(-1).cumsum(-1)
        last = (mass < self.mass).sum(-1, keepdim=True).clamp(max=scores.shape[-1] - 1)
        gone = surprise > surprise.gather(-1, last)
        gone[..., : self.min_tokens_to_keep] = False
        return self._remove_sorted(scores, order, gone)


class EpsilonLogitsWarper(_Filter):
    """Removes tokens less probable than epsilon (Hewitt et al. 2022, arXiv:2210.15191)."""

    def __init__(self, epsilon: float, filter_value: float = -math.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.epsilon = between("epsilon_cutoff", epsilon, 0, 1)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        gone = (scores.softmax(-1) < self.epsilon) & self._not_best(scores)
        return scores.masked_fill(gone, self.filter_value)


class EtaLogitsWarper(_Filter):
    """Removes tokens below a threshold that falls with the entropy (Hewitt et al. 2022, arXiv:2210.15191)."""

    def __init__(
        self, epsilon: float, filter_value: float = -math.inf, min_tokens_to_keep: int = 1, device: object = "cpu"
    ) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.epsilon = between("eta_cutoff", epsilon, 0, 1)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        logs = scores.log_softmax(-1)
        entropy = -(logs.clamp(min=torch.finfo(scores.dtype).min) * logs.exp()).sum(-1, keepdim=True)
        threshold = (math.sqrt(self.epsilon) * torch.exp(-entropy)).clamp(max=self.epsilon)
        gone = (logs.exp() < threshold) & self._not_best(scores)
        return scores.masked_fill(gone, self.filter_value)


class LogitNormalization(LogitsProcessor):
    """Log-softmax of the scores."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores.log_softmax(-1)


class InfNanRemoveLogitsProcessor(LogitsProcessor):
    """Replaces NaN by 0 and infinities by the largest and smallest numbers."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        limits = torch.finfo(scores.dtype)
        return scores.nan_to_num(nan=0.0, posinf=limits.max, neginf=limits.min)
