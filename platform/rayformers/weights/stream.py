"""Reading and writing checkpoints tensor by tensor: safetensors, sharded or not, and old pickled files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import CheckpointError, ConfigError, NotFoundError

SAFE_NAME = "model.safetensors"
SAFE_INDEX = "model.safetensors.index.json"
OLD_NAME = "pytorch_model.bin"
OLD_INDEX = "pytorch_model.bin.index.json"
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def find_files(folder: Path, variant: str | None = None) -> list[Path]:
    """The weight files of a checkpoint folder, in order.

    Raises:
        NotFoundError: there are none.
        CheckpointError: an index names files that are not there.
    """
    for single, index in ((SAFE_NAME, SAFE_INDEX), (OLD_NAME, OLD_INDEX)):
        if variant:
            single, index = (re.sub(r"(\.safetensors|\.bin)", rf".{variant}\1", name) for name in (single, index))
        if (folder / single).is_file():
            return [folder / single]
        if (folder / index).is_file():
            return _indexed_files(folder / index)
    raise NotFoundError(
        f"No weights in {folder}: none of {SAFE_NAME}, {SAFE_INDEX}, {OLD_NAME}, {OLD_INDEX} exists. "
        "Give the folder of a saved model."
    )


def _indexed_files(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (json.JSONDecodeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{index} is not a valid shard index: {error!r}.") from error
    if missing := [name for name in names if not (index.parent / name).is_file()]:
        raise CheckpointError(
            f"{index} names {len(missing)} files that are missing: {', '.join(missing[:5])}. Download them again."
        )
    return [index.parent / name for name in names]


def read(folder: Path, variant: str | None = None) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a checkpoint folder, one at a time, under its name on disk.

    Raises:
        NotFoundError, CheckpointError: no, missing, corrupt or truncated files.
    """
    for file in find_files(folder, variant):
        yield from _read_safe(file) if file.suffix == ".safetensors" else _read_old(file)


def _read_safe(file: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - safe_open is not a mapping
                yield name, tensors.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file} is corrupt or truncated ({file.stat().st_size} bytes): {error}. Copy or download it again."
        ) from error


def _read_old(file: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # files older than torch 1.6 cannot be memory-mapped
        tensors = _load_unmapped(file)
    except Exception as error:
        raise CheckpointError(f"{file} cannot be read safely (weights_only): {error}") from error
    if not isinstance(tensors, Mapping):
        raise CheckpointError(f"{file} holds a {type(tensors).__name__}; expected a mapping of names to tensors.")
    yield from ((name, tensor) for name, tensor in tensors.items() if isinstance(tensor, Tensor))


def _load_unmapped(file: Path) -> object:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{file} is corrupt, or cannot be read safely (weights_only): {error}") from error


def parse_size(size: int | str) -> int:
    """Bytes from a number or a text such as "5GB" or "200MiB".

    Raises:
        ConfigError: not a size.
    """
    if isinstance(size, int):
        return size
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B)\s*", size, re.IGNORECASE)
    if not found:
        raise ConfigError(f"max_shard_size is {size!r}; expected bytes or a text such as '5GB' or '200MiB'.")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def write(folder: Path, tensors: Mapping[str, Tensor], max_shard_size: int | str = "5GB") -> list[Path]:
    """Write tensors as model.safetensors, or as shards with an index where they exceed `max_shard_size`.

    Every file is written under a temporary name and renamed when whole; weight files of an earlier save that are no
    longer part of the checkpoint are removed at the end.
    """
    limit_bytes = parse_size(max_shard_size)
    shards = _shards(tensors, limit_bytes)
    written: dict[str, dict[str, Tensor]] = (
        {SAFE_NAME: shards[0]}
        if len(shards) == 1
        else {f"model-{number:05d}-of-{len(shards):05d}.safetensors": shard for number, shard in enumerate(shards, 1)}
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, shard in written.items():
        part = folder / f".{name}.part"
        save_file({key: tensor.contiguous() for key, tensor in shard.items()}, part, metadata={"format": "pt"})
        part.replace(folder / name)
    if len(shards) > 1:
        total_bytes = sum(tensor.nbytes for tensor in tensors.values())
        weight_map = {key: name for name, shard in written.items() for key in shard}
        write_json(folder / SAFE_INDEX, {"metadata": {"total_size": total_bytes}, "weight_map": weight_map})
    _remove_stale(folder, {*written, SAFE_INDEX} if len(shards) > 1 else set(written))
    return [folder / name for name in written]


def _shards(tensors: Mapping[str, Tensor], limit_bytes: int) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    filled_bytes = 0
    for name, tensor in tensors.items():
        if shards[-1] and filled_bytes + tensor.nbytes > limit_bytes:
            shards.append({})
            filled_bytes = 0
        shards[-1][name] = tensor
        filled_bytes += tensor.nbytes
    return shards


def _remove_stale(folder: Path, keep: set[str]) -> None:
    stale = re.compile(r"(model|pytorch_model)(-\d{5}-of-\d{5})?\.(safetensors|bin)(\.index\.json)?")
    for file in folder.iterdir():
        if stale.fullmatch(file.name) and file.name not in keep:
            file.unlink()


def write_json(file: Path, content: Mapping[str, object]) -> None:
    """Write JSON under a temporary name, then rename."""
    part = file.with_name(f".{file.name}.part")
    part.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(file)
