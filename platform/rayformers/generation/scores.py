"""Scores of generated sequences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def compute_transition_scores(
    model: Any, sequences: Tensor, scores: tuple[Tensor, ...], beam_indices: Tensor | None = None,
    normalize_logits: bool = False,
) -> Tensor:  # fmt: skip
    """The score of every generated token [B, T], given what generate recorded.

    Args:
        sequences: [B, prompt + T].
        scores: T tensors [rows, V].
        beam_indices: [B, T], which row each token came from, -1 after the end; None without beams.
        normalize_logits: log-softmax the scores first.
    """
    stacked = torch.stack(tuple(scores), 1)
    if normalize_logits:
        stacked = stacked.log_softmax(-1)
    if beam_indices is None:
        beam_indices = torch.arange(len(stacked), device=sequences.device)[:, None].expand(-1, len(scores))
    length = int((beam_indices >= 0).sum(-1).max())
    rows = beam_indices[:, :length].long().to(stacked.device)
    tokens = sequences[:, sequences.shape[1] - length :].to(stacked.device)
    steps = torch.arange(length, device=stacked.device)
    found = stacked[rows.clamp(min=0), steps, tokens]
    return found.masked_fill(rows < 0, 0.0)
