"""Shards and their manifest: whole or not at all, reused when equal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rayformers.data.ordering import Order
from rayformers.data.preprocessing import preprocess
from rayformers.data.shards import MANIFEST, ShardedDataset, is_current, write_rows
from rayformers.data.sources import open_source, split
from rayformers.data.stream import Plan, stream
from rayformers.errors import CheckpointError, InputError, NotFoundError


class Doubler:
    """A preprocessor that counts its calls."""

    def __init__(self, factor: int = 2) -> None:
        self.factor, self.calls = factor, 0

    def __call__(self, columns: Mapping[str, list[Any]]) -> dict[str, Any]:
        self.calls += 1
        pixels = [np.asarray(image, np.float32) * self.factor for image in columns["image"]]
        return {"pixels": np.stack(pixels), "labels": np.asarray(columns["label"])}

    def describe(self) -> dict[str, Any]:
        return {"factor": self.factor}


def digits(folder: Path, preprocessor: Doubler, *, rows: int = 50) -> ShardedDataset:
    source = open_source("sklearn://digits")
    return preprocess(source, np.arange(rows), preprocessor, folder, distributed=False, shard_rows=16)


def test_rows_come_back_in_the_asked_order(tmp_path: Path) -> None:
    dataset = digits(tmp_path / "data", Doubler())
    assert [shard.rows for shard in dataset.manifest.shards] == [16, 16, 16, 2]
    wanted = np.array([49, 3, 17, 3, 0])
    source = open_source("sklearn://digits").read(wanted)
    assert dataset.read(wanted).column("labels").to_pylist() == source["label"]
    np.testing.assert_array_equal(dataset[49]["pixels"], np.asarray(source["image"][0], np.float32) * 2)


def test_shards_are_reused_only_for_equal_settings(tmp_path: Path) -> None:
    first = digits(tmp_path / "data", Doubler())
    again = Doubler()
    assert digits(tmp_path / "data", again).manifest == first.manifest
    assert again.calls == 0
    other = Doubler(3)
    assert digits(tmp_path / "data", other).manifest.content_hash != first.manifest.content_hash
    assert other.calls == 4


def test_a_changed_shard_is_noticed_and_made_again(tmp_path: Path) -> None:
    dataset = digits(tmp_path / "data", Doubler())
    (tmp_path / "data" / "shard-00001.parquet").write_bytes(b"not parquet")
    with pytest.raises(CheckpointError, match="shard-00001"):
        dataset.verify()
    with pytest.raises(CheckpointError, match="cannot be read"):
        dataset.read(np.array([20]))
    assert not is_current(tmp_path / "data", dataset.manifest.fingerprint)
    again = Doubler()
    digits(tmp_path / "data", again).verify()
    assert again.calls == 4


def test_a_folder_without_manifest_is_not_whole(tmp_path: Path) -> None:
    dataset = digits(tmp_path / "data", Doubler())
    (tmp_path / "data" / MANIFEST).unlink()
    with pytest.raises(NotFoundError, match="no whole dataset"):
        _ = ShardedDataset(dataset.folder).manifest


def test_a_manifest_of_another_version_is_refused(tmp_path: Path) -> None:
    dataset = digits(tmp_path / "data", Doubler())
    file = tmp_path / "data" / MANIFEST
    values = json.loads(file.read_text())
    file.write_text(json.dumps({**values, "surprise": 1}))
    with pytest.raises(CheckpointError, match="surprise"):
        _ = ShardedDataset(dataset.folder).manifest


def test_nothing_temporary_stays(tmp_path: Path) -> None:
    digits(tmp_path / "data", Doubler())
    assert not [path for path in (tmp_path / "data").iterdir() if path.name.startswith(".")]


def test_lists_of_any_length_keep_their_values(tmp_path: Path) -> None:
    rows = [{"input_ids": list(range(length)), "labels": length} for length in (3, 1, 5)]
    dataset = write_rows(tmp_path / "rows", rows, shard_rows=3)
    assert [dataset[row]["input_ids"].tolist() for row in range(3)] == [[0, 1, 2], [0], [0, 1, 2, 3, 4]]


def test_text_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'text'"):
        write_rows(tmp_path / "rows", [{"text": "a"}])


@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_stream_delivers_the_planned_rows(tmp_path: Path, world: int) -> None:
    dataset = digits(tmp_path / "data", Doubler())
    order = Order(shard_rows=dataset.shard_rows, global_batch=8, seed=7)
    labels = open_source("sklearn://digits").read(np.arange(50))["label"]
    steps: dict[int, list[int]] = {}
    for rank in range(world):
        plan = Plan(order=order, world=world, rank=rank, micro=3)
        step = 3
        for piece in stream(dataset, plan, first_step=3, last_step=12, distributed=False):
            if piece.micro.weight:
                steps.setdefault(step, []).extend(piece.inputs["labels"].tolist())
            step += piece.last
    assert steps == {step: [labels[row] for row in order.batch(step)] for step in range(3, 12)}


def test_split_is_deterministic_and_disjoint() -> None:
    train, held_out = split(1797, 0.2, 42)
    assert (len(train), len(held_out)) == (1438, 359)
    assert not set(train) & set(held_out)
    assert np.array_equal(split(1797, 0.2, 42)[1], held_out)
    assert not np.array_equal(split(1797, 0.2, 43)[1], held_out)
