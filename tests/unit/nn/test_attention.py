"""Attention kernels agree, whatever is asked of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rayformers.nn.attention import Attention, causal_mask, eager, sdpa
from rayformers.nn.cache import DynamicCache
from rayformers.nn.context import Context


@given(
    groups=st.sampled_from([1, 2, 4]),
    queries=st.integers(1, 6),
    past=st.integers(0, 4),
    causal=st.booleans(),
    with_mask=st.booleans(),
    with_bias=st.booleans(),
)
def test_kernels_agree(groups: int, queries: int, past: int, causal: bool, with_mask: bool, with_bias: bool) -> None:
    torch.manual_seed(queries * 10 + past)
    keys = queries + past
    q, k, v = torch.randn(2, 4, queries, 8), torch.randn(2, groups, keys, 8), torch.randn(2, groups, keys, 8)
    mask = causal_mask(queries, keys, q.device) if with_mask else None
    bias = torch.randn(1, 4, queries, keys) if with_bias else None
    options = {"mask": mask, "bias": bias, "scale": 0.3, "causal": causal and not with_mask}
    expected, weights = eager(q, k, v, **options)
    got, none = sdpa(q, k, v, **options)
    assert none is None
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, queries))
    torch.testing.assert_close(got, expected, atol=2e-6, rtol=1e-5)


def test_softcap_bounds_the_scores() -> None:
    q, k, v = torch.randn(1, 2, 5, 4) * 100, torch.randn(1, 2, 5, 4), torch.randn(1, 2, 5, 4)
    _, weights = eager(q, k, v, scale=1.0, softcap=0.01)
    torch.testing.assert_close(weights, torch.full((1, 2, 5, 5), 0.2), atol=5e-3, rtol=0)
    uncapped = eager(q, k, v, scale=1.0)[0]
    torch.testing.assert_close(sdpa(q, k, v, scale=1.0, softcap=0.5)[0], uncapped)  # the fused kernel cannot cap


def test_window_hides_what_is_far() -> None:
    mask = causal_mask(4, 6, torch.device("cpu"), window=2)
    assert mask.int().tolist() == [[0, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 1, 1]]


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
def test_a_cache_gives_what_one_pass_gives(kernel: str) -> None:
    torch.manual_seed(0)
    attention = Attention(16, 4, kv_heads=2).eval()
    x = torch.randn(2, 7, 16)
    whole = attention(x, Context(kernel=kernel, causal=True))
    context = Context(kernel=kernel, causal=True, cache=DynamicCache())
    parts = [attention(part, context) for part in x.split([3, 1, 3], dim=1)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-6, rtol=1e-5)
    assert context.cache.get_seq_length() == 7


def test_cross_attention_computes_the_memory_once() -> None:
    torch.manual_seed(0)
    attention = Attention(16, 4, cross=True).eval()
    memory = torch.randn(2, 5, 16)
    x = torch.randn(2, 3, 16)
    context = Context(memory=memory, cache=DynamicCache())
    first = attention(x, context)
    context.memory = None  # the cache holds its keys and values
    torch.testing.assert_close(attention(x, context), first)
    torch.testing.assert_close(attention(x, Context(memory=memory)), first)


def test_recorded_attentions_come_from_the_eager_kernel() -> None:
    context = Context(record_attentions=True)
    Attention(8, 2)(torch.randn(1, 3, 8), context)
    assert [weights.shape for weights in context.attentions] == [(1, 2, 3, 3)]
