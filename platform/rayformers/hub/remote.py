"""Folders on fsspec stores (s3, gs, ...), copied once into the local cache."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from ..errors import DependencyError, NotFoundError

COMPLETE = ".complete"


def cache_root() -> Path:
    """The folder below which remote files are cached (RAYFORMERS_CACHE, else ~/.cache/rayformers)."""
    return Path(os.environ.get("RAYFORMERS_CACHE", Path.home() / ".cache" / "rayformers"))


def download(address: str) -> Path:
    """Copy the folder at an fsspec address into the cache, unless the same files lie there already.

    Raises:
        NotFoundError: nothing is at the address, or the store cannot be reached.
        DependencyError: the store's package is missing.
    """
    import fsspec

    if address.startswith("file:"):
        return Path(address.removeprefix("file://").removeprefix("file:"))
    try:
        store, path = fsspec.core.url_to_fs(address)
        files: dict[str, Any] = store.find(path, detail=True)
    except ImportError as error:
        raise DependencyError(f"{address} needs a package for its store: {error}") from error
    except Exception as error:
        raise NotFoundError(f"{address} cannot be read: {error}") from error
    if not files:
        raise NotFoundError(f"Nothing lies at {address}.")
    stamp = sorted(
        (name, str(info.get("size")), str(info.get("ETag", info.get("mtime", "")))) for name, info in files.items()
    )
    key = hashlib.sha256(repr((address, stamp)).encode()).hexdigest()[:32]
    target = cache_root() / "remote" / key
    if not (target / COMPLETE).exists():
        part = target.with_name(f"{key}.{os.getpid()}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name in files:
            place = part / Path(name).relative_to(path.rstrip("/"))
            place.parent.mkdir(parents=True, exist_ok=True)
            store.get_file(name, str(place))
        (part / COMPLETE).touch()
        shutil.rmtree(target, ignore_errors=True)
        part.replace(target)
    return target
