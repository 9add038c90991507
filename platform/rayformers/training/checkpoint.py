"""Checkpoints: the model in the Hub's layout, the engine's state, and our own manifest, whole or not at all.

checkpoint-120/
    checkpoint.json          position, seeds, data, run, and every file's size and hash; written last
    config.json model.safetensors preprocessor_config.json
    engine/                  what the engine needs to go on
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import CheckpointError, NotFoundError

MANIFEST = "checkpoint.json"
PREFIX = "checkpoint-"
ENGINE = "engine"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class FileEntry(Config):
    """A file of a checkpoint."""

    bytes: int
    blake2b: str


@dataclass(frozen=True, kw_only=True)
class CheckpointState(Config):
    """Where a run was when it saved. All that a restart needs beside the engine's files."""

    step: int
    """Optimizer steps done."""
    epoch: float
    samples_seen: int
    seed: int
    order_seed: int
    global_batch: int
    total_steps: int
    data_hash: str
    """Content hash of the training shards; "" for rows in memory."""
    world: int
    zero_stage: int | None
    attempt: str
    """Token of the `train()` call that wrote it; a killed worker goes on only from its own run's checkpoints."""
    run_id: str | None = None
    """Of the experiment tracker."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The newest evaluation."""
    best: dict[str, Any] = field(default_factory=dict)
    """{"step": ..., "value": ...} of the best evaluation so far."""
    files: dict[str, FileEntry] = field(default_factory=dict)
    version: int = VERSION


def folder_of(output: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return output / f"{PREFIX}{step}"


def partial_of(output: Path, step: int) -> Path:
    """Where a checkpoint lies while it is being written."""
    return output / f".{PREFIX}{step}.partial"


def begin(output: Path, step: int) -> Path:
    """An empty folder to write a checkpoint into; nobody takes it for whole."""
    partial = partial_of(output, step)
    shutil.rmtree(partial, ignore_errors=True)
    (partial / ENGINE).mkdir(parents=True)
    return partial


def commit(output: Path, state: CheckpointState) -> Path:
    """Describe the written files and give the folder its name."""
    partial, final = partial_of(output, state.step), folder_of(output, state.step)
    files = {
        str(file.relative_to(partial)): FileEntry(bytes=file.stat().st_size, blake2b=_hash(file))
        for file in sorted(partial.rglob("*"))
        if file.is_file()
    }
    described = replace(state, files=files)
    (partial / MANIFEST).write_text(json.dumps(described.to_dict(), indent=2), encoding="utf-8")
    if final.exists():
        old = output / f".{final.name}.old"
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
        partial.rename(final)
        shutil.rmtree(old)
    else:
        partial.rename(final)
    return final


def read(folder: Path, *, verify: bool = True) -> CheckpointState:
    """A checkpoint's state, after its files were compared with its manifest.

    Raises:
        NotFoundError: no such folder.
        CheckpointError: it is half written, of another version, or a file is missing, truncated or changed.
    """
    if not folder.is_dir():
        raise NotFoundError(f"No checkpoint folder {folder}.")
    file = folder / MANIFEST
    if not file.is_file():
        raise CheckpointError(f"{folder} has no {MANIFEST}: it was not written to its end. Use an earlier checkpoint.")
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file} is not valid JSON ({error}). Use an earlier checkpoint.") from error
    if not isinstance(values, dict) or values.get("version") != VERSION:
        raise CheckpointError(f"{file} is not of version {VERSION}; it was written by another version of rayformers.")
    try:
        state = CheckpointState.from_dict(values)
    except ValueError as error:
        raise CheckpointError(f"{file} cannot be used: {error}") from error
    for name, entry in state.files.items() if verify else ():
        _verify(folder / name, entry)
    return state


def _verify(file: Path, entry: FileEntry) -> None:
    if not file.is_file():
        raise CheckpointError(f"{file} is missing from its checkpoint. Use an earlier checkpoint.")
    if (size := file.stat().st_size) != entry.bytes:
        raise CheckpointError(f"{file} has {size} bytes, its manifest says {entry.bytes}. Use an earlier checkpoint.")
    if _hash(file) != entry.blake2b:
        raise CheckpointError(f"{file} differs from its manifest: it is corrupt. Use an earlier checkpoint.")


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def checkpoints(output: Path) -> list[Path]:
    """Checkpoint folders below `output` that have a name, oldest step first."""
    found = [path for path in output.glob(f"{PREFIX}*") if path.is_dir() and path.name[len(PREFIX) :].isdigit()]
    return sorted(found, key=lambda path: int(path.name[len(PREFIX) :]))


def newest(output: Path, *, attempt: str | None = None) -> tuple[Path, CheckpointState, list[str]] | None:
    """The newest whole checkpoint (of one attempt), and what was wrong with those that were passed over."""
    problems: list[str] = []
    for folder in reversed(checkpoints(output)):
        try:
            state = read(folder)
        except CheckpointError as error:
            problems.append(str(error))
            continue
        if attempt is None or state.attempt == attempt:
            return folder, state, problems
    return None


def rotate(output: Path, *, keep: int | None, best_step: int | None) -> None:
    """Delete the oldest checkpoints beyond `keep`, never the newest nor the best."""
    if keep is None:
        return
    folders = checkpoints(output)
    spared = {folders[-1]} if folders else set()
    if best_step is not None:
        spared.add(folder_of(output, best_step))
    surplus = len(folders) - max(keep, len(spared & set(folders)))
    for folder in [folder for folder in folders if folder not in spared][: max(0, surplus)]:
        (folder / MANIFEST).unlink(missing_ok=True)  # first, so that a half-deleted folder is recognised
        shutil.rmtree(folder)
