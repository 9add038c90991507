"""Preprocessed rows on disk: parquet shards of one fixed schema and the manifest that describes them.

A folder is whole when it has a manifest, which is written last; shards are written under another name and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..config import Config
from ..errors import CheckpointError, InputError, NotFoundError
from .ordering import Rows

MANIFEST = "manifest.json"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Column(Config):
    """A column: its numpy dtype and the shape of one row's value; None stands for a list of any length."""

    name: str
    dtype: str
    shape: list[int] | None = None


class Ragged(list[Any]):
    """Lists of numbers of any length, one a row: the column's shape is open even where all lengths agree."""


@dataclass(frozen=True, kw_only=True)
class Shard(Config):
    """One parquet file: its name, rows and the SHA-256 of its bytes."""

    name: str
    rows: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest(Config):
    """What a folder of shards holds."""

    fingerprint: str
    """Hash of the source and of the preprocessing; shards with an equal one need not be made again."""
    columns: list[Column]
    shards: list[Shard]
    content_hash: str
    """Hash of all shards in order: two equal ones mean equal rows."""
    about: dict[str, Any]
    """The source and preprocessing in words, for a reader."""
    version: int = VERSION

    @property
    def num_rows(self) -> int:
        """Rows in all shards."""
        return sum(shard.rows for shard in self.shards)


@dataclass(frozen=True)
class ShardedDataset:
    """Rows in parquet shards below `folder`, addressed by their number in stored order."""

    folder: Path

    @cached_property
    def manifest(self) -> Manifest:
        """The folder's manifest.

        Raises:
            NotFoundError: there is none.
            CheckpointError: it cannot be read.
        """
        file = self.folder / MANIFEST
        if not file.is_file():
            raise NotFoundError(
                f"{self.folder} has no {MANIFEST}: it is no whole dataset. Run the preprocessing again."
            )
        try:
            return Manifest.from_dict(json.loads(file.read_text(encoding="utf-8")))
        except ValueError as error:
            raise CheckpointError(f"{file} is not a manifest of version {VERSION}: {error}") from error

    def __len__(self) -> int:
        return self.manifest.num_rows

    def __getitem__(self, row: int) -> dict[str, Any]:
        return table_rows(self.read(np.asarray([row])), self.manifest.columns)[0]

    @property
    def shard_rows(self) -> tuple[int, ...]:
        """Rows of each shard."""
        return tuple(shard.rows for shard in self.manifest.shards)

    def read(self, rows: Rows) -> pa.Table:
        """The given rows, in the given order. Opens each shard that they are in once."""
        offsets = np.concatenate([[0], np.cumsum(self.shard_rows)])
        owners = np.searchsorted(offsets, rows, side="right") - 1
        parts, places = [], []
        for owner in np.unique(owners).tolist():
            (wanted,) = np.nonzero(owners == owner)
            table = self._shard(self.manifest.shards[owner])
            parts.append(table.take(pa.array(rows[wanted] - offsets[owner])))
            places.append(wanted)
        if not parts:
            raise InputError(f"No rows were asked of {self.folder}.")
        back = np.argsort(np.concatenate(places), kind="stable")
        return pa.concat_tables(parts).take(pa.array(back))

    def _shard(self, shard: Shard) -> pa.Table:
        try:
            table = pq.read_table(self.folder / shard.name, memory_map=True)
        except (OSError, pa.ArrowInvalid) as error:
            raise CheckpointError(f"Shard {self.folder / shard.name} cannot be read: {error}") from error
        if table.num_rows != shard.rows:
            raise CheckpointError(
                f"Shard {self.folder / shard.name} has {table.num_rows} rows, its manifest says {shard.rows}."
            )
        return table

    def verify(self) -> None:
        """Compare every shard's bytes with the manifest.

        Raises:
            CheckpointError: a shard is missing or differs.
        """
        for shard in self.manifest.shards:
            file = self.folder / shard.name
            if not file.is_file() or file_hash(file) != shard.sha256:
                raise CheckpointError(f"{file} is missing or differs from its manifest. Delete {self.folder}.")


def is_current(folder: Path, fingerprint: str) -> bool:
    """True when `folder` holds whole, unchanged shards of this fingerprint."""
    try:
        dataset = ShardedDataset(folder)
        dataset.verify()
    except (NotFoundError, CheckpointError):
        return False
    return dataset.manifest.fingerprint == fingerprint


