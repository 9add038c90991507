"""Selective state spaces (Gu and Dao 2023, arXiv:2312.00752).

Shape letters: B batch, T positions, D width, I inner width, N width of the state, R rank of the time step.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .activations import Activation
from .cache_states import MambaCache
from .context import Context

CHUNK = 64
"""Positions that one scan covers; the state is carried from chunk to chunk, which bounds the memory."""


def scan(decay: Tensor, change: Tensor, state: Tensor) -> Tensor:
    """All states s[t] = decay[t] * s[t - 1] + change[t], by doubling: log2(T) steps in place of T.

    Args:
        decay, change: [B, I, T, N].
        state: [B, I, N], the one before.
    """
    change = torch.cat((change[:, :, :1] + decay[:, :, :1] * state[:, :, None], change[:, :, 1:]), dim=2)
    length, reach = decay.shape[2], 1
    while reach < length:
        change = torch.cat(
            (change[:, :, :reach], change[:, :, reach:] + decay[:, :, reach:] * change[:, :, :-reach]), dim=2
        )
        decay = torch.cat((decay[:, :, :reach], decay[:, :, reach:] * decay[:, :, :-reach]), dim=2)
        reach *= 2
    return change


class MambaMixer(nn.Module):
    """A causal convolution and a selective recurrence, gated: [B, T, D] -> [B, T, D].

    Args:
        dim, inner, state, kernel, rank: D, I, N, width of the convolution in positions, R.
        layer: index of the layer in the cache.
        act: activation after the convolution and of the gate.
        bias: of the projections; conv_bias: of the convolution.
        step: (smallest, largest, floor, scale) of fresh time steps; random: whether their projection is drawn.
        depth: layers by whose root the output projection starts smaller; 1 for no rescaling.
    """

    def __init__(
        self, dim: int, inner: int, state: int, kernel: int, rank: int, *, layer: int, act: Activation,
        bias: bool = False, conv_bias: bool = True, step: tuple[float, float, float, float] = (0.001, 0.1, 1e-4, 1.0),
        random: bool = True, depth: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.inner, self.state, self.kernel, self.rank, self.layer = inner, state, kernel, rank, layer
        self.act, self.step, self.random, self.depth = act, step, random, depth
        self.conv1d = nn.Conv1d(inner, inner, kernel, groups=inner, bias=conv_bias)
        self.in_proj = nn.Linear(dim, 2 * inner, bias)
        self.x_proj = nn.Linear(inner, rank + 2 * state, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        self.A_log = nn.Parameter(torch.empty(inner, state))
        self.D = nn.Parameter(torch.empty(inner))
        self.out_proj = nn.Linear(inner, dim, bias)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Mix; the context's "full" mask [B, T] has ones for text, its cache is a MambaCache."""
        dtype, cache, mask = x.dtype, context.cache, context.masks.get("full")
        if mask is not None:
            x = x * mask[..., None].to(dtype)
        x, gate = self.in_proj(x).transpose(1, 2).chunk(2, dim=1)  # [B, I, T]
        x = self.act(self._convolved(x, cache))
        if mask is not None:
            x = x * mask[:, None].to(dtype)
        step, into, out_of = self.x_proj(x.transpose(1, 2)).split((self.rank, self.state, self.state), dim=-1)
        step = F.softplus(self.dt_proj(step)).transpose(1, 2).float()  # [B, I, T]
        y, last = self._recur(x, step, into, out_of, None if cache is None else cache.ssm_states[self.layer])
        if cache is not None:
            cache.update_ssm_state(self.layer, last)
        y = (y + x * self.D[None, :, None]) * self.act(gate)
        return self.out_proj(y.transpose(1, 2).to(dtype))

    def _convolved(self, x: Tensor, cache: MambaCache | None) -> Tensor:
        """Each position from itself and the inputs before it, those of earlier calls included."""
        if cache is None:
            return self.conv1d(F.pad(x, (self.kernel - 1, 0)))
        before = cache.conv_states[self.layer][..., 1:].to(x)
        cache.update_conv_state(self.layer, x)
        return self.conv1d(torch.cat((before, x), dim=-1))

    def _recur(
        self, x: Tensor, step: Tensor, into: Tensor, out_of: Tensor, state: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What the recurrence gives [B, I, T], and its last state [B, I, N]."""
        rate = -torch.exp(self.A_log.float())
        last = x.new_zeros(len(x), self.inner, self.state).float() if state is None else state.float()
        parts = []
        for start in range(0, x.shape[-1], CHUNK):
            now = slice(start, start + CHUNK)
            decay = torch.exp(rate[None, :, None] * step[:, :, now, None])
            change = (step * x.float())[:, :, now, None] * into[:, None, now].float()
            states = scan(decay, change, last)
            last = states[:, :, -1]
            parts.append(torch.einsum("bitn,btn->bit", states.to(x.dtype), out_of[:, now]))
        return torch.cat(parts, dim=-1), last

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """The paper's start: decays 1 to N, time steps spread evenly in their logarithm."""
        smallest, largest, floor, scale = self.step
        device = self.A_log.device
        self.A_log.copy_(torch.arange(1, self.state + 1, device=device).float().log().expand(self.inner, -1))
        nn.init.ones_(self.D)
        spread = self.rank**-0.5 * scale
        if self.random:
            nn.init.uniform_(self.dt_proj.weight, -spread, spread)
        else:
            nn.init.constant_(self.dt_proj.weight, spread)
        drawn = torch.rand(self.inner, device=device) * (math.log(largest) - math.log(smallest)) + math.log(smallest)
        step = drawn.exp().clamp(min=floor)
        self.dt_proj.bias.copy_(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
        nn.init.kaiming_uniform_(self.conv1d.weight, a=math.sqrt(5))
        if self.conv1d.bias is not None:
            nn.init.zeros_(self.conv1d.bias)
        nn.init.kaiming_uniform_(self.out_proj.weight, a=math.sqrt(5))
        self.out_proj.weight.div_(math.sqrt(self.depth))
