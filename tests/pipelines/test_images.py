"""The same generic behaviour where inputs are pictures: any kind of source, batches, a bounded look-ahead."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.unit.serving.samples import picture, save_tiny_vit

from rayformers import pipeline
from rayformers.errors import InputError
from rayformers.pipelines.pt_utils import KeyDataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_vit(tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="module")
def classify(folder: Path) -> Any:
    return pipeline(model=str(folder))


def pictures(count: int) -> list[Image.Image]:
    return [Image.open(io.BytesIO(picture(number, width=9 + number, height=30 - number))) for number in range(count)]


def flat(answers: Any) -> list[float]:
    return [entry["score"] for answer in answers for entry in sorted(answer, key=lambda entry: str(entry["label"]))]


def test_batches_answer_as_one_by_one(classify: Any) -> None:
    images = pictures(11)
    alone = [classify(image, top_k=10) for image in images]
    assert len(alone[0]) == 10
    for batch_size in (2, 4, 32):
        assert flat(classify(images, top_k=10, batch_size=batch_size)) == pytest.approx(flat(alone), abs=1e-4)
    rows = KeyDataset([{"image": image} for image in images], "image")
    assert flat(classify(rows, top_k=10, batch_size=4)) == pytest.approx(flat(alone), abs=1e-4)


def test_a_path_base64_and_a_picture_are_the_same_input(classify: Any, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(picture(3))
    inputs = [
        Image.open(tmp_path / "picture.png"), str(tmp_path / "picture.png"),
        base64.b64encode(picture(3)).decode(),
    ]  # fmt: skip
    answers = [classify(one) for one in inputs]
    assert answers[0] == answers[1] == answers[2]
    assert flat(classify(inputs, batch_size=3)) == pytest.approx(flat(answers), abs=1e-4)


def test_pictures_are_not_read_far_ahead(classify: Any) -> None:
    read = 0

    def endless() -> Iterator[Image.Image]:
        nonlocal read
        while True:
            read += 1
            yield pictures(1)[0]

    answers = classify(endless(), batch_size=4)
    for _ in range(6):
        next(answers)
    answers.close()
    assert read <= 6 + 3 * 4 * classify.look_ahead_batches
    assert classify.look_ahead_batches < 4, "all pictures cost the same: nothing is gained by sorting many"


def test_a_broken_picture_among_others_is_named(classify: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(picture(3)[:60])
    with pytest.raises(InputError, match=r"broken\.png"):
        classify([pictures(1)[0], str(tmp_path / "broken.png")], batch_size=2)
