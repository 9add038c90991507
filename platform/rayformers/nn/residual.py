"""Residual branches and the two ways to arrange them in a layer: norm placement lives here and nowhere else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .context import Context


class LayerScale(nn.Module):
    """Multiplies by a learned vector [D] (Touvron et al. 2021, arXiv:2103.17239)."""

    def __init__(self, dim: int, initial: float) -> None:
        super().__init__()
        self.initial = initial
        self.weight = nn.Parameter(torch.full((dim,), initial))

    def reset_parameters(self) -> None:
        """Start again at the initial value."""
        nn.init.constant_(self.weight, self.initial)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class DropPath(nn.Module):
    """Drops the branch of whole samples while training (Huang et al. 2016, arXiv:1603.09382)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        kept = torch.rand(x.shape[0], *(1,) * (x.ndim - 1), device=x.device, dtype=x.dtype) >= self.rate
        return x * kept / (1.0 - self.rate)


class Residual(nn.Module):
    """x -> after(x + dropout(inside(branch(before(x))))).

    before           pre-norm     GPT-2, Llama, ViT
    after            post-norm    BERT, BART
    before + inside  sandwich     Gemma 2
    inside           reordered    OLMo 2; also layer scale (BEiT, DINOv2)
    """

    def __init__(
        self,
        branch: nn.Module,
        *,
        before: nn.Module | None = None,
        inside: nn.Module | None = None,
        after: nn.Module | None = None,
        dropout: float = 0.0,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.branch, self.before, self.inside, self.after = branch, before, inside, after
        self.dropout = nn.Dropout(dropout)
        self.scale = scale

    def delta(self, x: Tensor, context: Context) -> Tensor:
        """What the branch adds to x."""
        y = self.branch(x if self.before is None else self.before(x), context)
        y = y if self.inside is None else self.inside(y)
        y = self.dropout(y) if self.training else y
        return y if self.scale == 1.0 else y * self.scale

    def forward(self, x: Tensor, context: Context) -> Tensor:
        y = x + self.delta(x, context)
        return y if self.after is None else self.after(y)


class Sequential(nn.Module):
    """A layer whose branches follow one another: attention, then (for decoders with a memory) cross, then the MLP."""

    def __init__(self, attn: Residual, mlp: Residual, *, cross: Residual | None = None) -> None:
        super().__init__()
        self.attn, self.cross, self.mlp = attn, cross, mlp

    def forward(self, x: Tensor, context: Context) -> Tensor:
        x = self.attn(x, context)
        if self.cross is not None and self._has_memory(context):
            x = self.cross(x, context)
        return self.mlp(x, context)

    def _has_memory(self, context: Context) -> bool:
        """Whether there are an encoder's states, or their keys and values in the cache."""
        if context.memory is not None or context.cache is None:
            return context.memory is not None
        assert self.cross is not None
        return context.cache.cross(getattr(self.cross.branch, "layer", 0)) is not None


class Parallel(nn.Module):
    """A layer whose branches read the same x (GPT-J, GPT-NeoX, Falcon, Phi).

    Args:
        attn, mlp: the branches.
        norm: one normalisation that both read, where they have none of their own.
    """

    def __init__(self, attn: Residual, mlp: Residual, *, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.norm, self.attn, self.mlp = norm, attn, mlp

    def forward(self, x: Tensor, context: Context) -> Tensor:
        y = x if self.norm is None else self.norm(x)
        return x + self.attn.delta(y, context) + self.mlp.delta(y, context)
