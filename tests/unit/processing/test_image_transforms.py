"""Transformations of pictures, in both layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rayformers import image_transforms as ours
from rayformers import image_utils
from rayformers.errors import ConfigError, InputError, InputTypeError, UnknownNameError

LAST = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
FIRST = LAST.transpose(2, 0, 1)


def test_where_the_channels_are() -> None:
    assert image_utils.infer_channel_dimension_format(LAST) == "channels_last"
    assert image_utils.infer_channel_dimension_format(np.stack([FIRST] * 2)) == "channels_first"
    assert image_utils.get_image_size(LAST) == image_utils.get_image_size(FIRST) == (6, 9)
    assert image_utils.get_channel_dimension_axis(np.stack([FIRST] * 2)) == 1
    assert image_utils.infer_channel_dimension_format(np.zeros((4, 5, 6)), num_channels=6) == "channels_last"
    with pytest.raises(InputError, match=r"\(4, 5, 6\)"):
        image_utils.infer_channel_dimension_format(np.zeros((4, 5, 6)))
    np.testing.assert_array_equal(ours.to_channel_dimension_format(LAST, "channels_first"), FIRST)
    with pytest.raises(UnknownNameError, match="channels_middle"):
        ours.to_channel_dimension_format(LAST, "channels_middle")


@pytest.mark.parametrize(
    "call",
    [
        lambda image, **k: ours.resize(image, (4, 5), **k),
        lambda image, **k: ours.resize(image / 255, (4, 5), resample=3, **k),
        lambda image, **k: ours.rescale(image, 1 / 255, **k),
        lambda image, **k: ours.normalize(image, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), **k),
        lambda image, **k: ours.center_crop(image, (4, 12), **k),
        lambda image, **k: ours.pad(image, ((1, 2), (0, 3)), constant_values=9, **k),
        lambda image, **k: ours.pad(image, 2, mode="reflect", **k),
        lambda image, **k: ours.flip_channel_order(image, **k),
    ],
)
def test_both_layouts_give_the_same(call: Any) -> None:
    expected = call(LAST)
    np.testing.assert_allclose(call(FIRST).transpose(1, 2, 0), expected, atol=1e-6)
    np.testing.assert_allclose(call(FIRST, data_format="channels_last"), expected, atol=1e-6)
    np.testing.assert_allclose(call(LAST, data_format="channels_first").transpose(1, 2, 0), expected, atol=1e-6)
    narrow = LAST[:, :3]  # the width is 3 too: only the caller can know
    np.testing.assert_allclose(
        call(narrow, input_data_format="channels_last"),
        call(narrow.transpose(2, 0, 1), input_data_format="channels_first").transpose(1, 2, 0),
        atol=1e-6,
    )


def test_crop_and_pad_by_hand() -> None:
    np.testing.assert_array_equal(ours.center_crop(LAST, (4, 5)), LAST[1:5, 2:7])
    wide = ours.center_crop(LAST, (4, 12))
    np.testing.assert_array_equal(wide[:, 2:11], LAST[1:5])
    assert not wide[:, :2].any() and not wide[:, 11:].any()
    np.testing.assert_array_equal(
        ours.pad(LAST, (1, 2), mode="replicate"), np.pad(LAST, ((1, 2), (1, 2), (0, 0)), "edge")
    )
    batch = np.stack([FIRST, FIRST])
    assert ours.pad(batch, 1).shape == (2, 3, 8, 11)
    with pytest.raises(ConfigError, match="expected a number"):
        ours.pad(LAST, (1, 2, 3))


def test_pictures_of_pillow_and_back() -> None:
    picture = Image.fromarray(LAST)
    for image in (picture, LAST, FIRST, LAST / 255, torch.tensor(FIRST.copy()), LAST.astype(np.float32)):
        np.testing.assert_allclose(np.asarray(ours.to_pil_image(image)).astype(int), LAST, atol=1)
    assert ours.to_pil_image(LAST[..., :1]).mode == "L"
    assert ours.to_pil_image(LAST, image_mode="HSV").mode == "HSV"
    mask = (LAST[..., :1] > 127).astype(np.float32)
    assert np.asarray(ours.to_pil_image(mask)).max() == 1  # whole numbers stay what they are
    assert ours.resize(picture, (3, 4)).shape == (3, 4, 3)
    assert isinstance(ours.resize(LAST, (3, 4), return_numpy=False), Image.Image)
    assert ours.convert_to_rgb(picture.convert("L")).mode == "RGB"
    with pytest.raises(InputError, match="between -300 and"):
        ours.to_pil_image(LAST.astype(np.float32) - 300)
    with pytest.raises(InputTypeError, match="str"):
        ours.to_pil_image("picture")


@pytest.mark.parametrize("library", [np.asarray, torch.tensor])
def test_boxes(library: Any) -> None:
    boxes = library([[[5.0, 6.0, 4.0, 2.0]]])
    corners = ours.center_to_corners_format(boxes)
    assert corners.tolist() == [[[3.0, 5.0, 7.0, 7.0]]]
    assert type(corners) is type(boxes)
    assert ours.corners_to_center_format(corners).tolist() == boxes.tolist()
    with pytest.raises(InputError, match="4 numbers"):
        ours.center_to_corners_format(library([1.0, 2.0]))
    with pytest.raises(InputTypeError, match="list"):
        ours.center_to_corners_format([1.0, 2.0, 3.0, 4.0])


def test_segment_numbers() -> None:
    numbers = np.array([[0, 255, 256], [65536, 70000, 16777215]])
    colors = ours.id_to_rgb(numbers)
    assert colors.dtype == np.uint8 and colors[1, 2].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(ours.rgb_to_id(colors), numbers)
    assert ours.id_to_rgb(70000) == colors[1, 1].tolist()
    assert ours.rgb_to_id(ours.id_to_rgb(70000)) == 70000


def test_sizes() -> None:
    assert ours.get_resize_output_image_size(LAST, 4, default_to_square=False) == (4, 6)
    assert ours.get_resize_output_image_size(LAST, 4, default_to_square=False, max_size=5) == (3, 5)
    assert ours.get_resize_output_image_size(LAST, [4, 7]) == (4, 7)
    assert ours.get_size_with_aspect_ratio((480, 640), 800, 1333) == (800, 1066)
    assert ours.get_size_with_aspect_ratio((480, 1000), 800, 1333) == (640, 1333)
    assert image_utils.get_image_size_for_max_height_width((100, 200), 50, 60) == (30, 60)
    with pytest.raises(ConfigError, match="max_size is 4"):
        ours.get_resize_output_image_size(LAST, 4, default_to_square=False, max_size=4)


def test_lists_of_pictures() -> None:
    assert len(image_utils.make_list_of_images(np.stack([FIRST] * 4))) == 4
    assert len(image_utils.make_flat_list_of_images([[LAST, LAST], [LAST]])) == 3
    assert [len(row) for row in image_utils.make_nested_list_of_images([[LAST, LAST], [LAST]])] == [2, 1]
    assert image_utils.valid_images([LAST, [Image.fromarray(LAST)]]) and not image_utils.valid_images(["a"])


@pytest.mark.parametrize("seed", range(20))
def test_equal_to_the_reference(seed: int) -> None:
    theirs = pytest.importorskip("transformers.image_transforms")
    draw = np.random.default_rng(seed)
    height, width, target, limit = (int(n) for n in draw.integers(4, 40, 4))
    image = draw.integers(0, 256, (3, height, width), dtype=np.uint8)
    size = (target, limit)
    np.testing.assert_array_equal(ours.center_crop(image, size), theirs.center_crop(image, size))
    np.testing.assert_array_equal(ours.resize(image, size, 3), theirs.resize(image, size, 3))
    unit = (image / 255).astype(np.float32)
    np.testing.assert_allclose(ours.resize(unit, size, 2), theirs.resize(unit, size, 2), atol=1e-6)
    arguments = ((height, width), target, target + limit)
    assert ours.get_size_with_aspect_ratio(*arguments) == theirs.get_size_with_aspect_ratio(*arguments)
    options: Any = {"default_to_square": False, "max_size": target + limit, "input_data_format": "channels_first"}
    expected = theirs.get_resize_output_image_size(image, target, **options)
    assert ours.get_resize_output_image_size(image, target, **options) == expected
