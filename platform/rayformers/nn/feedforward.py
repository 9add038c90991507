"""Feed-forward layers."""

from __future__ import annotations

from torch import Tensor, nn

from .activations import Activation
from .context import Context


class MLP(nn.Module):
    """fc2(act(fc1(x))): [..., D] -> [..., D].

    Args:
        dim: width D.
        hidden: inner width.
        act: activation.
        bias: whether both projections have one.
        dropout: after the activation, while training.
        out_dim: width of the output; default D.
    """

    def __init__(
        self, dim: int, hidden: int, act: Activation, *, bias: bool = True, dropout: float = 0.0,
        out_dim: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden, bias)
        self.fc2 = nn.Linear(hidden, out_dim or dim, bias)
        self.act = act
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, context: Context | None = None) -> Tensor:
        y = self.act(self.fc1(x))
        return self.fc2(self.dropout(y) if self.training else y)


class GatedMLP(nn.Module):
    """down_proj(act(gate_proj(x)) * up_proj(x)) (Shazeer 2020, arXiv:2002.05202): [..., D] -> [..., D]."""

    def __init__(self, dim: int, hidden: int, act: Activation, *, bias: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(dim, hidden, bias)
        self.up_proj = nn.Linear(dim, hidden, bias)
        self.down_proj = nn.Linear(hidden, dim, bias)
        self.act = act
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, context: Context | None = None) -> Tensor:
        y = self.act(self.gate_proj(x)) * self.up_proj(x)
        return self.down_proj(self.dropout(y) if self.training else y)
