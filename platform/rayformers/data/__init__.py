"""Data: sources, preprocessing to shards with a manifest, the order of rows, collators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .collators import default_data_collator
    from .ordering import MicroBatch, Order
    from .preprocessing import PREPROCESSORS, Preprocessor
    from .shards import Column, Manifest, ShardedDataset, write_rows
    from .sources import SOURCES, Source, open_source, split

__all__ = [
    "Column", "Manifest", "MicroBatch", "Order", "PREPROCESSORS", "Preprocessor", "SOURCES", "ShardedDataset",
    "Source", "default_data_collator", "open_source", "split", "write_rows",
]  # fmt: skip

_MODULES = {
    "default_data_collator": "collators",
    "MicroBatch": "ordering",
    "Order": "ordering",
    "PREPROCESSORS": "preprocessing",
    "Preprocessor": "preprocessing",
    "Column": "shards",
    "Manifest": "shards",
    "ShardedDataset": "shards",
    "write_rows": "shards",
    "SOURCES": "sources",
    "Source": "sources",
    "open_source": "sources",
    "split": "sources",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
