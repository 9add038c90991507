"""Pictures in, pixel_values out."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import rayformers
from rayformers.errors import (
    InputError,
    InputTooLargeError,
    InputTypeError,
    NotFoundError,
    UnknownNameError,
    UnsupportedMediaError,
)
from rayformers.processing.image_io import load_image, open_bytes

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8))


def png(image: Image.Image = PICTURE) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def bomb() -> bytes:
    """A valid header of a picture of 60 megapixels, and nothing else."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 10_000, 6_000, 8, 2, 0, 0, 0))
        + chunk(b"IEND", b"")
    )


def processor(**settings: Any) -> Any:
    return rayformers.ViTImageProcessor(**{"size": {"height": 4, "width": 6}, **settings})


def test_every_way_to_give_a_picture(tmp_path: Path) -> None:
    file = tmp_path / "p.png"
    file.write_bytes(png())
    text = base64.b64encode(png()).decode()
    expected = np.asarray(PICTURE)
    for source in (PICTURE, file, str(file), png(), text, f"data:image/png;base64,{text}", expected, {"bytes": png()}):
        assert np.array_equal(np.asarray(load_image(source)), expected)


def test_the_camera_s_turn_is_undone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    buffer = io.BytesIO()
    PICTURE.save(buffer, "JPEG", exif=exif)
    assert load_image(buffer.getvalue()).size == (PICTURE.height, PICTURE.width)


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (b"", InputError, "empty"),
        (b"no picture", UnsupportedMediaError, "no picture"),
        (png()[:60], UnsupportedMediaError, "broken or truncated"),
        ("/no/such/file.png", NotFoundError, "no existing file"),
        (Path("/no/such/file.png"), NotFoundError, "No such picture"),
        (17, InputTypeError, "int"),
    ],
)
def test_what_is_no_picture(source: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        load_image(source)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(InputTooLargeError, match="10000 x 6000 = 60000000 pixels; at most 50000000"):
        open_bytes(bomb(), max_pixels=50_000_000)


def test_an_unreachable_url_is_named() -> None:
    with pytest.raises(NotFoundError, match=r"http://127\.0\.0\.1:9/p\.png cannot be fetched"):
        load_image("http://127.0.0.1:9/p.png", timeout=1)


def test_the_steps_are_those_of_the_settings() -> None:
    array = np.asarray(PICTURE)
    plain = processor(do_resize=False, do_normalize=False, do_rescale=False)(PICTURE, return_tensors="np")
    assert np.array_equal(plain["pixel_values"][0], array.transpose(2, 0, 1))
    scaled = processor(do_resize=False)(PICTURE, return_tensors="pt").pixel_values
    torch.testing.assert_close(scaled[0], torch.tensor(array / 255).permute(2, 0, 1).float() * 2 - 1, atol=1e-6, rtol=0)
    resized = processor()(PICTURE, return_tensors="np")["pixel_values"]
    expected = np.asarray(PICTURE.resize((6, 4), Image.Resampling.BILINEAR)) / 255 * 2 - 1
    np.testing.assert_allclose(resized[0], expected.transpose(2, 0, 1), atol=1e-6)


def test_arrays_of_any_layout_give_the_same() -> None:
    array = np.asarray(PICTURE)
    given = (PICTURE, array, array.transpose(2, 0, 1), torch.tensor(array).permute(2, 0, 1))
    results = [processor()(image, return_tensors="np")["pixel_values"] for image in given]
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], atol=1.1 * 2 / 255)
    unit = processor(do_rescale=False)(array / 255, return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(unit, results[0], atol=1.1 * 2 / 255)
    grey = processor(image_mean=0.5, image_std=0.5)(PICTURE.convert("L"), return_tensors="pt")
    assert grey["pixel_values"].shape == (1, 1, 4, 6)


def test_a_call_overrides_and_forgets() -> None:
    p = processor()
    assert p(PICTURE, size={"height": 2, "width": 2}, return_tensors="np")["pixel_values"].shape[-2:] == (2, 2)
    assert p(PICTURE, return_tensors="np")["pixel_values"].shape[-2:] == (4, 6)
    with pytest.raises(InputError, match=r"no setting 'do_resise'\. Did you mean 'do_resize'"):
        p(PICTURE, do_resise=False)


def test_shortest_edge_and_center_crop() -> None:
    p = processor(size={"shortest_edge": 18}, do_center_crop=True, crop_size={"height": 16, "width": 16})
    assert p(PICTURE, return_tensors="np")["pixel_values"].shape == (1, 3, 16, 16)
    wide = p(PICTURE, do_center_crop=False, return_tensors="np")["pixel_values"]
    assert wide.shape == (1, 3, 18, 26)


def test_pictures_of_different_sizes_cannot_be_one_tensor() -> None:
    with pytest.raises(InputError, match="one size"):
        processor(do_resize=False)([PICTURE, PICTURE.resize((5, 5))], return_tensors="pt")


def test_wrong_calls() -> None:
    with pytest.raises(InputError, match="empty"):
        processor()([])
    with pytest.raises(InputTypeError, match="str"):
        processor()("text")
    with pytest.raises(InputError, match="'tf'"):
        processor()(PICTURE, return_tensors="tf")
    with pytest.raises(InputError, match="image_mean has 2 values"):
        processor(image_mean=[0.5, 0.5])(PICTURE)


def test_files_round_trip(tmp_path: Path) -> None:
    processor(image_mean=[0.1, 0.2, 0.3]).save_pretrained(tmp_path)
    loaded = rayformers.AutoImageProcessor.from_pretrained(tmp_path)
    assert type(loaded) is rayformers.ViTImageProcessor and loaded.image_mean == [0.1, 0.2, 0.3]
    again = rayformers.AutoImageProcessor.from_pretrained(tmp_path, size={"height": 3, "width": 3})
    assert again(PICTURE, return_tensors="pt")["pixel_values"].shape[-2:] == (3, 3)
    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "ViTImageProcesor"}')
    with pytest.raises(UnknownNameError, match="'ViTImageProcessor'"):
        rayformers.AutoImageProcessor.from_pretrained(tmp_path)


def test_a_batch_moves_as_one() -> None:
    batch = processor()(PICTURE, return_tensors="pt").to("cpu", dtype=torch.float16)
    assert batch.pixel_values.dtype == torch.float16
    with pytest.raises(AttributeError, match="pixel_values"):
        _ = batch.pixel_value


def test_the_same_pixels_as_the_reference() -> None:
    transformers = pytest.importorskip("transformers")
    reference = transformers.ViTImageProcessor(size={"height": 4, "width": 6})
    expected = reference(PICTURE, return_tensors="pt")["pixel_values"]
    got = processor()(PICTURE, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(got, expected, atol=0.03, rtol=0)  # its torch resize rounds otherwise than Pillow
