from __future__ import annotations

import base64
import io
import struct
import zlib

import pytest
from PIL import Image

from rayformers.errors import InputError, InputTooLargeError, UnsupportedMediaError
from rayformers.serving.media import decode_base64, decode_image


def encoded(width: int = 8, height: int = 6, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, format=kind)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds next to nothing, as a decompression bomb does."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_known_formats_decode(kind: str) -> None:
    assert decode_image(encoded(kind=kind), max_pixels=48).size == (8, 6)


@pytest.mark.parametrize("data", [b"hello", b"\0" * 100, b"%PDF-1.7", b"<svg></svg>", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedMediaError, match="PNG, JPEG"):
        decode_image(data, max_pixels=100)


@pytest.mark.parametrize("size", [(8000, 7500), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    with pytest.raises(InputTooLargeError, match="40,000,000"):
        decode_image(png_header(*size), max_pixels=40_000_000)


def test_a_truncated_picture_is_a_bad_input() -> None:
    data = encoded(64, 64, "JPEG")
    with pytest.raises(InputError, match="corrupt or truncated"):
        decode_image(data[: len(data) // 2], max_pixels=10_000)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_every_mutation_is_an_input_error_or_a_picture(kind: str) -> None:
    import random

    whole = encoded(24, 24, kind)
    chance = random.Random(5)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            image = decode_image(bytes(data[: chance.randint(4, len(data))]), max_pixels=100_000)
        except InputError as error:
            assert error.status in (400, 413, 415)
        else:
            assert image.width * image.height <= 100_000


def test_base64_and_data_urls() -> None:
    text = base64.b64encode(b"\x89PNG data").decode()
    assert decode_base64(text) == b"\x89PNG data"
    assert decode_base64(f"data:image/png;base64,{text}") == b"\x89PNG data"
    assert decode_base64("\n".join([text[:4], text[4:]])) == b"\x89PNG data"


@pytest.mark.parametrize("text", ["https://example.com/a.png", "file:///etc/passwd", "HTTP://x/y", "s3://bucket/key"])
def test_urls_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="is a URL, which this endpoint does not fetch"):
        decode_base64(text)


@pytest.mark.parametrize("text", ["", "not base64!", "/etc/passwd.png", "abc", "é" * 8, "\ud800abc"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        decode_base64(text)