def write_shard(folder: Path, index: int, columns: Mapping[str, Any]) -> tuple[Shard, list[Column]]:
    """Write one shard of columns (arrays with one value a row, or lists of such) whole or not at all."""
    table, schema = to_table(columns)
    file = folder / f"shard-{index:05d}.parquet"
    temporary = folder / f".{file.name}.{os.getpid()}.partial"
    pq.write_table(table, temporary, compression="zstd", store_schema=True)
    digest = file_hash(temporary)
    temporary.replace(file)
    return Shard(name=file.name, rows=table.num_rows, sha256=digest), schema


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest that makes the folder whole."""
    temporary = folder / f".{MANIFEST}.{os.getpid()}.partial"
    temporary.write_text(json.dumps(manifest.to_dict(), indent=2, sort_keys=True), encoding="utf-8")
    temporary.replace(folder / MANIFEST)


def content_hash(shards: Iterable[Shard]) -> str:
    """One hash for the bytes of all shards in order."""
    return hashlib.sha256("".join(shard.sha256 for shard in shards).encode()).hexdigest()


def file_hash(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_rows(folder: Path, rows: Sequence[Mapping[str, Any]], *, shard_rows: int = 4096) -> ShardedDataset:
    """Shards from rows in memory (any object with a length and `[index]`, such as a `datasets.Dataset`)."""
    folder.mkdir(parents=True, exist_ok=True)
    shards, schema = [], None
    for index, start in enumerate(range(0, len(rows), shard_rows)):
        chunk = [rows[row] for row in range(start, min(start + shard_rows, len(rows)))]
        shard, found = write_shard(folder, index, {name: [row[name] for row in chunk] for name in chunk[0]})
        if schema is not None and found != schema:
            raise InputError(f"Rows from {start} on have columns {found}; earlier rows have {schema}.")
        shards.append(shard)
        schema = found
    digest = content_hash(shards)
    write_manifest(
        folder,
        Manifest(
            fingerprint=digest, columns=schema or [], shards=shards, content_hash=digest, about={"source": "rows"}
        ),
    )
    return ShardedDataset(folder)


def to_table(columns: Mapping[str, Any]) -> tuple[pa.Table, list[Column]]:
    """An arrow table and its columns; values may be numbers, arrays, tensors or lists of numbers of any length."""
    arrays, schema = {}, []
    for name, values in columns.items():
        arrays[name], column = _to_arrow(name, values)
        schema.append(column)
    return pa.table(arrays), schema


def _to_arrow(name: str, values: Any) -> tuple[pa.Array, Column]:
    rows = [np.asarray(value) for value in values]
    shapes = {row.shape for row in rows}
    kinds = {row.dtype for row in rows}
    if any(kind.kind not in "biuf" for kind in kinds):
        raise InputError(
            f"Column {name!r} holds {sorted(str(kind) for kind in kinds)}; training needs numbers. "
            "Preprocess it, or leave the column out."
        )
    dtype = np.result_type(*kinds)
    if len(shapes) == 1 and not isinstance(values, Ragged):
        stacked = np.stack(rows).astype(dtype, copy=False)
        shape = list(stacked.shape[1:])
        flat = pa.array(np.ascontiguousarray(stacked).reshape(-1))
        array = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(shape))) if shape else flat
        return array, Column(name=name, dtype=str(dtype), shape=shape)
    if any(row.ndim != 1 for row in rows):
        raise InputError(f"Column {name!r} has rows of shapes {sorted(shapes)[:5]}; only lists may differ in length.")
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, np.concatenate(rows).astype(dtype)), Column(name=name, dtype=str(dtype))


def table_columns(table: pa.Table, columns: Sequence[Column]) -> dict[str, Any]:
    """Columns as arrays [rows, ...], or as lists of arrays where the lengths differ."""
    return {column.name: _to_numpy(table.column(column.name), column) for column in columns}


def table_rows(table: pa.Table, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Rows as mappings from column names to values."""
    arrays = table_columns(table, columns)
    return [{name: values[row] for name, values in arrays.items()} for row in range(table.num_rows)]


def _to_numpy(chunked: pa.ChunkedArray, column: Column) -> Any:
    array = chunked.combine_chunks() if chunked.num_chunks != 1 else chunked.chunk(0)
    if column.shape is None:
        lengths = array.value_lengths().to_numpy(zero_copy_only=False)
        flat = array.flatten().to_numpy(zero_copy_only=False).astype(column.dtype, copy=False)
        return np.split(flat, np.cumsum(lengths)[:-1])
    flatten = cast("Callable[[], pa.Array]", array.flatten) if column.shape else (lambda: array)
    values = flatten().to_numpy(zero_copy_only=False)
    return values.astype(column.dtype, copy=False).reshape(len(array), *column.shape)
