"""Sources by scheme, and what a wrong one says."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rayformers.data.sources import open_source, split
from rayformers.errors import ConfigError, InputError, NotFoundError


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    for label, colour in (("rose", "red"), ("daisy", "white")):
        (tmp_path / label).mkdir()
        for number in range(3):
            Image.new("RGB", (4, 4), colour).save(tmp_path / label / f"{number}.png")
    return tmp_path


def test_digits_are_the_real_ones() -> None:
    source = open_source("sklearn://digits")
    columns = pickle.loads(pickle.dumps(source)).read(np.array([0, 9]))
    assert len(source) == 1797
    assert source.labels == [str(digit) for digit in range(10)]
    assert columns["label"] == [0, 9]
    assert columns["image"][0].size == (8, 8)
    assert np.asarray(columns["image"][0]).max() > 200


def test_a_folder_of_images(flowers: Path) -> None:
    source = open_source(f"imagefolder://{flowers}")
    assert source.labels == ["daisy", "rose"]
    columns = source.read(np.array([0, 5]))
    assert columns["label"] == [0, 1]
    assert columns["image"][1].getpixel((0, 0)) == (255, 0, 0)


def test_a_broken_image_is_named(flowers: Path) -> None:
    (flowers / "rose" / "1.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"rose/1\.png"):
        open_source(f"imagefolder://{flowers}").read(np.arange(6))


@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
def test_tables(tmp_path: Path, kind: str) -> None:
    rows = [{"text": f"row {number}", "label": ["bad", "good"][number % 2]} for number in range(5)]
    file = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif kind == "csv":
        file.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows))
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = open_source(f"{kind}://{file}")
    assert len(source) == 5
    assert source.labels == ["bad", "good"]
    assert source.read(np.array([3, 0])) == {"text": ["row 3", "row 0"], "label": [1, 0]}


def test_rows_in_memory() -> None:
    source = open_source([{"label": 1}, {"label": 0}])
    assert source.read(np.array([1]))["label"] == [0]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("digits", ConfigError, "does not begin with a known scheme"),
        ("sklern://digits", ConfigError, "'sklearn'"),
        ("sklearn://digit", NotFoundError, "'digits'"),
        ("imagefolder:///nowhere", NotFoundError, "no such folder"),
        ("parquet:///nowhere/*.parquet", NotFoundError, "no parquet file"),
    ],
)
def test_wrong_sources(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        open_source(name)


@pytest.mark.parametrize("share", [-0.1, 1.0, 0.001])
def test_wrong_shares(share: float) -> None:
    with pytest.raises(ConfigError, match="share between 0 and 1"):
        split(10, share, 42)
