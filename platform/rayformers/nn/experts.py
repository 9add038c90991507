"""Mixtures of experts (Shazeer et al. 2017, arXiv:1701.06538; Fedus et al. 2021, arXiv:2101.03961).

Shape letters: N tokens, D width, E experts, K experts a token, F inner width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ConfigError
from .activations import Activation
from .context import Context


class Experts(nn.Module):
    """Gated feed-forward layers stacked along a leading axis; each token goes through its own few."""

    def __init__(self, count: int, dim: int, hidden: int, act: Activation, std: float = 0.02) -> None:
        super().__init__()
        self.gate_proj = nn.Parameter(torch.empty(count, hidden, dim))
        self.up_proj = nn.Parameter(torch.empty(count, hidden, dim))
        self.down_proj = nn.Parameter(torch.empty(count, dim, hidden))
        self.count, self.act, self.std = count, act, std

    def reset_parameters(self) -> None:
        """Normal weights."""
        for weight in (self.gate_proj, self.up_proj, self.down_proj):
            nn.init.normal_(weight, std=self.std)

    def forward(self, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """x [N, D], chosen experts [N, K] and their weights [N, K] -> [N, D].

        Tokens are sorted by expert, so that each expert that is hit runs once, on a block.
        """
        flat = chosen.flatten()
        order = flat.argsort(stable=True)
        tokens = order // chosen.shape[1]
        counts = flat.bincount(minlength=self.count).tolist()  # the one point where a GPU is waited for
        gates = weights.flatten()[order, None].to(x.dtype)
        out = torch.zeros_like(x)
        start = 0
        for expert, count in enumerate(counts):
            if not count:
                continue
            rows = tokens[start : start + count]
            block = x[rows]
            inner = self.act(F.linear(block, self.gate_proj[expert])) * F.linear(block, self.up_proj[expert])
            out.index_add_(0, rows, F.linear(inner, self.down_proj[expert]) * gates[start : start + count])
            start += count
        return out


class MixtureOfExperts(nn.Module):
    """A router that gives each token K of E experts: [B, T, D] -> [B, T, D].

    Args:
        dim, hidden: D and F.
        count, chosen: E and K.
        act: activation of the experts.
        normalise: whether a token's weights are made to sum to one.
        jitter: while training, inputs are multiplied by noise in 1 +- jitter.
        std: of fresh weights.
    """

    def __init__(
        self, dim: int, hidden: int, count: int, chosen: int, act: Activation, *, normalise: bool = True,
        jitter: float = 0.0, std: float = 0.02,
    ) -> None:  # fmt: skip
        super().__init__()
        if not 0 < chosen <= count:
            raise ConfigError(f"num_experts_per_tok is {chosen}; there are {count} experts. Choose from 1 to {count}.")
        self.gate = nn.Linear(dim, count, bias=False)
        self.experts = Experts(count, dim, hidden, act, std)
        self.chosen, self.normalise, self.jitter = chosen, normalise, jitter

    def forward(self, x: Tensor, context: Context) -> Tensor:
        if self.training and self.jitter > 0:
            x = x * torch.empty_like(x).uniform_(1.0 - self.jitter, 1.0 + self.jitter)
        tokens = x.flatten(0, -2)
        logits = self.gate(tokens)
        if context.router_logits is not None:
            context.router_logits.append(logits)
        weights, chosen = logits.softmax(-1, dtype=torch.float32).topk(self.chosen, dim=-1)
        if self.normalise:
            weights = weights / weights.sum(-1, keepdim=True)
        return self.experts(tokens, chosen, weights).view_as(x)


def balance_loss(router_logits: Sequence[Tensor], chosen: int, attention_mask: Tensor | None = None) -> Tensor:
    """How unevenly tokens spread over experts (equations 4 to 6 of arXiv:2101.03961).

    Args:
        router_logits: [B * T, E] of each layer.
        chosen: K.
        attention_mask: [B, T], positions in a cache may come before; padding does not count.
    """
    device = router_logits[0].device
    logits = torch.cat([layer.to(device) for layer in router_logits])
    experts = logits.shape[-1]
    weights = logits.softmax(-1)
    hits = F.one_hot(weights.topk(chosen, dim=-1).indices, experts).float()  # [layers * B * T, K, E]
    if attention_mask is None:
        share, probability = hits.mean(0), weights.mean(0)
    else:
        new = len(router_logits[0]) // len(attention_mask)
        text = attention_mask[:, -new:].flatten().repeat(len(router_logits)).to(device, torch.float32)
        share = (hits * text[:, None, None]).sum(0) / text.sum()
        probability = (weights * text[:, None]).sum(0) / text.sum()
    return (share * probability[None]).sum() * experts
