"""Multi-head attention and the kernels that compute it.

Shape letters: B batch, H query heads, G key-value heads, Q query positions, K key positions, E width of a head,
D width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import DependencyError
from ..registry import Registry
from .context import Context

Kernel = Callable[..., tuple[Tensor, Tensor | None]]

KERNELS: Registry[Kernel] = Registry("attention kernel")
"""Kernels take q [B,H,Q,E], k and v [B,G,K,E] and mask, bias, scale, causal, dropout, softcap by keyword; they give
([B,H,Q,E], weights [B,H,Q,K] or None)."""


def causal_mask(queries: int, keys: int, device: torch.device, window: int | None = None) -> Tensor:
    """Boolean [Q, K]: query i, the (K - Q + i)-th position, attends to itself and to what came before.

    Args:
        queries: number of query positions Q, the last ones of the K.
        keys: number of key positions K.
        device: where the mask lies.
        window: attend to at most this many positions, itself included.
    """
    query = torch.arange(keys - queries, keys, device=device)[:, None]
    key = torch.arange(keys, device=device)[None]
    mask = key <= query
    return mask if window is None else mask & (query - key < window)


def _expand_groups(q: Tensor, x: Tensor) -> Tensor:
    repeats = q.shape[1] // x.shape[1]
    return x if repeats == 1 else x.repeat_interleave(repeats, dim=1)


def eager(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    scale: float,
    causal: bool = False,
    dropout: float = 0.0,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention written out; gives the weights too. The softmax is taken in float32."""
    k, v = _expand_groups(q, k), _expand_groups(q, v)
    scores = q @ k.transpose(-1, -2) * scale
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if bias is not None:
        scores = scores + bias
    if causal and mask is None:
        mask = causal_mask(q.shape[-2], k.shape[-2], q.device)
    if mask is not None:
        hidden = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~mask, hidden) if mask.dtype == torch.bool else scores + mask
    weights = F.dropout(scores.softmax(-1, dtype=torch.float32).to(q.dtype), dropout)
    return weights @ v, weights


def sdpa(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    scale: float,
    causal: bool = False,
    dropout: float = 0.0,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor | None]:
    """torch's fused attention. It cannot cap scores and leaves them as they are, like the reference; `eager` caps."""
    causal = causal and mask is None and q.shape[-2] > 1
    if causal and (bias is not None or q.shape[-2] != k.shape[-2]):
        mask, causal = causal_mask(q.shape[-2], k.shape[-2], q.device), False
    if bias is not None:
        bias = bias.to(q.dtype)
        mask = bias if mask is None else bias.masked_fill(~mask, torch.finfo(q.dtype).min)
    if q.shape[-2] == 1 and q.shape[1] != k.shape[1] and (mask is None or mask.shape[1] == 1):
        # one token against a cache: the heads of a group become its queries, and the cache is not copied
        grouped = q.unflatten(1, (k.shape[1], -1)).flatten(2, 3)
        out = F.scaled_dot_product_attention(grouped, k, v, attn_mask=mask, dropout_p=dropout, scale=scale)
        return out.flatten(1, 2)[:, :, None], None
    k, v = _expand_groups(q, k), _expand_groups(q, v)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=causal, scale=scale)
    return out, None


