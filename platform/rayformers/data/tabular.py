"""Sources of rows with named columns: parquet, csv and json files, and `datasets.Dataset` objects."""

from __future__ import annotations

import glob
import io
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, InputTypeError, NotFoundError
from .ordering import Rows
from .sources import digest, load_image


@dataclass
class TableFiles:
    """Files of one format, read with arrow. A column named "image" may hold paths or encoded bytes.

    The classes of a text column "label" are numbered in the order of their names.
    """

    name: str
    files: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.format, _, pattern = self.name.partition("://")
        place = Path(pattern)
        paths = sorted(place.glob(f"*.{self.format}*")) if place.is_dir() else map(Path, sorted(glob.glob(pattern)))  # noqa: PTH207
        self.files = [str(path) for path in paths]
        if not self.files:
            raise NotFoundError(f"Data source {self.name!r}: no {self.format} file at {pattern}.")

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_dataset"}

    @cached_property
    def _dataset(self) -> Any:
        import pyarrow as pa
        import pyarrow.dataset

        try:
            return pyarrow.dataset.dataset(self.files, format=self.format)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"Data source {self.name!r} is not readable as {self.format}: {error}") from error

    @cached_property
    def labels(self) -> list[str] | None:
        """Names of the classes, where a column "label" holds text or numbers."""
        if "label" not in self._dataset.schema.names:
            return None
        values = self._dataset.to_table(columns=["label"]).column(0).unique().to_pylist()
        if all(isinstance(value, int) for value in values):
            return [str(number) for number in range(max(values) + 1)]
        return sorted(str(value) for value in values)

    @cached_property
    def _length(self) -> int:
        return int(self._dataset.count_rows())

    def __len__(self) -> int:
        return self._length

    def read(self, rows: Rows) -> dict[str, list[Any]]:
        """The given rows of all columns; images are decoded and labels numbered."""
        columns: dict[str, list[Any]] = self._dataset.take(rows).to_pydict()
        if "image" in columns:
            columns["image"] = [_decode(value, Path(self.files[0]).parent) for value in columns["image"]]
        if self.labels is not None and not isinstance(columns["label"][0], int):
            numbers = {label: number for number, label in enumerate(self.labels)}
            columns["label"] = [numbers[str(value)] for value in columns["label"]]
        return columns

    def fingerprint(self) -> str:
        """Hash of names, sizes and times of change."""
        return digest([(file, Path(file).stat().st_size, Path(file).stat().st_mtime_ns) for file in self.files])


def _decode(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        from PIL import Image, UnidentifiedImageError

        try:
            image = Image.open(io.BytesIO(value))
            image.load()
        except (UnidentifiedImageError, OSError) as error:
            raise InputError(f"A row's image of {len(value)} bytes cannot be read: {error}") from error
        return image
    if isinstance(value, str):
        return load_image(folder / value)
    raise InputError(f"A row's image is {type(value).__name__}; expected a path or encoded bytes.")


@dataclass
class HubDataset:
    """A map-style `datasets.Dataset` (or anything with a length and rows that are mappings)."""

    dataset: Any
    name: str = "datasets"

    def __post_init__(self) -> None:
        if not (hasattr(self.dataset, "__len__") and hasattr(self.dataset, "__getitem__")):
            raise InputTypeError(
                f"A dataset of type {type(self.dataset).__name__} has no length or no rows by number. "
                "Give a datasets.Dataset, a list of mappings, or a source such as sklearn://digits."
            )

    @property
    def labels(self) -> list[str] | None:
        """Names of the classes, from the feature of "label" or "labels"."""
        features = getattr(self.dataset, "features", None) or {}
        feature = features.get("label", features.get("labels"))
        names = getattr(feature, "names", None)
        return None if names is None else list(names)

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, rows: Rows) -> dict[str, list[Any]]:
        """The given rows, as the dataset's own transform leaves them."""
        found = [self.dataset[int(row)] for row in np.asarray(rows)]
        return {name: [row[name] for row in found] for name in found[0]}

    def fingerprint(self) -> str:
        """The dataset's own fingerprint, else a hash of its rows."""
        own = getattr(self.dataset, "_fingerprint", None)
        return str(own) if own else digest([repr(self.dataset[row]) for row in range(len(self.dataset))])
