"""Where raw rows come from. A source is opened by the scheme of its name, and read by row number.

`sklearn://digits`, `pydoc://topics`, `imagefolder:///data/flowers`, `parquet:///data/*.parquet` (also `csv`, `json`),
or a `datasets.Dataset` object.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..errors import ConfigError, InputError, NotFoundError, did_you_mean
from ..registry import Registry
from .ordering import Rows

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


@runtime_checkable
class Source(Protocol):
    """Raw rows. Sources are small and pickle, because every data task gets one."""

    name: str
    """As the user wrote it."""

    @property
    def labels(self) -> list[str] | None:
        """Names of the classes in the order of their numbers, where the rows have a class."""

    def __len__(self) -> int: ...

    def read(self, rows: Rows) -> dict[str, list[Any]]:
        """Raw columns of the given rows: "image" (PIL image), "label" (class number), ..."""

    def fingerprint(self) -> str:
        """Changes when the rows change."""


SOURCES: Registry[Callable[[str], Source]] = Registry("data source")
SOURCES.add("sklearn", target="rayformers.data.sources:SklearnImages")
SOURCES.add("pydoc", target="rayformers.data.pydoc:PydocTopics")
SOURCES.add("imagefolder", target="rayformers.data.sources:ImageFolder")
for _format in ("parquet", "csv", "json"):
    SOURCES.add(_format, target="rayformers.data.tabular:TableFiles")


def open_source(source: Any) -> Source:
    """A source from its name, a `Source`, or a `datasets.Dataset`.

    Raises:
        ConfigError: the scheme is not known.
        NotFoundError: there is nothing at that place.
    """
    if not isinstance(source, str):
        if isinstance(source, Source):
            return source
        from .tabular import HubDataset

        return HubDataset(source)
    scheme, separator, _ = source.partition("://")
    if not separator or scheme not in SOURCES:
        raise ConfigError(
            f"Data source {source!r} does not begin with a known scheme. {did_you_mean(scheme, SOURCES)} "
            "Write for example sklearn://digits or imagefolder:///data/flowers."
        )
    opened = SOURCES.get(scheme)(source)
    if len(opened) == 0:
        raise NotFoundError(f"Data source {source!r} has no rows.")
    return opened


def split(num_rows: int, validation: float, seed: int) -> tuple[Rows, Rows]:
    """Row numbers for training and for validation, each in stored order; a pure function of its arguments.

    Raises:
        ConfigError: the share leaves one of the two without rows.
    """
    held_out = round(num_rows * validation)
    if not 0 <= validation < 1 or held_out >= num_rows or (validation > 0 and held_out == 0):
        raise ConfigError(
            f"data.validation is {validation} of {num_rows} rows; "
            "give a share between 0 and 1 that leaves rows on both sides."
        )
    permutation = np.random.Generator(np.random.PCG64([seed, 0x5EED])).permutation(num_rows)
    return np.sort(permutation[held_out:]), np.sort(permutation[:held_out])


def digest(*parts: Any) -> str:
    """A short hash of JSON-able values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


@dataclass
class SklearnImages:
    """Image sets that scikit-learn carries: `sklearn://digits`, 1,797 handwritten digits of 8 x 8 pixels."""

    name: str

    def __post_init__(self) -> None:
        wanted = self.name.partition("://")[2]
        if wanted != "digits":
            raise NotFoundError(f"scikit-learn carries no image set {wanted!r}. {did_you_mean(wanted, ['digits'])}")

    @cached_property
    def _bunch(self) -> Any:
        from sklearn.datasets import load_digits

        return load_digits()

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name}

    @property
    def labels(self) -> list[str]:
        """The digits as text."""
        return [str(label) for label in self._bunch.target_names]

    def __len__(self) -> int:
        return len(self._bunch.target)

    def read(self, rows: Rows) -> dict[str, list[Any]]:
        """Grey images (mode L, 0 to 255) and their class numbers."""
        from PIL import Image

        # The set stores 17 grey levels, 0 to 16.
        pixels = np.rint(self._bunch.images[rows] * (255 / 16)).astype(np.uint8)
        return {"image": [Image.fromarray(image) for image in pixels], "label": self._bunch.target[rows].tolist()}

    def fingerprint(self) -> str:
        """Hash of the pixels and labels."""
        return hashlib.sha256(self._bunch.images.tobytes() + self._bunch.target.tobytes()).hexdigest()[:24]


@dataclass
class ImageFolder:
    """A folder with one folder of images for each class; classes are numbered in the order of their names."""

    name: str
    files: list[str] = field(init=False, repr=False)
    classes: list[str] = field(init=False)

    def __post_init__(self) -> None:
        root = Path(self.name.partition("://")[2])
        if not root.is_dir():
            raise NotFoundError(f"Data source {self.name!r}: no such folder {root}.")
        self.classes = sorted(folder.name for folder in root.iterdir() if folder.is_dir())
        self.files = [
            str(file)
            for label in self.classes
            for file in sorted((root / label).rglob("*"))
            if file.suffix.lower() in IMAGE_SUFFIXES
        ]
        if not self.files:
            raise NotFoundError(f"{root} has no images in class folders, such as {root}/cat/1.jpg.")
        self._labels = {label: number for number, label in enumerate(self.classes)}
        self._root = root

    @property
    def labels(self) -> list[str]:
        """Names of the class folders."""
        return self.classes

    def __len__(self) -> int:
        return len(self.files)

    def read(self, rows: Rows) -> dict[str, list[Any]]:
        """Decoded images and their class numbers."""
        files = [Path(self.files[row]) for row in rows]
        return {
            "image": [load_image(file) for file in files],
            "label": [self._labels[file.relative_to(self._root).parts[0]] for file in files],
        }

    def fingerprint(self) -> str:
        """Hash of names, sizes and times of change."""
        return digest([(file, Path(file).stat().st_size, Path(file).stat().st_mtime_ns) for file in self.files])


def load_image(file: Path) -> Any:
    """A decoded image.

    Raises:
        InputError: the file is no image.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            image.load()
            return image.copy()
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"{file} is not an image that can be read ({error}). Remove or replace it.") from error


def columns_of(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns."""
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
