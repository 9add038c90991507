"""Transformations of pictures as arrays (guide: internal/image_processing_utils).

Every function finds the channels by the shape (an axis of 1 or 3, first before last) unless `input_data_format` says
where they are, and keeps that layout unless `data_format` asks for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ..errors import ConfigError, InputError, InputTypeError
from .image_layout import (
    FIRST,
    LAST,
    ChannelDimension,
    PaddingMode,
    get_channel_dimension_axis,
    get_image_size,
    layout_of,
    to_numpy_array,
)

to_array = to_numpy_array


def _check_array(image: Any) -> None:
    if not isinstance(image, np.ndarray):
        raise InputTypeError(f"A picture was given as {type(image).__name__}; expected a numpy array.")


def to_channel_dimension_format(
    image: np.ndarray, channel_dim: str, input_channel_dim: str | None = None
) -> np.ndarray:
    """The picture with its channels first or last."""
    _check_array(image)
    present, wanted = layout_of(image, input_channel_dim), ChannelDimension(channel_dim)
    if present is wanted:
        return image
    return np.moveaxis(image, -1, -3) if wanted is FIRST else np.moveaxis(image, -3, -1)


def _as_asked(image: np.ndarray, data_format: str | None, present: str | None) -> np.ndarray:
    return image if data_format is None else to_channel_dimension_format(image, data_format, present)


def channels_last(image: np.ndarray, data_format: str | None = None) -> np.ndarray:
    """[height, width, C] from any layout, [height, width] included."""
    return image[..., None] if image.ndim == 2 else to_channel_dimension_format(image, LAST, data_format)


def to_pil_image(
    image: Any,
    do_rescale: bool | None = None,
    image_mode: str | None = None,
    input_data_format: str | None = None,
) -> Image.Image:
    """A PIL image; fractions between 0 and 1 are multiplied by 255.

    Args:
        image: PIL image, array or tensor.
        do_rescale: multiply by 255; default: where the pixels are fractions within [0, 1].
        image_mode: Pillow's mode for the bytes; default: told by the channels.
        input_data_format: layout of the array; default: told by its shape.

    Raises:
        InputError: pixels outside of [0, 255].
    """
    if isinstance(image, Image.Image):
        return image
    array = channels_last(to_array(image), input_data_format)
    array = array[..., 0] if array.shape[-1] == 1 else array
    if do_rescale is None:
        do_rescale = _is_unit(array)
    pixels = np.ascontiguousarray((rescale(array, 255) if do_rescale else array).astype(np.uint8))
    if image_mode is None:
        return Image.fromarray(pixels)
    return Image.frombytes(image_mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes())


def _is_unit(array: np.ndarray) -> bool:
    """Whether pixels are fractions of 1; whole numbers are taken for bytes, also where all are 0 or 1."""
    if array.dtype == np.uint8:
        return False
    if array.min() < 0 or array.max() > 255:
        raise InputError(
            f"Pixels lie between {array.min():.3g} and {array.max():.3g}; expected [0, 1] or [0, 255]. "
            "Rescale the picture first."
        )
    return bool(array.max() <= 1) and not np.allclose(array, array.astype(int))


def resize(
    image: Any,
    size: Sequence[int],
    resample: int | None = None,
    reducing_gap: float | None = None,
    data_format: str | None = None,
    return_numpy: bool = True,
    input_data_format: str | None = None,
) -> Any:
    """Resize with Pillow, in the value range of the input.

    Args:
        image: PIL image or array.
        size: (height, width) in pixels.
        resample: Pillow's filter (0 nearest, 1 Lanczos, 2 bilinear, the default, 3 bicubic, 4 box, 5 Hamming).
        reducing_gap: Pillow's speed-up for large reductions.
        data_format: layout of the result; default: that of the input.
        return_numpy: an array; else a PIL image.
        input_data_format: layout of the array; default: told by its shape.

    Raises:
        ConfigError: `size` is not two numbers.
    """
    if len(size) != 2:
        raise ConfigError(f"size is {tuple(size)}; expected (height, width) in pixels.")
    unit, layout = False, LAST
    if not isinstance(image, Image.Image):
        image = to_array(image)
        layout = LAST if image.ndim == 2 else layout_of(image, input_data_format)
        unit = _is_unit(image)
        image = to_pil_image(image, do_rescale=unit, input_data_format=layout)
    kind = Image.Resampling.BILINEAR if resample is None else Image.Resampling(resample)
    resized = image.resize((int(size[1]), int(size[0])), resample=kind, reducing_gap=reducing_gap)
    if not return_numpy:
        return resized
    array = to_channel_dimension_format(channels_last(np.array(resized), LAST), data_format or layout, LAST)
    return rescale(array, 1 / 255) if unit else array


def rescale(
    image: np.ndarray,
    scale: float,
    data_format: str | None = None,
    dtype: Any = np.float32,
    input_data_format: str | None = None,
) -> np.ndarray:
    """Multiply the pixels by `scale`, in float64, then cast."""
    _check_array(image)
    return _as_asked(image.astype(np.float64) * scale, data_format, input_data_format).astype(dtype)


def normalize(
    image: np.ndarray,
    mean: float | Sequence[float],
    std: float | Sequence[float],
    data_format: str | None = None,
    input_data_format: str | None = None,
) -> np.ndarray:
    """(image - mean) / std for each channel; a number stands for every channel.

    Raises:
        InputError: the number of values is not the number of channels.
    """
    _check_array(image)
    layout = layout_of(image, input_data_format)
    if not np.issubdtype(image.dtype, np.floating):
        image = image.astype(np.float32)
    channels = image.shape[get_channel_dimension_axis(image, layout)]
    rows = []
    for name, given in (("mean", mean), ("std", std)):
        row = [given] * channels if isinstance(given, (int, float)) else list(given)
        if len(row) != channels:
            raise InputError(f"image_{name} has {len(row)} values; the picture has {channels} channels.")
        values = np.array(row, dtype=image.dtype)
        rows.append(values[:, None, None] if layout is FIRST else values)
    return _as_asked((image - rows[0]) / rows[1], data_format, layout)


def center_crop(
    image: np.ndarray, size: Sequence[int], data_format: str | None = None, input_data_format: str | None = None
) -> np.ndarray:
    """The middle of the picture, padded with zeros where it is smaller than `size` (height, width).

    Raises:
        ConfigError: `size` is not two numbers.
    """
    _check_array(image)
    if len(size) != 2:
        raise ConfigError(f"size is {tuple(size)}; expected (height, width) in pixels.")
    layout = layout_of(image, input_data_format)
    picture = to_channel_dimension_format(image, FIRST, layout)
    wanted, present = tuple(int(edge) for edge in size), picture.shape[-2:]
    starts = [(have - want) // 2 for have, want in zip(present, wanted, strict=True)]
    if min(starts) < 0 or any(want > have for have, want in zip(present, wanted, strict=True)):
        canvas = [max(have, want) for have, want in zip(present, wanted, strict=True)]
        before = [-(-(full - have) // 2) for full, have in zip(canvas, present, strict=True)]
        after = [full - have - pad for full, have, pad in zip(canvas, present, before, strict=True)]
        picture = np.pad(picture, [(0, 0)] * (picture.ndim - 2) + list(zip(before, after, strict=True)))
        starts = [max(0, start + pad) for start, pad in zip(starts, before, strict=True)]
    (top, left), (height, width) = starts, wanted
    picture = picture[..., top : top + height, left : left + width]
    return to_channel_dimension_format(picture, data_format or layout, FIRST)


def pad(
    image: np.ndarray,
    padding: int | Sequence[Any],
    mode: str = PaddingMode.CONSTANT,
    constant_values: float | Sequence[Any] = 0.0,
    data_format: str | None = None,
    input_data_format: str | None = None,
) -> np.ndarray:
    """Add borders.

    Args:
        image: a picture or a batch of pictures.
        padding: pixels; one number, (before, after) for both axes, or ((top, bottom), (left, right)).
        mode: a PaddingMode.
        constant_values: what mode "constant" fills with, given as `padding` is.
        data_format, input_data_format: layouts of the result and the input.

    Raises:
        ConfigError: `padding` has another form. UnknownNameError: no such mode.
    """
    _check_array(image)
    layout, mode = layout_of(image, input_data_format), PaddingMode(mode)

    def for_axes(values: float | Sequence[Any]) -> list[Any]:
        both = _both_axes(values)
        edges = [(0, 0), *both] if layout is FIRST else [*both, (0, 0)]
        return [(0, 0)] * (image.ndim - 3) + edges

    borders = for_axes(padding)
    if mode is PaddingMode.CONSTANT:
        padded = np.pad(image, borders, mode="constant", constant_values=for_axes(constant_values))
    else:
        kind: Any = "edge" if mode is PaddingMode.REPLICATE else mode.value
        padded = np.pad(image, borders, mode=kind)
    return _as_asked(padded, data_format, layout)


def _both_axes(values: float | Sequence[Any]) -> list[Any]:
    if isinstance(values, (int, float)):
        return [(values, values)] * 2
    if len(values) == 1 and isinstance(values[0], (int, float)):
        return [(values[0], values[0])] * 2
    if len(values) == 2 and all(isinstance(value, (int, float)) for value in values):
        return [tuple(values)] * 2
    if len(values) == 2 and all(isinstance(value, Sequence) and len(value) == 2 for value in values):
        return [tuple(value) for value in values]
    raise ConfigError(f"{values!r}: expected a number, (before, after) or ((top, bottom), (left, right)).")


def flip_channel_order(
    image: np.ndarray, data_format: str | None = None, input_data_format: str | None = None
) -> np.ndarray:
    """RGB to BGR and back."""
    _check_array(image)
    layout = layout_of(image, input_data_format)
    return _as_asked(np.flip(image, get_channel_dimension_axis(image, layout)), data_format, layout)


def convert_to_rgb(image: Any) -> Any:
    """A PIL image in RGB; everything else as it is."""
    return image.convert("RGB") if isinstance(image, Image.Image) and image.mode != "RGB" else image


def shortest_edge_size(image: np.ndarray, edge: int, longest: int | None = None) -> tuple[int, int]:
    """(height, width) for [height, width, C] with the shorter edge `edge` and the longer at most `longest`."""
    return _shortest_edge(image.shape[:2], edge, longest)


def _shortest_edge(present: Sequence[int], edge: int, longest: int | None) -> tuple[int, int]:
    height, width = present
    short, long = min(present), max(present)
    new_short, new_long = edge, int(edge * long / short)
    if longest is not None and new_long > longest:
        new_short, new_long = int(longest * new_short / new_long), longest
    return (new_short, new_long) if height <= width else (new_long, new_short)


def get_resize_output_image_size(
    input_image: np.ndarray,
    size: int | Sequence[int],
    default_to_square: bool = True,
    max_size: int | None = None,
    input_data_format: str | None = None,
) -> tuple[int, int]:
    """(height, width) that `size` means for a picture.

    Args:
        input_image: the picture.
        size: (height, width), or one number for both or for the shorter edge.
        default_to_square: one number means a square; else the shorter edge, the aspect ratio is kept.
        max_size: limit of the longer edge.

    Raises:
        ConfigError: more than two numbers, or a limit that is not above the shorter edge.
    """
    if not isinstance(size, int):
        if len(size) == 2:
            return size[0], size[1]
        if len(size) != 1:
            raise ConfigError(f"size is {tuple(size)}; expected one number or (height, width).")
        size = size[0]
    if default_to_square:
        return size, size
    if max_size is not None and max_size <= size:
        raise ConfigError(f"max_size is {max_size}; it must be greater than the shorter edge, {size}.")
    return _shortest_edge(get_image_size(input_image, input_data_format), size, max_size)


def get_size_with_aspect_ratio(image_size: tuple[int, int], size: int, max_size: int | None = None) -> tuple[int, int]:
    """(height, width) with the shorter edge `size`, less where the longer would exceed `max_size` (DETR's rule)."""
    height, width = image_size
    short, long = min(image_size), max(image_size)
    edge: float = size
    if max_size is not None and long / short * size > max_size:
        edge = max_size * short / long
        size = round(edge)
    if short == size:
        return height, width
    return (int(edge * height / width), size) if width < height else (size, int(edge * width / height))


def _stack(like: Any, columns: Sequence[Any]) -> Any:
    if isinstance(like, np.ndarray):
        return np.stack(columns, axis=-1)
    import torch

    if not isinstance(like, torch.Tensor):
        raise InputTypeError(f"Boxes were given as {type(like).__name__}; expected an array or a tensor.")
    return torch.stack(list(columns), dim=-1)


def _columns(boxes: Any) -> list[Any]:
    if not hasattr(boxes, "shape"):
        raise InputTypeError(f"Boxes were given as {type(boxes).__name__}; expected an array or a tensor.")
    if boxes.shape[-1] != 4:
        raise InputError(f"Boxes have the shape {tuple(boxes.shape)}; the last axis must have 4 numbers.")
    return [boxes[..., number] for number in range(4)]


def center_to_corners_format(bboxes_center: Any) -> Any:
    """Boxes [..., (center x, center y, width, height)] to [..., (left, top, right, bottom)]."""
    x, y, width, height = _columns(bboxes_center)
    return _stack(bboxes_center, (x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height))


def corners_to_center_format(bboxes_corners: Any) -> Any:
    """Boxes [..., (left, top, right, bottom)] to [..., (center x, center y, width, height)]."""
    left, top, right, bottom = _columns(bboxes_corners)
    return _stack(bboxes_corners, ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top))


def rgb_to_id(color: Any) -> Any:
    """Segment numbers of panoptic pictures: red + 256 green + 256^2 blue, for [height, width, 3] or one color."""
    if isinstance(color, np.ndarray) and color.ndim == 3:
        red, green, blue = np.moveaxis(color.astype(np.int32) if color.dtype == np.uint8 else color, -1, 0)
        return red + 256 * green + 65536 * blue
    return int(color[0]) + 256 * int(color[1]) + 65536 * int(color[2])


def id_to_rgb(id_map: Any) -> Any:
    """The inverse of `rgb_to_id`: an array [..., 3] of bytes, or a list for one number."""
    if isinstance(id_map, np.ndarray):
        return np.stack([id_map // 256**power % 256 for power in range(3)], axis=-1).astype(np.uint8)
    return [id_map // 256**power % 256 for power in range(3)]
