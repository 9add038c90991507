"""Pruning, chunks, additive masks, activations as modules, distributions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from rayformers import activations, modeling_attn_mask_utils, pytorch_utils, time_series_utils
from rayformers.errors import ConfigError, InputError, InputTypeError, UnknownNameError
from rayformers.nn.activations import ACTIVATIONS

X = torch.randn(3, 8, 6, generator=torch.Generator().manual_seed(0))


def test_conv1d_is_a_transposed_linear_layer() -> None:
    layer = pytorch_utils.Conv1D(5, 6)
    torch.testing.assert_close(layer(X), X @ layer.weight + layer.bias)
    assert layer.weight.shape == (6, 5)
    assert str(layer) == "Conv1D(nf=5, nx=6)"


@pytest.mark.parametrize("layer", [nn.Linear(6, 5), nn.Linear(6, 5, bias=False), pytorch_utils.Conv1D(5, 6)])
def test_pruned_layers_compute_what_is_left(layer: Any) -> None:
    kept = torch.tensor([0, 2, 3])
    torch.testing.assert_close(pytorch_utils.prune_layer(layer, kept)(X), layer(X)[..., kept])
    inputs_dim = 1 if isinstance(layer, nn.Linear) else 0
    without = torch.zeros_like(X)
    without[..., kept] = X[..., kept]
    pruned = pytorch_utils.prune_layer(layer, kept, dim=inputs_dim)
    torch.testing.assert_close(pruned(X[..., kept]), layer(without))
    assert all(parameter.requires_grad for parameter in pruned.parameters())
    with pytest.raises(InputTypeError, match="LayerNorm"):
        pytorch_utils.prune_layer(nn.LayerNorm(3), kept)


def test_heads_are_numbered_as_in_the_whole_model() -> None:
    heads, rows = pytorch_utils.find_pruneable_heads_and_indices(
        [1, 3], n_heads=3, head_size=2, already_pruned_heads={1}
    )
    assert heads == {3}  # now the third of the three that are left
    assert rows.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("size", "calls"), [(0, 1), (2, 4), (8, 1)])
def test_chunks(size: int, calls: int) -> None:
    seen = []

    def forward(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        seen.append(a.shape)
        return a * b

    torch.testing.assert_close(pytorch_utils.apply_chunking_to_forward(forward, size, 1, X, X + 1), X * (X + 1))
    assert len(seen) == calls
    with pytest.raises(InputError, match="no multiple of chunk_size 3"):
        pytorch_utils.apply_chunking_to_forward(forward, 3, 1, X, X)
    with pytest.raises(InputError, match="takes 2 tensors; 1"):
        pytorch_utils.apply_chunking_to_forward(forward, 2, 1, X)
    with pytest.raises(InputError, match=r"\[4, 8\]"):
        pytorch_utils.apply_chunking_to_forward(forward, 2, 1, X, X[:, :4])


@pytest.mark.parametrize("past", [0, 2])
@pytest.mark.parametrize("window", [None, 2])
def test_additive_masks_by_hand(past: int, window: int | None) -> None:
    padding = torch.ones(2, 4 + past, dtype=torch.long)
    padding[0, 0] = 0
    prepare = modeling_attn_mask_utils._prepare_4d_causal_attention_mask
    mask = prepare(padding, (2, 4), torch.zeros(2, 4, 3), past, sliding_window=window)
    assert mask.shape == (2, 1, 4, 4 + past)
    for row in range(2):
        for query in range(4):
            for key in range(4 + past):
                place = query + past
                near = window is None or place - key <= window
                attends = key <= place and near and bool(padding[row, key])
                assert float(mask[row, 0, query, key]) == (0.0 if attends else torch.finfo(torch.float32).min)


def test_masks_that_hide_nothing_are_left_out_for_fused_attention() -> None:
    ones = torch.ones(2, 5)
    embeds = torch.zeros(2, 5, 3)
    assert modeling_attn_mask_utils._prepare_4d_causal_attention_mask_for_sdpa(ones, (2, 5), embeds, 0) is None
    assert (
        modeling_attn_mask_utils._prepare_4d_causal_attention_mask_for_sdpa(ones, (2, 3), embeds[:, :3], 2) is not None
    )
    assert modeling_attn_mask_utils._prepare_4d_attention_mask_for_sdpa(ones, torch.float32) is None
    assert modeling_attn_mask_utils._prepare_4d_attention_mask(ones, torch.float32, tgt_len=3).shape == (2, 1, 3, 5)
    with pytest.raises(InputError, match=r"\(2, 1, 5, 5\)"):
        modeling_attn_mask_utils._prepare_4d_causal_attention_mask(ones[:, None, None], (2, 5), embeds, 0)
    with pytest.raises(ConfigError, match="at least 1"):
        modeling_attn_mask_utils.AttentionMaskConverter(True, sliding_window=0)


def test_activations_are_modules_of_their_own() -> None:
    for name in ACTIVATIONS:
        torch.testing.assert_close(activations.get_activation(name)(X), ACTIVATIONS.get(name)(X))
    assert activations.ACT2FN["prelu"] is not activations.ACT2FN["prelu"]
    torch.testing.assert_close(activations.ACT2FN["prelu"](X).detach(), torch.where(X > 0, X, X / 4))
    assert list(activations.get_activation("gelu").parameters()) == []
    assert float(activations.get_activation("gelu_10")(torch.tensor(50.0))) == 10.0
    with pytest.raises(UnknownNameError, match="'gelu'"):
        activations.get_activation("gellu")


@pytest.mark.parametrize("name", ["gelu", "gelu_10", "gelu_python_tanh", "xielu", "prelu", "laplace", "relu2"])
def test_activations_equal_the_reference(name: str) -> None:
    theirs = pytest.importorskip("transformers.activations")
    if name not in theirs.ACT2CLS:
        pytest.skip(f"the installed reference has no {name}")
    expected = theirs.get_activation(name)(X).detach()
    torch.testing.assert_close(activations.get_activation(name)(X).detach(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["NormalOutput", "StudentTOutput", "NegativeBinomialOutput"])
@pytest.mark.parametrize("dim", [1, 3])
def test_distributions(name: str, dim: int) -> None:
    output = getattr(time_series_utils, name)(dim=dim)
    parameters = output.get_parameter_projection(6)(X)
    law = output.distribution(parameters)
    assert law.mean.shape == (3, 8, *output.event_shape)
    assert law.log_prob(torch.full(law.mean.shape, output.value_in_support)).shape == (3, 8)
    assert output.args_dim == dict.fromkeys(output.parameters, dim)
    scale = torch.full((3, 1, *output.event_shape), 4.0)
    scaled = output.distribution(parameters, loc=torch.zeros_like(scale), scale=scale)
    torch.testing.assert_close(scaled.mean, 4 * law.mean)
    if name != "NegativeBinomialOutput":
        torch.testing.assert_close(scaled.variance, 16 * law.variance)
        torch.testing.assert_close(scaled.stddev, 4 * law.variance.sqrt())
    assert bool((law.variance > 0).all())


def test_students_variance_exists() -> None:
    df, _, scale = time_series_utils.StudentTOutput().domain_map(*(torch.full((4, 1), -1e4) for _ in range(3)))
    assert bool((df >= 2).all()) and bool((scale > 0).all()) and df.shape == (4,)
    with pytest.raises(ConfigError, match="dim is 0"):
        time_series_utils.NormalOutput(dim=0)
