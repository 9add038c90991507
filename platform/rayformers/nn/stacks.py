"""A stack of layers with recording and gradient checkpointing."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .context import Context


class Stack(nn.Module):
    """Layers in order, then an optional norm: [B, T, D] -> [B, T, D].

    Args:
        layers: modules called as layer(x, context).
        norm: applied to the result.
        record_norm: whether the last recorded state is the normed result (decoders such as GPT-2 and Llama) or the
            last layer's own output (ViT).
        layer_drop: probability with which a layer is left out while training (Fan et al. 2019, arXiv:1909.11556).
    """

    def __init__(
        self, layers: Iterable[nn.Module], norm: nn.Module | None = None, *, record_norm: bool = True,
        layer_drop: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.layer_drop = layer_drop
        self.layers = nn.ModuleList(layers)
        self.norm = norm
        self.record_norm = record_norm
        self.gradient_checkpointing = False

    def forward(self, x: Tensor, context: Context) -> Tensor:
        states = context.states if context.record_states else None
        for layer in self.sequence():
            if states is not None:
                states.append(x)
            before = x
            if self.gradient_checkpointing and self.training:
                x = checkpoint(layer, x, context, use_reentrant=False)
            else:
                x = layer(x, context)
            if self.training and self.layer_drop:  # computed even so: distributed engines wait for every gradient
                x = torch.where(torch.rand([], device=x.device) < self.layer_drop, before, x)
        normed = x if self.norm is None else self.norm(x)
        if states is not None:
            states.append(normed if self.record_norm else x)
        return normed

    def sequence(self) -> Iterable[nn.Module]:
        """The layers in the order in which they run; one may come several times."""
        return self.layers
