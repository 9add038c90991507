"""Checkpoints are whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rayformers.errors import CheckpointError, NotFoundError
from rayformers.training import checkpoint
from rayformers.training.checkpoint import CheckpointState


def state(step: int, attempt: str = "a") -> CheckpointState:
    return CheckpointState(
        step=step,
        epoch=step / 10,
        samples_seen=step * 8,
        seed=1,
        order_seed=2,
        global_batch=8,
        total_steps=100,
        data_hash="data",
        world=2,
        zero_stage=2,
        attempt=attempt,
        metrics={"eval_loss": 0.5},
    )


def save(output: Path, step: int, attempt: str = "a") -> Path:
    partial = checkpoint.begin(output, step)
    (partial / "model.safetensors").write_bytes(b"weights" * step)
    (partial / checkpoint.ENGINE / "state.pt").write_bytes(b"optimizer" * step)
    return checkpoint.commit(output, state(step, attempt))


def test_round_trip(tmp_path: Path) -> None:
    read = checkpoint.read(save(tmp_path, 3))
    assert set(read.files) == {"model.safetensors", "engine/state.pt"}
    assert (read.step, read.samples_seen, read.metrics) == (3, 24, {"eval_loss": 0.5})


def test_a_run_killed_while_saving_leaves_nothing_that_counts(tmp_path: Path) -> None:
    save(tmp_path, 3)
    partial = checkpoint.begin(tmp_path, 6)
    (partial / "model.safetensors").write_bytes(b"half")
    assert [folder.name for folder in checkpoint.checkpoints(tmp_path)] == ["checkpoint-3"]
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found[0].name == "checkpoint-3"


def truncate(folder: Path) -> None:
    file = folder / "engine" / "state.pt"
    file.write_bytes(file.read_bytes()[:-1])


def change(folder: Path) -> None:
    file = folder / "engine" / "state.pt"
    file.write_bytes(b"X" + file.read_bytes()[1:])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "has 53 bytes, its manifest says 54"),
        (change, "corrupt"),
        (lambda folder: (folder / "model.safetensors").unlink(), "is missing"),
        (lambda folder: (folder / "checkpoint.json").unlink(), "not written to its end"),
        (lambda folder: (folder / "checkpoint.json").write_text("{"), "not valid JSON"),
        (lambda folder: (folder / "checkpoint.json").write_text('{"version": 99}'), "another version"),
    ],
)
def test_damage_is_recognised_and_the_previous_one_is_used(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    save(tmp_path, 3)
    damage(save(tmp_path, 6))
    with pytest.raises(CheckpointError, match=message):
        checkpoint.read(tmp_path / "checkpoint-6")
    found = checkpoint.newest(tmp_path)
    assert found is not None
    folder, _, problems = found
    assert folder.name == "checkpoint-3"
    assert len(problems) == 1
    assert "Use an earlier checkpoint" in problems[0] or "another version" in problems[0]


def test_another_attempts_checkpoints_are_left_alone(tmp_path: Path) -> None:
    save(tmp_path, 3, "old")
    assert checkpoint.newest(tmp_path, attempt="new") is None


def test_saving_again_takes_the_place_of_the_old(tmp_path: Path) -> None:
    save(tmp_path, 3, "old")
    assert checkpoint.read(save(tmp_path, 3, "new")).attempt == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-3"]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="checkpoint-9"):
        checkpoint.read(tmp_path / "checkpoint-9")


def test_rotation_spares_the_newest_and_the_best(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        save(tmp_path, step)
        checkpoint.rotate(tmp_path, keep=2, best_step=1)
    assert [folder.name for folder in checkpoint.checkpoints(tmp_path)] == ["checkpoint-1", "checkpoint-10"]
