"""ViT equals the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.parity.harness import BATCH, Case, TestParity, assert_equal_outputs, pair, pytest_generate_tests

from rayformers.errors import InputError

__all__ = ["TestParity", "pytest_generate_tests"]


def pixels(random: torch.Generator, config: Any) -> dict[str, Any]:
    return {"pixel_values": torch.randn(BATCH, 3, config.image_size, config.image_size, generator=random)}


def masked(random: torch.Generator, config: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    patches = (config.image_size // config.patch_size) ** 2
    return {**inputs, "bool_masked_pos": torch.rand(BATCH, patches, generator=random) < 0.5}


SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
CASES = (
    Case(
        model_type="vit",
        config={**SIZES, "image_size": 12, "patch_size": 4, "encoder_stride": 4},
        inputs=pixels,
        head_inputs={"ForMaskedImageModeling": masked},
    ),
    Case(
        model_type="vit",
        name="vit-no-bias",
        config={**SIZES, "image_size": 12, "patch_size": 3, "qkv_bias": False, "hidden_act": "gelu_new"},
        heads=("Model", "ForImageClassification"),
        inputs=pixels,
    ),
)


@torch.no_grad()
def test_interpolate_pos_encoding() -> None:
    both = pair(CASES[0], "ForImageClassification")
    larger = {"pixel_values": torch.randn(2, 3, 20, 16), "interpolate_pos_encoding": True}
    assert_equal_outputs(both.ours(**larger), both.reference(**larger), CASES[0])


def test_other_size_is_refused() -> None:
    with pytest.raises(InputError, match="interpolate_pos_encoding"):
        pair(CASES[0], "Model").ours(pixel_values=torch.zeros(1, 3, 20, 16))


def test_missing_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="pixel_values"):
        pair(CASES[0], "Model").ours()
