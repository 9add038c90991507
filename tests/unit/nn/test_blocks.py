"""Residual arrangements, stacks, positions, activations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rayformers.errors import InputError, UnknownNameError
from rayformers.nn import masks
from rayformers.nn.activations import ACTIVATIONS, activation
from rayformers.nn.context import Context
from rayformers.nn.embeddings import PatchEmbedding
from rayformers.nn.feedforward import MLP
from rayformers.nn.norms import RMSNorm
from rayformers.nn.positions import RotaryTable, alibi_slopes, rotate_half, rotate_pairs
from rayformers.nn.residual import DropPath, Parallel, Residual, Sequential
from rayformers.nn.stacks import Stack


class Double(nn.Module):
    def forward(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        return 2 * x


class Add(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.value


def test_norm_placement() -> None:
    x, context = torch.ones(1), Context()
    assert Residual(Double())(x, context) == 3
    assert Residual(Double(), before=Add(1))(x, context) == 1 + 2 * 2
    assert Residual(Double(), inside=Add(1))(x, context) == 1 + 3
    assert Residual(Double(), after=Add(1))(x, context) == 3 + 1


def test_sequential_and_parallel_differ_as_they_should() -> None:
    x, context = torch.ones(1), Context()
    assert Sequential(Residual(Double()), Residual(Double()))(x, context) == 9
    assert Parallel(Residual(Double()), Residual(Double()))(x, context) == 5


@pytest.mark.parametrize("record_norm", [True, False])
def test_a_stack_records_the_embeddings_and_every_layer(record_norm: bool) -> None:
    context = Context(record_states=True)
    out = Stack([Residual(Double()), Residual(Double())], Add(100), record_norm=record_norm)(torch.ones(1), context)
    assert out == 109
    assert [float(state) for state in context.states] == [1, 3, 109 if record_norm else 9]


def test_checkpointing_changes_no_gradient() -> None:
    torch.manual_seed(0)
    stack = Stack([Residual(MLP(8, 16, activation("gelu")))] * 2).train()
    gradients = []
    for enabled in (False, True):
        stack.gradient_checkpointing = enabled
        x = torch.ones(2, 3, 8, requires_grad=True)
        stack(x, Context()).sum().backward()
        gradients.append(x.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_drop_path_keeps_the_mean_and_only_while_training() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.3)
    x = torch.ones(20000, 1)
    assert abs(float(drop.train()(x).mean()) - 1) < 0.02
    assert torch.equal(drop.eval()(x), x)


def test_rms_norm_with_offset_matches_its_formula() -> None:
    x = torch.randn(3, 8)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    for offset in (0.0, 1.0):
        norm = RMSNorm(8, 1e-6, offset)
        torch.testing.assert_close(norm(x), expected)


def test_rotation_keeps_lengths_and_depends_on_distance_only() -> None:
    torch.manual_seed(0)
    table = RotaryTable(8, 10000.0)
    q, k = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)
    for rotate in (rotate_half, rotate_pairs):

        def score(query: int, key: int, rotate: object = rotate) -> float:
            turned = []
            for x, place in ((q, query), (k, key)):
                cos, sin = table(torch.tensor([[place]]), torch.float32)
                turned.append(rotate(x, cos, sin))  # type: ignore[operator]
            assert torch.allclose(turned[0].norm(), q.norm())
            return float((turned[0] * turned[1]).sum())

        assert score(3, 1) == pytest.approx(score(13, 11), abs=1e-5)
        assert score(3, 1) != pytest.approx(score(3, 2), abs=1e-5)


def test_unknown_scaling_and_activation_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'yarn'"):
        RotaryTable(8, 1e4, {"rope_type": "yarnn", "factor": 2.0})
    with pytest.raises(UnknownNameError, match="'gelu_new'"):
        activation("gelu_neww")


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_every_activation_is_smooth_enough_to_train(name: str) -> None:
    x = torch.linspace(-3, 3, 13, requires_grad=True)
    activation(name)(x).sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all())


def test_alibi_slopes_of_powers_and_others() -> None:
    assert alibi_slopes(8).tolist() == [2.0**-n for n in range(1, 9)]
    assert len(set(alibi_slopes(12).tolist())) == 12


def test_padding_masks() -> None:
    assert masks.padding(torch.ones(2, 3)) is None
    assert masks.padding(torch.tensor([[1, 0]])).tolist() == [[[[True, False]]]]
    with pytest.raises(InputError, match="4 positions"):
        masks.padding(torch.ones(1, 4), keys=3)


def test_patches_refuse_pictures_of_another_size() -> None:
    embed = PatchEmbedding(8, 2, 1, 4)
    with pytest.raises(InputError, match="10 x 8 pixels; the model takes 8 x 8"):
        embed(torch.zeros(1, 1, 10, 8))
    with pytest.raises(InputError, match=r"expected \[batch, 1, height, width\]"):
        embed(torch.zeros(1, 3, 8, 8))
    assert embed(torch.zeros(1, 1, 10, 8), interpolate=True).shape == (1, 1 + 5 * 4, 4)
