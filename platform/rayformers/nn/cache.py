"""Key-value caches: what a decoder keeps of the positions it has seen.

Shape letters: B rows, G key-value heads, T positions, S source positions, E width of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from torch import Tensor

from .cache_layers import CacheLayerMixin, DynamicLayer, SlidingWindowLayer, StaticLayer

Legacy = tuple[tuple[Tensor, ...], ...]


class CacheProcessor:
    """Base of what a cache does around its updates: keys and values may be moved, packed or replaced."""

    def pre_update(
        self, cache: Cache, keys: Tensor, values: Tensor, layer: int, cache_kwargs: dict[str, Any] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Called with the new keys and values before the layer takes them."""
        return keys, values

    def post_update(
        self, cache: Cache, keys: Tensor, values: Tensor, layer: int, cache_kwargs: dict[str, Any] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Called with all that the layer gives; what it returns is attended to."""
        return keys, values

    def kept(self, layer: int) -> int:
        """Positions that the processor keeps in place of the layer."""
        return 0

    def map(self, function: Callable[[Tensor], Tensor]) -> None:
        """Change the rows of what the processor keeps."""

    def crop(self, length: int) -> None:
        """Keep at most `length` positions."""

    def reset(self) -> None:
        """Forget what the processor keeps."""


class Cache:
    """Base of caches: one layer object for each decoder layer (guide: internal/generation_utils).

    `update` is what self attention calls. `cross` and `keep_cross` hold the keys and values of an encoder's states,
    which are computed once.

    Args:
        layers: made beforehand; missing ones are added as they are needed.
        processor: called around every update.
    """

    def __init__(self, layers: Iterable[CacheLayerMixin] = (), processor: CacheProcessor | None = None) -> None:
        self.layers: list[Any] = list(layers)
        self.processor = processor
        self.cross_layers: dict[int, tuple[Tensor, Tensor]] = {}

    def _new_layer(self, number: int) -> Any:
        return DynamicLayer()

    def update(
        self, keys: Tensor, values: Tensor, layer: int, cache_kwargs: dict[str, Any] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Add positions to a layer and return all its keys and values [B, G, T, E]."""
        while len(self.layers) <= layer:
            self.layers.append(self._new_layer(len(self.layers)))
        if self.processor is None:
            return self.layers[layer].update(keys, values, cache_kwargs)  # type: ignore[no-any-return]
        keys, values = self.processor.pre_update(self, keys, values, layer, cache_kwargs)
        keys, values = self.layers[layer].update(keys, values, cache_kwargs)
        return self.processor.post_update(self, keys, values, layer, cache_kwargs)

    def get_seq_length(self, layer: int = 0, cache_position: Tensor | None = None) -> int:
        """Positions that a layer has seen."""
        if layer >= len(self.layers):
            return 0
        more = 0 if self.processor is None else self.processor.kept(layer)
        return int(self.layers[layer].get_seq_length()) + more

    def get_max_cache_shape(self, layer: int = 0) -> int:
        """Positions that fit into a layer, -1 for no limit."""
        return -1 if layer >= len(self.layers) else int(self.layers[layer].get_max_cache_shape())

    def get_mask_sizes(self, cache_position: Tensor, layer: int = 0) -> tuple[int, int]:
        """(keys that a mask for these new positions must cover, position of the first of them)."""
        if layer >= len(self.layers):
            return len(cache_position), 0
        return self.layers[layer].get_mask_sizes(cache_position)  # type: ignore[no-any-return]

    def cross(self, layer: int) -> tuple[Tensor, Tensor] | None:
        """Keys and values of the encoder's states, None before they are computed."""
        return self.cross_layers.get(layer)

    def keep_cross(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Keep the encoder's keys and values; gives them back."""
        self.cross_layers[layer] = (keys, values)
        return keys, values

    def reset(self) -> None:
        """Forget all positions; reserved memory stays."""
        for layer in self.layers:
            layer.reset()
        if self.processor is not None:
            self.processor.reset()
        self.cross_layers.clear()

    def reorder_cache(self, beam_idx: Tensor, *, crossed: bool = True) -> None:
        """Let row i continue what row beam_idx[i] has seen.

        Args:
            crossed: also reorder what is kept of the encoder; needless where rows change within one prompt.
        """
        self._map(lambda x: x.index_select(0, beam_idx.to(x.device)), crossed)

    def crop(self, max_length: int) -> None:
        """Keep the first `max_length` positions (a negative number drops that many at the end)."""
        length = max_length if max_length >= 0 else self.get_seq_length() + max_length
        for number, layer in enumerate(self.layers):
            kept = 0 if self.processor is None else self.processor.kept(number)
            layer.crop(max(0, length - kept))
        if self.processor is not None:
            self.processor.crop(length)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row."""
        self._map(lambda x: x.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep only these rows."""
        self._map(lambda x: x[indices])

    def _map(self, function: Callable[[Tensor], Tensor], crossed: bool = True) -> None:
        for layer in self.layers:
            layer.map(function)
        if self.processor is not None:
            self.processor.map(function)
        if crossed:
            for number, (keys, values) in list(self.cross_layers.items()):
                self.cross_layers[number] = (function(keys), function(values))

    @property
    def key_cache(self) -> list[Tensor]:
        """Keys of all layers."""
        return [layer.keys for layer in self.layers]

    @property
    def value_cache(self) -> list[Tensor]:
        """Values of all layers."""
        return [layer.values for layer in self.layers]

    @property
    def max_cache_len(self) -> int:
        """Positions that fit into the largest layer, -1 for no limit."""
        return max((layer.get_max_cache_shape() for layer in self.layers), default=-1)

    @property
    def is_compileable(self) -> bool:
        """Whether all layers have fixed shapes."""
        return bool(self.layers) and all(layer.is_compileable for layer in self.layers)

    @property
    def is_sliding(self) -> list[bool]:
        """For each layer, whether it keeps a window only."""
        return [layer.is_sliding for layer in self.layers]

    def __len__(self) -> int:
        return len(self.layers)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        return self.layers[number].keys, self.layers[number].values

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self[number] for number in range(len(self)))


class DynamicCache(Cache):
    """A cache that grows with every token; the default.

    Args:
        past: (keys, values) of each layer to start from.
        config: of the model; layers with a sliding window then keep only that.
        offloading: keep layers in the host's memory while other layers run.
    """

    def __init__(
        self, past: Iterable[tuple[Tensor, Tensor]] | None = None, config: Any = None, offloading: bool = False
    ) -> None:
        self.windows = [] if config is None else layer_windows(config)
        super().__init__(processor=_offloader() if offloading else None)
        for number, (keys, values) in enumerate(past or ()):
            self.update(keys, values, number)

    def _new_layer(self, number: int) -> Any:
        window = self.windows[number] if number < len(self.windows) else None
        return DynamicLayer() if window is None else SlidingWindowLayer(None, window)

    def to_legacy_cache(self) -> Legacy:
        """(keys, values) of each layer; with an encoder, its keys and values after them."""
        return tuple((*self[number], *self.cross_layers.get(number, ())) for number in range(len(self)))

    @classmethod
    def from_legacy_cache(cls, past_key_values: Iterable[tuple[Tensor, ...]] | None = None) -> Self:
        """From (keys, values) of each layer, with an encoder's after them."""
        cache = cls()
        for number, (keys, values, *crossed) in enumerate(past_key_values or ()):
            cache.update(keys, values, number)
            if crossed:
                cache.keep_cross(crossed[0], crossed[1], number)
        return cache


def _offloader() -> CacheProcessor:
    from .cache_offload import OffloadedCacheProcessor

    return OffloadedCacheProcessor()


def layer_windows(config: Any) -> list[int | None]:
    """For each decoder layer, its sliding window in positions, None where it sees all."""
    config = config.get_text_config(decoder=True)
    window = getattr(config, "sliding_window", None)
    if getattr(config, "use_sliding_window", True) is False:
        window = None
    kinds = getattr(config, "layer_types", None)
    if window is None:
        return [None] * config.num_hidden_layers
    if kinds is None:
        return [window] * config.num_hidden_layers
    return [window if kind == "sliding_attention" else None for kind in kinds]


class _FixedCache(Cache):
    """Base of caches whose size is known beforehand.

    Args:
        config: of the model.
        max_batch_size: rows.
        max_cache_len: positions.
        device, dtype: taken for the guides' sake; memory is reserved as the first keys and values come.
        offloading: keep layers in the host's memory while other layers run.
    """

    sliding: bool | None = None
    """Which layers keep a window only: all (True), none (False), those that the configuration says (None)."""

    def __init__(
        self, config: Any = None, max_batch_size: int | None = None, max_cache_len: int | None = None,
        device: Any = None, dtype: Any = None, offloading: bool = False, **_: Any,
    ) -> None:  # fmt: skip
        text = config.get_text_config(decoder=True)
        self.max_batch_size = max_batch_size
        length = max_cache_len or text.max_position_embeddings
        windows: list[int | None] = [None] * text.num_hidden_layers
        if self.sliding is None:
            windows = layer_windows(config)
        elif self.sliding:
            windows = [getattr(text, "sliding_window", None) or length] * text.num_hidden_layers
        super().__init__(
            [StaticLayer(length) if w is None else SlidingWindowLayer(length, w) for w in windows],
            _offloader() if offloading else None,
        )


class StaticCache(_FixedCache):
    """Room for max_cache_len positions in every layer."""

    sliding = False


class SlidingWindowCache(_FixedCache):
    """A window of positions in every layer."""

    sliding = True


class HybridCache(_FixedCache):
    """Windows in the layers that attend to a window, room for max_cache_len positions in the others."""


class HybridChunkedCache(HybridCache):
    """A HybridCache for attention in chunks."""


class OffloadedCache(DynamicCache):
    """A DynamicCache whose layers wait in the host's memory."""

    def __init__(self) -> None:
        super().__init__(offloading=True)


class OffloadedStaticCache(StaticCache):
    """A StaticCache whose layers wait in the host's memory."""

    def __init__(self, config: Any, max_batch_size: int, max_cache_len: int | None, **options: Any) -> None:
        super().__init__(config, max_batch_size, max_cache_len, **{**options, "offloading": True})


class EncoderDecoderCache(Cache):
    """The cache of an encoder-decoder: one for its own positions, one for the encoder's.

    Args:
        self_attention_cache, cross_attention_cache: default: new DynamicCaches.
    """

    def __init__(self, self_attention_cache: Cache | None = None, cross_attention_cache: Cache | None = None) -> None:
        self.self_attention_cache = self_attention_cache or DynamicCache()
        self.cross_attention_cache = cross_attention_cache or DynamicCache()

    @property
    def layers(self) -> list[Any]:  # type: ignore[override]
        """Those of the self attention."""
        return self.self_attention_cache.layers

    @property
    def processor(self) -> CacheProcessor | None:  # type: ignore[override]
        """That of the self attention."""
        return self.self_attention_cache.processor

    @property
    def is_updated(self) -> dict[int, bool]:
        """For each layer, whether the encoder's keys and values are there."""
        return {number: self.cross(number) is not None for number in range(len(self.layers))}

    def update(
        self, keys: Tensor, values: Tensor, layer: int, cache_kwargs: dict[str, Any] | None = None
    ) -> tuple[Tensor, Tensor]:
        return self.self_attention_cache.update(keys, values, layer, cache_kwargs)

    def cross(self, layer: int) -> tuple[Tensor, Tensor] | None:
        kept = self.cross_attention_cache.layers
        return None if layer >= len(kept) or kept[layer].get_seq_length() == 0 else self.cross_attention_cache[layer]

    def keep_cross(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        return self.cross_attention_cache.update(keys, values, layer)

    def reset(self) -> None:
        self.self_attention_cache.reset()
        self.cross_attention_cache.reset()

    def crop(self, max_length: int) -> None:
        self.self_attention_cache.crop(max_length)

    def _map(self, function: Callable[[Tensor], Tensor], crossed: bool = True) -> None:
        self.self_attention_cache._map(function)
        if crossed:
            self.cross_attention_cache._map(function)

    def to_legacy_cache(self) -> Legacy:
        """(keys, values, the encoder's keys, its values) of each layer."""
        return tuple((*self[number], *(self.cross(number) or ())) for number in range(len(self)))

    @classmethod
    def from_legacy_cache(cls, past_key_values: Iterable[tuple[Tensor, ...]] | None = None) -> Self:
        """From (keys, values, the encoder's keys, its values) of each layer."""
        cache = cls()
        for number, (keys, values, *crossed) in enumerate(past_key_values or ()):
            cache.update(keys, values, number)
            if crossed:
                cache.keep_cross(crossed[0], crossed[1], number)
        return cache
