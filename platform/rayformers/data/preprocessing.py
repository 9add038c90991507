"""Raw rows to model inputs, once, on the cluster: a Ray Data task for each shard."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import InputError, RayformersError
from ..registry import Registry
from .ordering import Rows
from .quiet import quiet
from .shards import Column, Manifest, Shard, ShardedDataset, content_hash, is_current, write_manifest, write_shard
from .sources import Source, digest

SHARD_ROWS = 1024
VERSION = 1
"""Raise when the same settings give other rows than before."""


class Preprocessor(Protocol):
    """Raw columns to model inputs. Pickles: every data task gets one."""

    def __call__(self, columns: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Columns of numbers, one value a row."""

    def describe(self) -> dict[str, Any]:
        """Settings as plain values; equal ones must give equal rows."""


PREPROCESSORS: Registry[Callable[[Any], Preprocessor]] = Registry("task with preprocessing")
"""By task: a function from the model's processor (image processor, tokenizer, ...) to its Preprocessor."""
PREPROCESSORS.add("image-classification", target="rayformers.data.preprocessing:ImageClassification")
PREPROCESSORS.add("text-classification", target="rayformers.data.text:TextClassification")


@dataclass(frozen=True)
class ImageClassification:
    """Images through the image processor to `pixel_values`, class numbers to `labels`."""

    processor: Any

    def __call__(self, columns: Mapping[str, list[Any]]) -> dict[str, Any]:
        """{"pixel_values": float32 [rows, channels, height, width], "labels": int64 [rows]}"""
        for name in ("image", "label"):
            if name not in columns:
                raise InputError(f"image-classification needs a column {name!r}; the source has {sorted(columns)}.")
        pixels = self.processor(columns["image"], return_tensors="np")["pixel_values"]
        return {"pixel_values": np.asarray(pixels, np.float32), "labels": np.asarray(columns["label"], np.int64)}

    def describe(self) -> dict[str, Any]:
        """The image processor's settings."""
        return {"task": "image-classification", "processor": self.processor.to_dict()}


@dataclass(frozen=True, kw_only=True)
class ShardTask:
    """The work of one data task: read, preprocess and write the rows of one shard."""

    source: Source
    preprocessor: Preprocessor
    folder: Path

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Ray Data's signature: a batch of one (shard index, its row numbers) to that shard's description."""
        index, rows = int(batch["index"][0]), np.asarray(batch["rows"][0], np.int64)
        shard, columns = write_shard(self.folder, index, self.preprocessor(self.source.read(rows)))
        return {
            "index": [index],
            "name": [shard.name],
            "count": [shard.rows],
            "sha256": [shard.sha256],
            "columns": [json.dumps([column.to_dict() for column in columns])],
        }


def preprocess(
    source: Source,
    rows: Rows,
    preprocessor: Preprocessor,
    folder: Path,
    *,
    distributed: bool,
    shard_rows: int = SHARD_ROWS,
) -> ShardedDataset:
    """Shards of the given rows of a source; made again only when source or settings changed.

    Args:
        folder: where the shards go; reused when its manifest has the same fingerprint.
        distributed: True runs a Ray Data task for each shard, False makes the same shards in this process.

    Raises:
        InputError: a row cannot be read or preprocessed.
    """
    about = {"source": source.name, "preprocessing": preprocessor.describe(), "shard_rows": shard_rows}
    fingerprint = digest(VERSION, source.fingerprint(), about, digest(rows.tolist()))
    if is_current(folder, fingerprint):
        return ShardedDataset(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    task = ShardTask(source=source, preprocessor=preprocessor, folder=folder)
    work = [
        {"index": index, "rows": rows[start : start + shard_rows]}
        for index, start in enumerate(range(0, len(rows), shard_rows))
    ]
    done = sorted(_distributed(work, task) if distributed else _local(work, task), key=lambda row: int(row["index"]))
    columns = [[Column.from_dict(column) for column in json.loads(str(row["columns"]))] for row in done]
    for index, found in enumerate(columns):
        if found != columns[0]:
            raise InputError(f"Shard {index} of {source.name} has columns {found}; the first has {columns[0]}.")
    shards = [Shard(name=row["name"], rows=int(row["count"]), sha256=row["sha256"]) for row in done]
    write_manifest(
        folder,
        Manifest(
            fingerprint=fingerprint, columns=columns[0], shards=shards, content_hash=content_hash(shards), about=about
        ),
    )
    return ShardedDataset(folder)


def _local(work: list[dict[str, Any]], task: ShardTask) -> list[dict[str, Any]]:
    results = (task({name: [value] for name, value in item.items()}) for item in work)
    return [{name: values[0] for name, values in result.items()} for result in results]


def _distributed(work: list[dict[str, Any]], task: ShardTask) -> list[dict[str, Any]]:
    import ray.data
    from ray.exceptions import RayTaskError

    context = ray.data.DataContext.get_current()
    quiet(context)
    try:
        return list(
            ray.data.from_items(work, override_num_blocks=len(work))
            .map_batches(task, batch_size=1, batch_format="numpy", num_cpus=0.5)
            .take_all()
        )
    except RayTaskError as error:
        cause = root_cause(error)
        if isinstance(cause, RayformersError):
            raise cause from None
        raise


def root_cause(error: BaseException) -> BaseException:
    """The first error of a chain that Ray wrapped, ours where there is one."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, RayformersError):
            return seen
        inner = getattr(seen, "cause", None)
        following = inner if isinstance(inner, BaseException) and inner is not seen else seen.__cause__
        if following is None:
            return seen
        seen = following
    return error
