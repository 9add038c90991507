"""Pictures from the bytes of strangers: only known formats, the size checked before anything is decoded."""

from __future__ import annotations

import base64
import binascii
import functools
import io
import re
from typing import TYPE_CHECKING

from ..errors import InputError, InputTooLargeError, UnsupportedMediaError

if TYPE_CHECKING:
    from PIL import Image

# Pillow also reads formats that run other programs (EPS) or that nobody sends; each is one more parser to attack.
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+(;[\w.+-]+=[^;,]*)*;base64,", re.ASCII)
_URL = re.compile(r"\s*[a-z][a-z0-9+.-]*://", re.IGNORECASE | re.ASCII)


def decode_base64(text: str, where: str = "inputs") -> bytes:
    """The bytes of base64 text or of a data URL.

    Raises:
        InputError: the text is empty, a URL, or not base64.
    """
    if _URL.match(text):
        raise InputError(
            f"{where!r} is a URL, which this endpoint does not fetch. Send the file itself: as the request's body, "
            f"or as base64 text in {where!r}."
        )
    prefix = _DATA_URL.match(text[:200])
    try:
        data = base64.b64decode(text[prefix.end() :] if prefix else text, validate=not _has_whitespace(text))
    except (binascii.Error, ValueError):
        raise InputError(
            f"{where!r} is not base64 text ({_excerpt(text)}). Send the file's bytes as base64, or as the body."
        ) from None
    if not data:
        raise InputError(f"{where!r} is empty. Send a file's bytes as base64 text.")
    return data


def _has_whitespace(text: str) -> bool:
    return "\n" in text or "\r" in text or " " in text


def _excerpt(text: str) -> str:
    return f"{len(text)} characters, starting {text[:20]!r}"


@functools.cache
def _readable_formats() -> tuple[str, ...]:
    """IMAGE_FORMATS that this build of Pillow reads (AVIF is not in all)."""
    from PIL import Image

    Image.init()
    return tuple(name for name in IMAGE_FORMATS if name in Image.OPEN)


def decode_image(data: bytes, *, max_pixels: int) -> Image.Image:
    """The picture in `data`, fully decoded.

    Raises:
        UnsupportedMediaError: the bytes are no picture of a known format.
        InputTooLargeError: the picture's header announces more than `max_pixels`.
        InputError: the picture is corrupt or truncated.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data), formats=_readable_formats())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputTooLargeError(
            f"The picture has far more than {max_pixels:,} pixels, the limit here. Send a smaller one."
        ) from None
    except UnidentifiedImageError:
        raise UnsupportedMediaError(
            f"The {len(data):,} bytes are no picture of a known format. Send one of {', '.join(_readable_formats())}."
        ) from None
    except Exception as error:  # a parser's any complaint about a stranger's bytes is the stranger's error
        raise InputError(f"The picture's header is corrupt or truncated: {error}.") from error
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise InputTooLargeError(
            f"The picture is {image.width} x {image.height} = {pixels:,} pixels; at most {max_pixels:,} are allowed "
            "here. Send a smaller one."
        )
    try:
        image.load()
    except Exception as error:
        raise InputError(f"The {image.format} picture is corrupt or truncated: {error}.") from error
    return image
