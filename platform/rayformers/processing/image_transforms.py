"""Transformations of pictures as arrays (guide: internal/image_processing_utils)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError, InputTypeError

FIRST, LAST = "channels_first", "channels_last"


def to_array(image: Any) -> np.ndarray:
    """[height, width], [height, width, C] or [C, height, width] from a PIL image, array or tensor."""
    if isinstance(image, Image.Image):
        return np.array(image)
    if hasattr(image, "detach"):
        image = image.detach().cpu()
    if hasattr(image, "__array__"):
        return np.asarray(image)
    raise InputTypeError(f"A picture was given as {type(image).__name__}; expected a PIL image, an array or a tensor.")


def channel_format(image: np.ndarray, channels: Sequence[int] = (1, 3)) -> str:
    """Whether [.., .., ..] has its channels first or last, told by an axis of 1 or 3; first wins where both fit.

    Raises:
        InputError: neither axis fits.
    """
    if image.ndim == 3:
        if image.shape[0] in channels:
            return FIRST
        if image.shape[-1] in channels:
            return LAST
    raise InputError(
        f"A picture of shape {image.shape}: neither the first nor the last axis has {' or '.join(map(str, channels))} "
        "channels. Pass input_data_format='channels_first' or 'channels_last', or convert it to RGB."
    )


def channels_last(image: np.ndarray, data_format: str | None = None) -> np.ndarray:
    """[height, width, C] from any layout."""
    if image.ndim == 2:
        return image[..., None]
    return image.transpose(1, 2, 0) if (data_format or channel_format(image)) == FIRST else image


def to_pil_image(image: Any, do_rescale: bool | None = None, data_format: str | None = None) -> Image.Image:
    """A PIL image; floating-point pixels in [0, 1] are multiplied by 255.

    Args:
        image: PIL image, array or tensor.
        do_rescale: multiply by 255; default: where the pixels are floating-point numbers within [0, 1].
        data_format: layout of the array; default: told by its shape.
    """
    if isinstance(image, Image.Image):
        return image
    array = channels_last(to_array(image), data_format)
    array = array[..., 0] if array.shape[-1] == 1 else array
    if do_rescale is None:
        do_rescale = _is_unit(array)
    return Image.fromarray((array * 255 if do_rescale else array).astype(np.uint8))


def _is_unit(array: np.ndarray) -> bool:
    if array.dtype == np.uint8:
        return False
    if np.issubdtype(array.dtype, np.floating):
        if array.min() < 0 or array.max() > 255:
            raise InputError(
                f"Pixels lie between {array.min():.3g} and {array.max():.3g}; expected [0, 1] or [0, 255]. "
                "Rescale the picture first."
            )
        return bool(array.max() <= 1)
    return False


def resize(image: Any, size: tuple[int, int], resample: int = 2, data_format: str | None = None) -> np.ndarray:
    """Resize with Pillow: -> [height, width, C], in the value range of the input.

    Args:
        image: PIL image or array.
        size: (height, width) in pixels.
        resample: Pillow's filter (0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box, 5 Hamming).
        data_format: layout of the array; default: told by its shape.
    """
    array = None if isinstance(image, Image.Image) else to_array(image)
    unit = array is not None and _is_unit(array)
    picture = to_pil_image(image, do_rescale=unit if array is not None else None, data_format=data_format)
    resized = np.array(picture.resize((size[1], size[0]), resample=Image.Resampling(resample)))
    resized = resized[..., None] if resized.ndim == 2 else resized
    return rescale(resized, 1 / 255) if unit else resized


def rescale(image: np.ndarray, scale: float, dtype: Any = np.float32) -> np.ndarray:
    """Multiply the pixels by `scale`, in float64, then cast."""
    return (image.astype(np.float64) * scale).astype(dtype)


def normalize(image: np.ndarray, mean: float | Sequence[float], std: float | Sequence[float]) -> np.ndarray:
    """(image - mean) / std for [height, width, C]; a number stands for every channel.

    Raises:
        InputError: the number of values is not the number of channels.
    """
    if not np.issubdtype(image.dtype, np.floating):
        image = image.astype(np.float32)
    channels = image.shape[-1]
    values = []
    for name, given in (("mean", mean), ("std", std)):
        row = [given] * channels if isinstance(given, (int, float)) else list(given)
        if len(row) != channels:
            raise InputError(f"image_{name} has {len(row)} values; the picture has {channels} channels.")
        values.append(np.array(row, dtype=image.dtype))
    return (image - values[0]) / values[1]


def center_crop(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle of [height, width, C], padded with zeros where it is smaller than `size` (height, width)."""
    height, width = image.shape[:2]
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    if top >= 0 and left >= 0 and top + size[0] <= height and left + size[1] <= width:
        return image[top : top + size[0], left : left + size[1]]
    new_height, new_width = max(size[0], height), max(size[1], width)
    canvas = np.zeros((new_height, new_width, image.shape[-1]), dtype=image.dtype)
    top_pad, left_pad = -(-(new_height - height) // 2), -(-(new_width - width) // 2)
    canvas[top_pad : top_pad + height, left_pad : left_pad + width] = image
    top, left = top + top_pad, left + left_pad
    return canvas[max(0, top) : min(new_height, top + size[0]), max(0, left) : min(new_width, left + size[1])]


def shortest_edge_size(image: np.ndarray, edge: int, longest: int | None = None) -> tuple[int, int]:
    """(height, width) that keep the aspect ratio with the shorter edge `edge`, the longer at most `longest`."""
    height, width = image.shape[:2]
    short, long = min(height, width), max(height, width)
    new_short, new_long = edge, int(edge * long / short)
    if longest is not None and new_long > longest:
        new_short, new_long = int(longest * new_short / new_long), longest
    return (new_short, new_long) if height <= width else (new_long, new_short)
