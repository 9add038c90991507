"""A cache whose old positions are kept in 8, 4 or 2 bits, without any further package.

Values are quantised affinely in groups: each group has a scale and a zero point, as KIVI (Liu et al. 2024,
arXiv:2402.02750) does. The newest positions stay as they are until `residual_length` of them have gathered.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from ..errors import ConfigError
from .cache import Cache, CacheProcessor, DynamicCache

_PER_BYTE = {8: 1, 4: 2, 2: 4}


@dataclass
class CacheConfig:
    """Base of caches' settings."""

    cache_implementation: str | None = None

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **overrides: Any) -> Self:
        """From plain values; unknown ones are errors."""
        values = {**config_dict, **overrides}
        allowed = {entry.name for entry in fields(cls)}
        if unknown := sorted(set(values) - allowed):
            raise ConfigError(f"{cls.__name__} has no {unknown}; allowed: {sorted(allowed)}.")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The settings by name."""
        return {
            name: str(v).removeprefix("torch.") if isinstance(v, torch.dtype) else v for name, v in asdict(self).items()
        }

    def to_json_string(self) -> str:
        """The settings as JSON."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def to_json_file(self, json_file_path: str | Path) -> None:
        """Write the settings."""
        place = Path(json_file_path)
        temporary = place.with_name(f".{place.name}.part")
        temporary.write_text(self.to_json_string())
        temporary.replace(place)

    def update(self, **values: Any) -> dict[str, Any]:
        """Change settings; gives back the keywords that are none."""
        for name in [name for name in values if hasattr(self, name)]:
            setattr(self, name, values.pop(name))
        return values


@dataclass
class QuantizedCacheConfig(CacheConfig):
    """Settings of a QuantizedCache.

    Args:
        backend: named for the guides' sake ("quanto", "HQQ"); the package's own quantisation is used.
        nbits: 8, 4 or 2.
        axis_key, axis_value: 0 groups along the width of a head (one token), -1 or 1 along tokens (one channel).
        q_group_size: numbers in a group.
        residual_length: newest positions that stay as they are.
        compute_dtype, device: what the values come back as; default: as they were given.
    """

    cache_implementation: str | None = "quantized"
    backend: str = "quanto"
    nbits: int = 4
    axis_key: int = 0
    axis_value: int = 0
    q_group_size: int = 64
    residual_length: int = 128
    compute_dtype: Any = None
    device: Any = None

    def validate(self) -> None:
        """ConfigError where a setting is impossible."""
        if self.nbits not in _PER_BYTE:
            raise ConfigError(f"nbits is {self.nbits}; allowed: 8, 4, 2.")
        for name in ("axis_key", "axis_value"):
            if getattr(self, name) not in (0, 1, -1):
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; allowed: 0 (along a head's width), -1 or 1 (along tokens)."
                )
        if self.q_group_size < 1 or self.residual_length < 1:
            raise ConfigError("q_group_size and residual_length must be at least 1.")


@dataclass
class Packed:
    """Numbers in few bits: codes, and a scale and a zero point for each group.

    The tensor [B, G, T, E] (with `along_tokens`: [B, G, E, T]) is cut into groups of its last axis, padded to fill
    the last group: codes [B, G, T, N, bytes], scale and zero [B, G, T, N, 1].
    """

    codes: Tensor
    scale: Tensor
    zero: Tensor
    width: int
    bits: int
    along_tokens: bool

    @classmethod
    def pack(cls, x: Tensor, bits: int, group: int, along_tokens: bool) -> Self:
        """Quantise [B, G, T, E]."""
        x = x.transpose(-1, -2) if along_tokens else x
        width, per_byte = x.shape[-1], _PER_BYTE[bits]
        group = min(group, width)
        group += -group % per_byte
        padding = -width % group
        groups = torch.cat((x, x[..., -1:].expand(*x.shape[:-1], padding)), -1) if padding else x
        groups = groups.unflatten(-1, (-1, group)).float()
        low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
        scale = ((high - low) / (2**bits - 1)).clamp_min(torch.finfo(torch.float32).tiny)
        codes = ((groups - low) / scale).round().clamp(0, 2**bits - 1).to(torch.uint8)
        codes = codes.unflatten(-1, (-1, per_byte))
        shifts = torch.arange(per_byte, device=x.device, dtype=torch.uint8) * bits
        return cls((codes << shifts).sum(-1, dtype=torch.uint8), scale, low, width, bits, along_tokens)

    def unpack(self, dtype: torch.dtype) -> Tensor:
        """The numbers again, nearly: [B, G, T, E]."""
        shifts = torch.arange(_PER_BYTE[self.bits], device=self.codes.device, dtype=torch.uint8) * self.bits
        codes = ((self.codes[..., None] >> shifts) & (2**self.bits - 1)).flatten(-2)
        x = (codes * self.scale + self.zero).flatten(-2)[..., : self.width].to(dtype)
        return x.transpose(-1, -2) if self.along_tokens else x

    @property
    def tokens(self) -> int:
        """T."""
        return self.width if self.along_tokens else self.codes.shape[2]

    def map(self, function: Callable[[Tensor], Tensor]) -> None:
        """Change the rows."""
        self.codes, self.scale, self.zero = function(self.codes), function(self.scale), function(self.zero)