def flash(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    scale: float,
    causal: bool = False,
    dropout: float = 0.0,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The flash-attn package's kernel; inputs with a mask or bias, which it cannot take, go to `sdpa`.

    Raises:
        DependencyError: the package is not installed.
    """
    if mask is not None or bias is not None:
        return sdpa(q, k, v, mask=mask, bias=bias, scale=scale, causal=causal, dropout=dropout, softcap=softcap)
    try:
        from flash_attn import flash_attn_func
    except ImportError as error:
        raise DependencyError(
            "attn_implementation='flash_attention_2' needs the package flash-attn and a CUDA device; "
            "install it, or use 'sdpa'."
        ) from error
    out = flash_attn_func(
        *(x.transpose(1, 2) for x in (q, k, v)),
        dropout_p=dropout, softmax_scale=scale, causal=causal, softcap=softcap or 0.0,
    )  # fmt: skip
    return out.transpose(1, 2), None


KERNELS.add("eager", eager)
KERNELS.add("sdpa", sdpa)
KERNELS.add("flash_attention_2", flash)
KERNELS.add("flash", flash)


class Attention(nn.Module):
    """Attention with separate projections, grouped key-value heads, and the parts that architectures add.

    Args:
        dim: width D of the input and the output.
        heads: query heads H.
        layer: index of the layer, the cache's key.
        kv_heads: key-value heads G; default H.
        head_dim: width E of a head; default D / H.
        bias: whether the q, k and v projections have a bias; three values set them one by one.
        out_bias: whether the output projection has one; default: any of the others.
        rope: applies rotary positions: (q, k, context) -> (q, k).
        q_norm, k_norm: normalise queries and keys, each head ([..., E]) or, where `norm_heads` is False, all at once.
        scale: factor on the scores; default E ** -0.5.
        softcap: caps the scores at +-softcap by tanh.
        dropout: on the attention weights while training.
        mask: which of the context's masks applies ("full", "sliding").
        bias_kind: which of the context's position biases applies.
        cross: keys and values come from the context's memory.
        memory_dim: width of that memory; default D.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        layer: int = 0,
        kv_heads: int | None = None,
        head_dim: int | None = None,
        bias: bool | tuple[bool, bool, bool] = True,
        out_bias: bool | None = None,
        rope: Callable[[Tensor, Tensor, Context], tuple[Tensor, Tensor]] | None = None,
        q_norm: nn.Module | None = None,
        k_norm: nn.Module | None = None,
        norm_heads: bool = True,
        scale: float | None = None,
        softcap: float | None = None,
        dropout: float = 0.0,
        mask: str = "full",
        bias_kind: str | None = None,
        cross: bool = False,
        memory_dim: int | None = None,
    ) -> None:
        super().__init__()
        kv_heads, self.head_dim = kv_heads or heads, head_dim or dim // heads
        q_bias, k_bias, v_bias = bias if isinstance(bias, tuple) else (bias, bias, bias)
        source = memory_dim or dim
        self.q_proj = nn.Linear(dim, heads * self.head_dim, q_bias)
        self.k_proj = nn.Linear(source, kv_heads * self.head_dim, k_bias)
        self.v_proj = nn.Linear(source, kv_heads * self.head_dim, v_bias)
        self.o_proj = nn.Linear(
            heads * self.head_dim, dim, (q_bias or k_bias or v_bias) if out_bias is None else out_bias
        )
        self.rope, self.q_norm, self.k_norm, self.norm_heads = rope, q_norm, k_norm, norm_heads
        self.scale = self.head_dim**-0.5 if scale is None else scale
        self.softcap, self.dropout, self.layer = softcap, dropout, layer
        self.mask, self.bias_kind, self.cross = mask, bias_kind, cross

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """[B, Q, D] -> [B, Q, D]."""
        q = self._heads(self.q_proj(x), self.q_norm)
        k, v = self._keys_values(x, context)
        if self.rope is not None:
            q, k = self.rope(q, k, context)
        if context.cache is not None and not self.cross:
            k, v = context.cache.update(k, v, self.layer)
        mask = context.memory_mask if self.cross else context.masks.get(self.mask)
        kernel = KERNELS.get("eager" if context.record_attentions else context.kernel)
        out, weights = kernel(
            q, k, v,
            mask=mask if mask is None else mask[..., -k.shape[-2] :],
            bias=self.position_bias(q, k, context),
            scale=self.scale,
            causal=context.causal and not self.cross,
            dropout=self.dropout if self.training else 0.0,
            softcap=self.softcap,
        )  # fmt: skip
        if context.record_attentions and weights is not None:
            (context.cross_attentions if self.cross else context.attentions).append(weights)
        return self.o_proj(out.transpose(1, 2).flatten(2))

    def position_bias(self, q: Tensor, k: Tensor, context: Context) -> Tensor | None:
        """What is added to the scores, broadcastable to [B, H, Q, K]; None for nothing."""
        return None if self.bias_kind is None else context.biases.get(self.bias_kind)

    def _heads(self, x: Tensor, norm: nn.Module | None = None) -> Tensor:
        """[B, T, H*E] -> [B, H, T, E], normalised."""
        if norm is not None and not self.norm_heads:
            x = norm(x)
        x = x.unflatten(-1, (-1, self.head_dim))
        if norm is not None and self.norm_heads:
            x = norm(x)
        return x.transpose(1, 2)

    def _keys_values(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """Keys and values [B, G, K, E]; those of a memory are computed once and kept in the cache."""
        if not self.cross:
            return self._heads(self.k_proj(x), self.k_norm), self._heads(self.v_proj(x))
        if context.cache is not None and (kept := context.cache.cross(self.layer)) is not None:
            return kept
        assert context.memory is not None, "cross attention needs the context's memory"
        k, v = self._heads(self.k_proj(context.memory), self.k_norm), self._heads(self.v_proj(context.memory))
        return (k, v) if context.cache is None else context.cache.keep_cross(k, v, self.layer)
