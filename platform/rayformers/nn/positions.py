"""Positions: rotary (with its scalings), ALiBi, T5's buckets, sinusoids.

Shape letters: B batch, H heads, Q query positions, K key positions, T positions, E width of a head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..registry import Registry
from .context import Context

Scaling = Callable[[int, float, Mapping[str, Any], int, int], tuple[Tensor, float]]

ROPE_SCALINGS: Registry[Scaling] = Registry("rope_type")
"""Functions (rotated width, base, settings, trained positions, positions now) -> (inverse frequencies, factor on both
cos and sin)."""


def _inverse(dim: int, base: float) -> Tensor:
    return base ** -(torch.arange(0, dim, 2, dtype=torch.int64, device="cpu").float() / dim)


def _default(dim: int, base: float, settings: Mapping[str, Any], trained: int, length: int) -> tuple[Tensor, float]:
    return _inverse(dim, base), 1.0


def _linear(dim: int, base: float, settings: Mapping[str, Any], trained: int, length: int) -> tuple[Tensor, float]:
    """Positions divided by a factor (Chen et al. 2023, arXiv:2306.15595)."""
    return _inverse(dim, base) / settings["factor"], 1.0


def _dynamic(dim: int, base: float, settings: Mapping[str, Any], trained: int, length: int) -> tuple[Tensor, float]:
    """A base that grows with the length beyond the trained one (NTK-aware scaling)."""
    factor = settings["factor"]
    trained = settings.get("original_max_position_embeddings") or trained
    length = max(length, trained)
    base = base * ((factor * length / trained) - (factor - 1)) ** (dim / (dim - 2))
    return _inverse(dim, base), 1.0


def _yarn(dim: int, base: float, settings: Mapping[str, Any], trained: int, length: int) -> tuple[Tensor, float]:
    """Interpolate low frequencies, keep high ones (Peng et al. 2023, arXiv:2309.00071)."""
    original = settings.get("original_max_position_embeddings") or trained
    factor = settings.get("factor") or trained / original
    attention_factor = settings.get("attention_factor")
    mscale, mscale_all = settings.get("mscale"), settings.get("mscale_all_dim")

    def magnitude(scale: float, weight: float = 1.0) -> float:
        return 1.0 if scale <= 1 else 0.1 * weight * math.log(scale) + 1.0

    if attention_factor is None:
        attention_factor = magnitude(factor)
        if mscale and mscale_all:
            attention_factor = magnitude(factor, mscale) / magnitude(factor, mscale_all)

    def dimension(rotations: float) -> float:
        return dim * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(base))

    low, high = dimension(settings.get("beta_fast") or 32), dimension(settings.get("beta_slow") or 1)
    if settings.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    high = high + 0.001 if low == high else high
    ramp = ((torch.arange(dim // 2, device="cpu").float() - low) / (high - low)).clamp(0, 1)
    inverse = _inverse(dim, base)
    return inverse / factor * ramp + inverse * (1 - ramp), float(attention_factor)


def _llama3(dim: int, base: float, settings: Mapping[str, Any], trained: int, length: int) -> tuple[Tensor, float]:
    """Llama 3.1: stretch long wavelengths, keep short ones, blend between (Dubey et al. 2024, arXiv:2407.21783)."""
    inverse = _inverse(dim, base)
    factor, original = settings["factor"], settings["original_max_position_embeddings"]
    low, high = settings["low_freq_factor"], settings["high_freq_factor"]
    wavelength = 2 * math.pi / inverse
    blend = (original / wavelength - low) / (high - low)
    middle = (1 - blend) * inverse / factor + blend * inverse
    scaled = torch.where(wavelength > original / low, inverse / factor, inverse)
    between = (wavelength <= original / low) & (wavelength >= original / high)
    return torch.where(between, middle, scaled), 1.0


def _longrope(dim: int, base: float, settings: Mapping[str, Any], trained: int, length: int) -> tuple[Tensor, float]:
    """A factor for each frequency, one set for short and one for long inputs (Ding et al. 2024, arXiv:2402.13753)."""
    original = settings.get("original_max_position_embeddings") or trained
    factors = settings["long_factor"] if length > original else settings["short_factor"]
    factor = settings.get("factor") or trained / original
    attention_factor = settings.get("attention_factor")
    if attention_factor is None:
        attention_factor = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
    exponents = torch.arange(0, dim, 2, dtype=torch.int64, device="cpu").float() / dim
    return 1.0 / (torch.tensor(factors, dtype=torch.float32, device="cpu") * base**exponents), float(attention_factor)


_SCALINGS: dict[str, Scaling] = {
    "default": _default,
    "linear": _linear,
    "dynamic": _dynamic,
    "yarn": _yarn,
    "llama3": _llama3,
    "longrope": _longrope,
}
for _name, _scaling in _SCALINGS.items():
    ROPE_SCALINGS.add(_name, _scaling)


class RotaryTable(nn.Module):
    """Cosines and sines for positions (Su et al. 2021, arXiv:2104.09864), computed once for a whole stack.

    Args:
        dim: rotated width of a head.
        base: rope_theta.
        scaling: rope_scaling of config.json ("rope_type" or "type", and its settings), None for none.
        trained_positions: max_position_embeddings.
    """

    def __init__(
        self, dim: int, base: float, scaling: Mapping[str, Any] | None = None, trained_positions: int = 2048
    ) -> None:
        super().__init__()
        self.settings = dict(scaling or {})
        self.kind = str(self.settings.get("rope_type") or self.settings.get("type") or "default")
        self.dim, self.base, self.trained_positions = dim, base, trained_positions
        self.scale = ROPE_SCALINGS.get(self.kind)
        inverse, self.factor = self.scale(dim, base, self.settings, trained_positions, 0)
        self.inverse: Tensor
        self.register_buffer("inverse", inverse, persistent=False)

    @torch.no_grad()
    def forward(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """[B or 1, T] positions -> cosines and sines, each [B or 1, T, dim] (two equal halves)."""
        inverse, factor = self.inverse, self.factor
        if self.kind in ("dynamic", "longrope"):  # these depend on the length of the input
            length = int(positions.max()) + 1
            inverse, factor = self.scale(self.dim, self.base, self.settings, self.trained_positions, length)
        angles = positions[..., None].float() * inverse.to(positions.device).float()
        angles = torch.cat((angles, angles), dim=-1)
        return (angles.cos() * factor).to(dtype), (angles.sin() * factor).to(dtype)


def rotate_half(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the first `dim` of each head [B, H, T, E] by the halves layout (Llama, GPT-NeoX)."""
    dim = cos.shape[-1]
    turned = x if dim == x.shape[-1] else x[..., :dim]
    first, second = turned.chunk(2, dim=-1)
    out = turned * cos[:, None] + torch.cat((-second, first), dim=-1) * sin[:, None]
    return out if turned is x else torch.cat((out, x[..., dim:]), dim=-1)


