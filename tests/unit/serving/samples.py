"""A tiny ViT checkpoint in the Hub's layout, and pictures for it."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image


def save_tiny_vit(folder: Path) -> Path:
    """Write a freshly initialised ViT for 8 x 8 pictures of ten classes."""
    import torch

    from rayformers import AutoConfig, AutoModelForImageClassification, ViTImageProcessor

    torch.manual_seed(3)
    config = AutoConfig.for_model(
        "vit",
        image_size=8,
        patch_size=4,
        num_channels=3,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.5,
        id2label={index: f"class {index}" for index in range(10)},
        label2id={f"class {index}": index for index in range(10)},
    )
    AutoModelForImageClassification.from_config(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 8, "width": 8}).save_pretrained(folder)
    return folder


def picture(seed: int = 0, width: int = 24, height: int = 20, kind: str = "PNG") -> bytes:
    """The bytes of a picture of noise."""
    import numpy

    pixels = numpy.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind)
    return buffer.getvalue()
