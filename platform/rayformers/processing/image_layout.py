"""Where a picture's channels are, and what counts as a picture (guide: internal/image_processing_utils)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ..enums import ExplicitEnum
from ..errors import InputError, InputTypeError

PILImageResampling = Image.Resampling


class ChannelDimension(ExplicitEnum):
    """The place of the channels among the axes."""

    FIRST = "channels_first"
    LAST = "channels_last"


class AnnotationFormat(ExplicitEnum):
    """The kinds of annotations that detection data sets come with."""

    COCO_DETECTION = "coco_detection"
    COCO_PANOPTIC = "coco_panoptic"


class PaddingMode(ExplicitEnum):
    """What `pad` fills borders with."""

    CONSTANT = "constant"
    REFLECT = "reflect"
    REPLICATE = "replicate"
    SYMMETRIC = "symmetric"


FIRST, LAST = ChannelDimension.FIRST, ChannelDimension.LAST


def infer_channel_dimension_format(image: Any, num_channels: int | Sequence[int] | None = None) -> ChannelDimension:
    """The layout of [.., .., ..] (with up to two axes before), told by an axis of 1 or 3; first wins where both fit.

    Args:
        image: an array or tensor of 3 to 5 axes.
        num_channels: other numbers of channels to look for.

    Raises:
        InputError: neither axis fits.
    """
    channels = (1, 3) if num_channels is None else (num_channels,) if isinstance(num_channels, int) else num_channels
    if 3 <= image.ndim <= 5:
        if image.shape[-3] in channels:
            return FIRST
        if image.shape[-1] in channels:
            return LAST
    raise InputError(
        f"A picture of shape {tuple(image.shape)}: neither the first nor the last axis has "
        f"{' or '.join(map(str, channels))} channels. Pass input_data_format='channels_first' or 'channels_last', or "
        "convert it to RGB."
    )


def layout_of(image: Any, given: str | None) -> ChannelDimension:
    """The layout that was given, else the one that the shape tells."""
    return infer_channel_dimension_format(image) if given is None else ChannelDimension(given)


def get_channel_dimension_axis(image: Any, input_data_format: str | None = None) -> int:
    """The index of the axis of the channels."""
    return int(image.ndim) - (3 if layout_of(image, input_data_format) is FIRST else 1)


def get_image_size(image: Any, channel_dim: str | None = None) -> tuple[int, int]:
    """(height, width) in pixels."""
    height = -2 if layout_of(image, channel_dim) is FIRST else -3
    return int(image.shape[height]), int(image.shape[height + 1])


def get_image_size_for_max_height_width(
    image_size: tuple[int, int], max_height: int, max_width: int
) -> tuple[int, int]:
    """The largest (height, width) of the same aspect ratio within the limits."""
    height, width = image_size
    scale = min(max_height / height, max_width / width)
    return int(height * scale), int(width * scale)


def is_scaled_image(image: np.ndarray) -> bool:
    """Whether the pixels lie in [0, 1] already; bytes never do."""
    return image.dtype != np.uint8 and bool(np.min(image) >= 0 and np.max(image) <= 1)


def is_pil_image(image: Any) -> bool:
    """Whether it is a PIL image."""
    return isinstance(image, Image.Image)


def is_valid_image(image: Any) -> bool:
    """Whether it is a PIL image, an array or a tensor."""
    return is_pil_image(image) or isinstance(image, np.ndarray) or type(image).__module__.partition(".")[0] == "torch"


def valid_images(images: Any) -> bool:
    """Whether it is a picture or (nested) lists of pictures."""
    return all(map(valid_images, images)) if isinstance(images, (list, tuple)) else is_valid_image(images)


def is_batched(images: Any) -> bool:
    """Whether it is a list that starts with a picture."""
    return isinstance(images, (list, tuple)) and bool(images) and is_valid_image(images[0])


def to_numpy_array(image: Any) -> np.ndarray:
    """The pixels of a PIL image, array or tensor.

    Raises:
        InputTypeError: it is none of these.
    """
    if not is_valid_image(image):
        raise InputTypeError(
            f"A picture was given as {type(image).__name__}; expected a PIL image, an array or a tensor."
        )
    if hasattr(image, "detach"):
        image = image.detach().cpu()
    return np.array(image) if is_pil_image(image) else np.asarray(image)


def make_flat_list_of_images(images: Any, expected_ndims: int = 3) -> list[Any]:
    """One list of pictures from a picture, a batch array, or lists of these.

    Raises:
        InputError: an array has neither `expected_ndims` axes nor one more. InputTypeError: no picture.
    """
    if isinstance(images, (list, tuple)):
        return [picture for item in images for picture in make_flat_list_of_images(item, expected_ndims)]
    if is_pil_image(images):
        return [images]
    if not is_valid_image(images):
        raise InputTypeError(f"Expected pictures (PIL images, arrays, tensors), got {type(images).__name__}.")
    if images.ndim == expected_ndims:
        return [images]
    if images.ndim == expected_ndims + 1:
        return list(images)
    raise InputError(f"A picture of shape {tuple(images.shape)}; expected {expected_ndims} axes, one more for a batch.")


def make_list_of_images(images: Any, expected_ndims: int = 3) -> list[Any]:
    """A list of pictures from one picture or a batch array; a list stays as it is."""
    return list(images) if is_batched(images) else make_flat_list_of_images(images, expected_ndims)


def make_nested_list_of_images(images: Any, expected_ndims: int = 3) -> list[list[Any]]:
    """A list of lists of pictures, one list for each example."""
    if isinstance(images, (list, tuple)) and images and isinstance(images[0], (list, tuple)):
        return [list(row) for row in images]
    if isinstance(images, (list, tuple)) and images and getattr(images[0], "ndim", 0) == expected_ndims + 1:
        return [list(row) for row in images]
    return [make_flat_list_of_images(images, expected_ndims)]