def rotate_pairs(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the first `dim` of each head [B, H, T, E] by neighbouring pairs (GPT-J, Cohere)."""
    dim = cos.shape[-1]
    turned, rest = x[..., :dim], x[..., dim:]
    cos, sin = (t[..., : dim // 2].repeat_interleave(2, dim=-1)[:, None] for t in (cos, sin))
    swapped = torch.stack((-turned[..., 1::2], turned[..., ::2]), dim=-1).flatten(-2)
    out = turned * cos + swapped * sin
    return out if not rest.shape[-1] else torch.cat((out, rest), dim=-1)


class Rope:
    """Applies one kind of the context's rotary positions to queries and keys; what Attention takes as `rope`."""

    def __init__(self, kind: str = "full", rotate: Callable[[Tensor, Tensor, Tensor], Tensor] = rotate_half) -> None:
        self.kind, self.rotate = kind, rotate

    def __call__(self, q: Tensor, k: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        cos, sin = context.rotary[self.kind]
        return self.rotate(q, cos, sin), self.rotate(k, cos, sin)


def rope_settings(config: Any) -> tuple[float, dict[str, Any] | None]:
    """(rope_theta, rope_scaling) of a configuration, from the keys of either version 4 or version 5 files."""
    new = config.__dict__.get("rope_parameters")
    if isinstance(new, Mapping) and "rope_type" in new:
        settings = {key: value for key, value in new.items() if key not in ("rope_theta", "partial_rotary_factor")}
        scaling = None if settings.get("rope_type") == "default" else settings
        return float(new.get("rope_theta", getattr(config, "rope_theta", 10000.0))), scaling
    return float(config.rope_theta), config.rope_scaling


def alibi_slopes(heads: int) -> Tensor:
    """One slope a head (Press et al. 2022, arXiv:2108.12409), for any number of heads: [H]."""
    power = 2 ** math.floor(math.log2(heads))
    base = 2.0 ** (-(2.0 ** -(math.log2(power) - 3)))
    slopes = [base ** (number + 1) for number in range(power)]
    if power != heads:
        base = 2.0 ** (-(2.0 ** -(math.log2(2 * power) - 3)))
        slopes += [base ** (2 * number + 1) for number in range(heads - power)]
    return torch.tensor(slopes, dtype=torch.float32, device="cpu")


def sinusoids(positions: int, dim: int, *, interleaved: bool = False, base: float = 10000.0) -> Tensor:
    """Sine and cosine of positions (Vaswani et al. 2017, arXiv:1706.03762): [positions, dim].

    Args:
        interleaved: sines and cosines alternate; else all sines come first.
    """
    angles = torch.arange(positions, device="cpu").float()[:, None] * base ** -(
        2 * (torch.arange((dim + 1) // 2, device="cpu").float()) / dim
    )
    out = torch.zeros(positions, dim, device="cpu")
    if interleaved:
        out[:, 0::2], out[:, 1::2] = angles.sin(), angles[:, : dim // 2].cos()
    else:
        out[:, : (dim + 1) // 2], out[:, (dim + 1) // 2 :] = angles.sin(), angles[:, : dim // 2].cos()
    return out
