"""DoLa (Chuang et al. 2023, arXiv:2309.03883): the last layer's scores against those of an earlier one.

Shape letters: B rows, C candidate layers, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...errors import ConfigError
from ..run import Run
from .sample import last_logits, sample

_RELATIVE_TOP = 0.1
"""Tokens below this share of the best probability are out."""
_BASE_FILLER = -1e-3
"""What the earlier layer's scores are set to for those tokens."""


def dola(run: Run) -> Any:
    """Greedy search or sampling on contrasted scores."""
    if run.decoder.encoder_decoder:
        raise ConfigError("dola_layers works with decoder-only models. Leave it out.")
    head = run.model.get_output_embeddings()
    if head is None:
        raise ConfigError(f"{type(run.model).__name__} has no projection to the vocabulary; dola_layers needs one.")
    layers = candidate_layers(run.config.dola_layers, run.model.config)

    def look(output: Any) -> Tensor:
        early = torch.stack([head(output.hidden_states[layer][:, -1]) for layer in layers])
        return contrast(early, last_logits(output))

    return sample(run, look, output_hidden_states=True)


def candidate_layers(asked: str | list[int], config: Any) -> list[int]:
    """The layers that are tried, "low" and "high" by the model's depth.

    Raises:
        ConfigError: something else was asked for.
    """
    depth = config.get_text_config(decoder=True).num_hidden_layers
    if isinstance(asked, list):
        layers = [layer for layer in asked if layer < depth]
        if not layers or any(not isinstance(layer, int) or layer < 0 for layer in layers):
            raise ConfigError(f"dola_layers is {asked}; the model has the layers 0 to {depth - 1}.")
        return layers
    if asked == "low":
        # with tied embeddings the embedding layer would only give back the input token
        start = 0 if not config.tie_word_embeddings else min(2, max(0, depth - 1)) if depth > 1 else 0
        if start == depth // 2:
            return [start]
        return list(range(start, depth // 2 if depth <= 40 else 20, 2))
    if asked == "high":
        return list(range(depth // 2 if depth <= 40 else depth - 20, depth, 2))
    raise ConfigError(f"dola_layers is {asked!r}; expected 'low', 'high' or a list of layer numbers.")


def contrast(early: Tensor, final: Tensor) -> Tensor:
    """Final scores [B, V] less those of the early layer [C, B, V] that differs most from them."""
    base = early[0] if len(early) == 1 else early[_divergence(early, final).argmax()]
    logs, base_logs = final.log_softmax(-1), base.log_softmax(-1)
    low = logs < logs.amax(-1, keepdim=True) + math.log(_RELATIVE_TOP)
    return logs.masked_fill(low, -math.inf) - base_logs.masked_fill(low, _BASE_FILLER)


def _divergence(early: Tensor, final: Tensor) -> Tensor:
    """Jensen-Shannon divergence of each layer from the last, averaged over rows: [C]."""
    mean = 0.5 * (final.softmax(-1) + early.softmax(-1))

    def against(logs: Tensor) -> Tensor:
        return (torch.xlogy(mean, mean) - mean * logs).mean(-1)

    return (0.5 * (against(final.log_softmax(-1)) + against(early.log_softmax(-1)))).mean(-1)
