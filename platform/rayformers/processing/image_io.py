"""Pictures from whatever a user gives: PIL, arrays, paths, URLs, base64 text, bytes."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import InputError, InputTooLargeError, InputTypeError, NotFoundError, UnsupportedMediaError

MAX_PIXELS = 178_956_970
"""Pictures with more pixels are refused before they are decoded (Pillow's own limit for decompression bombs)."""


def load_image(source: Any, timeout: float | None = None, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """An RGB picture (guide: image_utils.load_image).

    Args:
        source: PIL image, local path, http(s) URL, base64 text (with or without a data: prefix), bytes, an array
            [height, width, channels], or a mapping with "bytes" or "path" as datasets keep pictures.
        timeout: seconds to wait for a URL; None waits as long as it takes.
        max_pixels: larger pictures are refused.

    Raises:
        UnsupportedMediaError, InputTooLargeError, NotFoundError, InputTypeError
    """
    image = _open(source, timeout, max_pixels)
    return ImageOps.exif_transpose(image).convert("RGB")


def open_bytes(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """A picture from encoded bytes, its size checked before it is decoded.

    Raises:
        InputError: no bytes. UnsupportedMediaError: not a picture, or a broken one.
        InputTooLargeError: too many pixels.
    """
    if not data:
        raise InputError("The picture is empty (0 bytes). Send the bytes of a PNG, JPEG, WebP, GIF, BMP or TIFF file.")
    try:
        image = Image.open(io.BytesIO(data))
        width, height = image.size
        if width * height > max_pixels:
            raise InputTooLargeError(
                f"The picture has {width} x {height} = {width * height} pixels; at most {max_pixels} are allowed. "
                "Resize it."
            )
        image.load()
    except Image.DecompressionBombError as error:
        raise InputTooLargeError(f"The picture is too large: {error} Resize it.") from error
    except UnidentifiedImageError as error:
        raise UnsupportedMediaError(
            f"The {len(data)} bytes are no picture that can be read. Send PNG, JPEG, WebP, GIF, BMP or TIFF."
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise UnsupportedMediaError(f"The picture is broken or truncated: {error}. Send it again.") from error
    return image


def _open(source: Any, timeout: float | None, max_pixels: int) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, Mapping):
        source = source.get("bytes") or source.get("path") or source.get("image")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return open_bytes(bytes(source), max_pixels=max_pixels)
    if isinstance(source, Path):
        return _open_path(source, max_pixels)
    if isinstance(source, str):
        return _open_text(source, timeout, max_pixels)
    if hasattr(source, "__array__"):
        from .image_transforms import to_pil_image

        return to_pil_image(np.asarray(source))
    raise InputTypeError(
        f"A picture was given as {type(source).__name__}; expected a PIL image, a path, a URL, base64 text, bytes "
        "or an array."
    )


def _open_path(path: Path, max_pixels: int) -> Image.Image:
    if not path.is_file():
        raise NotFoundError(f"No such picture: {path}.")
    try:
        return open_bytes(path.read_bytes(), max_pixels=max_pixels)
    except InputError as error:  # which of many pictures it is
        raise type(error)(f"{path}: {error}") from error


def _open_text(text: str, timeout: float | None, max_pixels: int) -> Image.Image:
    if text.startswith(("http://", "https://")):
        return open_bytes(_download(text, timeout), max_pixels=max_pixels)
    if not text.startswith("data:") and len(text) < 4096 and Path(text).is_file():
        return _open_path(Path(text), max_pixels)
    payload = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return open_bytes(base64.b64decode(payload, validate=True), max_pixels=max_pixels)
    except (binascii.Error, ValueError) as error:
        if isinstance(error, (InputTooLargeError, UnsupportedMediaError)) and len(text) > 256:
            raise
        raise NotFoundError(
            f"{text[:80]!r} is no existing file, no http(s) URL and no base64 picture. Check the path."
        ) from error


def _download(url: str, timeout: float | None) -> bytes:
    import urllib.error
    import urllib.request

    request = urllib.request.Request(url, headers={"User-Agent": "rayformers"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return bytes(answer.read())
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise NotFoundError(f"{url} cannot be fetched: {error}") from error