@dataclass
class _Store:
    """What is packed of one layer: chunks of keys and of values."""

    keys: list[Packed] = field(default_factory=list)
    values: list[Packed] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(chunk.tokens for chunk in self.keys)


class QuantizedCacheProcessor(CacheProcessor):
    """Packs a layer's positions when `residual_length` of them have gathered, and gives all back unpacked."""

    def __init__(self, config: QuantizedCacheConfig) -> None:
        config.validate()
        self.config = config
        self.stores: dict[int, _Store] = {}

    def post_update(
        self, cache: Cache, keys: Tensor, values: Tensor, layer: int, cache_kwargs: dict[str, Any] | None = None
    ) -> tuple[Tensor, Tensor]:
        settings, store = self.config, self.stores.setdefault(layer, _Store())
        dtype = settings.compute_dtype or keys.dtype
        everything = keys, values
        if store.keys:
            everything = (
                torch.cat([*(c.unpack(dtype) for c in store.keys), keys], -2),
                torch.cat([*(c.unpack(dtype) for c in store.values), values], -2),
            )
        if keys.shape[-2] >= settings.residual_length:
            bits, group = settings.nbits, settings.q_group_size
            store.keys.append(Packed.pack(keys, bits, group, settings.axis_key != 0))
            store.values.append(Packed.pack(values, bits, group, settings.axis_value != 0))
            cache.layers[layer].reset()
        return everything

    def kept(self, layer: int) -> int:
        return self.stores[layer].tokens if layer in self.stores else 0

    def map(self, function: Callable[[Tensor], Tensor]) -> None:
        for store in self.stores.values():
            for chunk in (*store.keys, *store.values):
                chunk.map(function)

    def crop(self, length: int) -> None:
        if any(store.tokens > length for store in self.stores.values()):
            raise ConfigError(
                "A quantised cache cannot be cut back into positions that are packed already. Use "
                "cache_implementation='dynamic'."
            )

    def reset(self) -> None:
        self.stores.clear()


class QuantoQuantizedCacheProcessor(QuantizedCacheProcessor):
    """The name that the guides give to one backend; the package's own quantisation."""


class HQQQuantizedCacheProcessor(QuantizedCacheProcessor):
    """The name that the guides give to another backend; the package's own quantisation."""


class QuantizedCache(DynamicCache):
    """A cache whose old positions take 2 to 8 bits a number.

    Args:
        backend: see QuantizedCacheConfig, as are the other options.
        config: of the model, or a QuantizedCacheConfig.
    """

    processor_class: type[QuantizedCacheProcessor] = QuantizedCacheProcessor

    def __init__(self, backend: Any = "quanto", config: Any = None, **options: Any) -> None:
        if isinstance(backend, CacheConfig):
            backend, config = "quanto", backend
        super().__init__()
        settings = (
            config if isinstance(config, QuantizedCacheConfig) else QuantizedCacheConfig(backend=backend, **options)
        )
        self.processor = self.processor_class(settings)


class QuantoQuantizedCache(QuantizedCache):
    """QuantizedCache under the name that the guides give to one backend."""

    processor_class = QuantoQuantizedCacheProcessor


class HQQQuantizedCache(QuantizedCache):
    """QuantizedCache under the name that the guides give to another backend."""

    processor_class = HQQQuantizedCacheProcessor

    def __init__(self, config: Any = None, **options: Any) -> None:
        super().__init__("HQQ", config, **options)
