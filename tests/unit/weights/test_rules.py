"""Two-way name rules."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rayformers.errors import CheckpointError
from rayformers.weights import Drop, Rename, Split, Stack, Transpose, WeightMap, under

MAP = WeightMap(
    Rename(("embed.word", "embed.token"), "tokens"),
    Split("layer.{i}.qkv", ("stack.{i}.q", "stack.{i}.k", "stack.{i}.v"), transpose=True),
    Split("layer.{i}.fused", tuple(f"stack.{{i}}.{x}" for x in "abc"), heads=2),
    Split("layer.{i}.uneven", ("stack.{i}.large", "stack.{i}.small"), sizes=(4, 2)),
    Transpose("layer.{i}.out", "stack.{i}.out"),
    Stack("layer.{i}.experts.{e}.w.weight", "stack.{i}.experts"),
    Rename("layer.{i}.LayerNorm", "stack.{i}.norm"),
    Drop("layer.{i}.bias_buffer"),
)


def tensors(layers: int) -> dict[str, torch.Tensor]:
    out = {"embed.word.weight": torch.randn(5, 4)}
    for i in range(layers):
        out |= {
            f"layer.{i}.qkv.weight": torch.randn(4, 12),
            f"layer.{i}.qkv.bias": torch.randn(12),
            f"layer.{i}.fused.weight": torch.randn(12, 4),
            f"layer.{i}.fused.bias": torch.randn(12),
            f"layer.{i}.uneven.weight": torch.randn(6, 4),
            f"layer.{i}.out.weight": torch.randn(4, 8),
            f"layer.{i}.out.bias": torch.randn(8),
            f"layer.{i}.LayerNorm.weight": torch.randn(4),
            **{f"layer.{i}.experts.{e}.w.weight": torch.randn(3, 4) for e in range(3)},
        }
    return out


@given(layers=st.integers(0, 12), order=st.randoms(use_true_random=False))
def test_round_trip_is_bit_exact_in_any_order(layers: int, order: object) -> None:
    hub = tensors(layers)
    names = list(hub)
    order.shuffle(names)  # type: ignore[attr-defined]
    back = MAP.to_hub(MAP.to_ours({name: hub[name] for name in names}))
    assert back.keys() == hub.keys()
    assert all(torch.equal(back[name], hub[name]) for name in hub)


def test_interleaved_heads_are_cut_within_each_head() -> None:
    fused = torch.arange(12.0)[:, None]
    ours = WeightMap(Split("f", ("a", "b", "c"), heads=2)).to_ours({"f.weight": fused})
    assert ours["a.weight"].flatten().tolist() == [0, 1, 6, 7]
    assert ours["c.weight"].flatten().tolist() == [4, 5, 10, 11]


def test_any_spelling_is_read_and_the_first_written() -> None:
    ours = MAP.to_ours({"embed.token.weight": torch.ones(2, 2)})
    assert list(MAP.to_hub(ours)) == ["embed.word.weight"]


def test_old_names_of_norms_are_read() -> None:
    ours = MAP.to_ours({"layer.0.LayerNorm.gamma": torch.ones(4), "layer.0.LayerNorm.beta": torch.zeros(4)})
    assert set(ours) == {"stack.0.norm.weight", "stack.0.norm.bias"}


def test_dropped_tensors_are_read_and_never_written() -> None:
    assert MAP.to_ours({"layer.0.bias_buffer": torch.ones(1)}) == {}


def test_unknown_names_are_counted_and_shown() -> None:
    with pytest.raises(CheckpointError, match=r"2 tensors of the checkpoint: other\.a, other\.b"):
        MAP.to_ours({"other.b": torch.ones(1), "other.a": torch.ones(1)})
    with pytest.raises(CheckpointError, match="unheard"):
        MAP.to_hub({"unheard": torch.ones(1)})


def test_a_group_with_a_gap_is_an_error() -> None:
    parts = {f"layer.0.experts.{e}.w.weight": torch.ones(3, 4) for e in (0, 2)}
    with pytest.raises(CheckpointError, match=r"lacks parts \[1\]"):
        MAP.to_ours(parts)
    with pytest.raises(CheckpointError, match="Parts are missing"):
        MAP.to_hub({"stack.0.q.weight": torch.ones(4, 4)})


def test_nested_maps_read_every_prefix_and_write_the_first() -> None:
    nested = WeightMap(*under(("tower.", ""), "vision.", WeightMap(Rename("norm", "final"))))
    for name in ("tower.norm.weight", "norm.weight"):
        assert set(nested.to_ours({name: torch.ones(1)})) == {"vision.final.weight"}
    assert set(nested.to_hub({"vision.final.weight": torch.ones(1)})) == {"tower.norm.weight"}
