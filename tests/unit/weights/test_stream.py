"""Checkpoint files: written whole or not at all, read strictly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from rayformers.errors import CheckpointError, ConfigError, NotFoundError
from rayformers.weights import stream

TENSORS = {f"t{n}": torch.randn(50, 10) for n in range(6)}


def assert_same(folder: Path) -> None:
    read = dict(stream.read(folder))
    assert read.keys() == TENSORS.keys()
    assert all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)


def test_one_file(tmp_path: Path) -> None:
    assert [file.name for file in stream.write(tmp_path, TENSORS)] == ["model.safetensors"]
    assert_same(tmp_path)


def test_shards_carry_an_index_and_leave_no_parts(tmp_path: Path) -> None:
    files = stream.write(tmp_path, TENSORS, max_shard_size=4500)
    assert len(files) == 3
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in TENSORS.values())
    assert set(index["weight_map"]) == set(TENSORS)
    assert not list(tmp_path.glob(".*"))
    assert_same(tmp_path)


def test_a_smaller_save_removes_the_shards_of_a_larger_one(tmp_path: Path) -> None:
    stream.write(tmp_path, TENSORS, max_shard_size="4.5KB")
    stream.write(tmp_path, TENSORS)
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
    assert_same(tmp_path)


def test_old_files_are_read_without_unpickling_code(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "pytorch_model.bin")
    assert_same(tmp_path)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("run",))


def test_a_pickle_with_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"t": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="read safely"):
        dict(stream.read(tmp_path))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kept_share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_named(tmp_path: Path, kept_share: float) -> None:
    (file,) = stream.write(tmp_path, TENSORS)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept_share)])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is corrupt or truncated"):
        dict(stream.read(tmp_path))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    files = stream.write(tmp_path, TENSORS, max_shard_size=4500)
    files[1].unlink()
    with pytest.raises(CheckpointError, match="1 files that are missing: model-00002-of-00003"):
        dict(stream.read(tmp_path))


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none of model\.safetensors"):
        list(stream.read(tmp_path))


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("5GB", 5 * 10**9), ("200MiB", 200 * 2**20), ("1.5 kb", 1500), (7, 7)]
)
def test_sizes(text: str | int, size_bytes: int) -> None:
    assert stream.parse_size(text) == size_bytes


def test_a_wrong_size_is_an_error() -> None:
    with pytest.raises(ConfigError, match="'5 apples'"):
        stream.parse_size("5 apples")
