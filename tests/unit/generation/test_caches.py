"""Caches keep what they are given and forget what they are told to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from rayformers import (
    DynamicCache,
    EncoderDecoderCache,
    HybridCache,
    QuantizedCache,
    QuantizedCacheConfig,
    SlidingWindowCache,
    StaticCache,
)
from rayformers.errors import ConfigError, InputError
from rayformers.nn.cache_quantized import Packed


def parts(tokens: int, rows: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 2, tokens, 8, generator=generator), torch.randn(rows, 2, tokens, 8, generator=generator)


def fill(cache: Any, pieces: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    out = (torch.empty(0), torch.empty(0))
    for keys, values in pieces:
        out = cache.update(keys, values, 0)
    return out


PIECES = [parts(5), parts(1, seed=1), parts(3, seed=2), parts(1, seed=3)]
ALL = torch.cat([keys for keys, _ in PIECES], -2)


@pytest.mark.parametrize("kind", [DynamicCache, StaticCache, HybridCache])
def test_everything_is_given_back(kind: Any, decoder: Any) -> None:
    cache = kind() if kind is DynamicCache else kind(config=decoder.config, max_batch_size=2, max_cache_len=16)
    keys, _ = fill(cache, PIECES)
    assert torch.equal(keys, ALL)
    assert cache.get_seq_length() == 10
    cache.crop(6)
    assert torch.equal(cache[0][0], ALL[..., :6, :])
    more = parts(2, seed=9)
    assert torch.equal(cache.update(*more, 0)[0], torch.cat((ALL[..., :6, :], more[0]), -2))
    cache.crop(-3)
    assert cache.get_seq_length() == 5


def test_what_was_given_back_does_not_change_later() -> None:
    cache = DynamicCache()
    first, _ = fill(cache, PIECES[:2])
    kept = first.clone()
    fill(cache, PIECES[2:])
    assert torch.equal(first, kept)


def test_rows_are_reordered_repeated_and_selected() -> None:
    cache = DynamicCache()
    fill(cache, PIECES)
    cache.reorder_cache(torch.tensor([1, 1]))
    assert torch.equal(cache[0][0], ALL[[1, 1]])
    cache.batch_repeat_interleave(2)
    assert cache[0][0].shape[0] == 4
    cache.batch_select_indices(torch.tensor([3]))
    more = parts(1, rows=1)
    assert torch.equal(cache.update(*more, 0)[0], torch.cat((ALL[1:], more[0]), -2))


def test_gradients_pass_through() -> None:
    cache = DynamicCache()
    keys, values = parts(3)
    keys.requires_grad_()
    cache.update(keys, values, 0)
    out, _ = cache.update(*parts(1), 0)
    out.sum().backward()
    assert torch.equal(keys.grad, torch.ones_like(keys))


def test_a_window_keeps_what_queries_reach(decoder: Any) -> None:
    config = type(decoder.config)(**{**decoder.config.to_dict(), "sliding_window": 4})
    cache = SlidingWindowCache(config=config, max_batch_size=2, max_cache_len=16)
    keys, _ = fill(cache, PIECES)
    assert torch.equal(keys, ALL[..., -4:, :])
    assert cache.get_seq_length() == 10
    with pytest.raises(InputError, match="dynamic_full"):
        cache.crop(3)


def test_a_full_static_cache_says_so(decoder: Any) -> None:
    cache = StaticCache(config=decoder.config, max_batch_size=2, max_cache_len=6)
    with pytest.raises(InputError, match="max_cache_len"):
        fill(cache, PIECES)


@pytest.mark.parametrize(("bits", "error"), [(8, 0.02), (4, 0.25), (2, 1.3)])
@pytest.mark.parametrize("along_tokens", [False, True])
def test_packing_is_exact_to_half_a_step(bits: int, error: float, along_tokens: bool) -> None:
    x = parts(37)[0]
    packed = Packed.pack(x, bits, 8, along_tokens)
    assert packed.codes.nbytes * 8 <= 1.3 * bits * x.numel()
    assert (packed.unpack(torch.float32) - x).abs().max() < error


def test_old_positions_are_packed_and_new_ones_kept() -> None:
    cache = QuantizedCache(config=QuantizedCacheConfig(nbits=8, residual_length=4, q_group_size=8))
    keys, _ = fill(cache, PIECES)
    assert keys.shape == ALL.shape
    assert (keys - ALL).abs().max() < 0.03
    assert torch.equal(keys[..., -1:, :], ALL[..., -1:, :])
    assert cache.get_seq_length() == 10
    cache.reorder_cache(torch.tensor([1, 0]))
    swapped, _ = cache.update(*parts(1, seed=4), 0)
    assert (swapped[..., :10, :] - ALL[[1, 0]]).abs().max() < 0.03
    with pytest.raises(ConfigError, match="nbits"):
        QuantizedCache(nbits=3)


def test_legacy_tuples_round_trip() -> None:
    cache = EncoderDecoderCache()
    cache.update(*PIECES[0], 0)
    cache.keep_cross(*PIECES[1], 0)
    legacy = cache.to_legacy_cache()
    assert len(legacy) == 1
    assert len(legacy[0]) == 4
    again = EncoderDecoderCache.from_legacy_cache(legacy)
    assert torch.equal(again.cross(0)[0], PIECES[1][0])
    assert again.is_updated == {0: True}
    again.crop(2)
    assert again.get_seq_length() == 2
    plain = DynamicCache.from_legacy_cache(((PIECES[0]),))
    assert torch.equal(plain.to_legacy_cache()[0][0], PIECES[0][0])
