"""Data: sources, preprocessing to shards with a manifest, the order of rows, collators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .collators import DataCollatorMixin, DefaultDataCollator, default_data_collator
    from .collators_masking import DataCollatorForLanguageModeling, DataCollatorForWholeWordMask
    from .collators_packed import DataCollatorWithFlattening
    from .collators_permutation import DataCollatorForPermutationLanguageModeling
    from .collators_text import (
        DataCollatorForMultipleChoice,
        DataCollatorForSeq2Seq,
        DataCollatorForTokenClassification,
        DataCollatorWithPadding,
    )
    from .ordering import MicroBatch, Order
    from .preprocessing import PREPROCESSORS, Preprocessor
    from .shards import Column, Manifest, ShardedDataset, write_rows
    from .sources import SOURCES, Source, open_source, split

__all__ = [
    "Column", "DataCollatorForLanguageModeling", "DataCollatorForMultipleChoice",
    "DataCollatorForPermutationLanguageModeling", "DataCollatorForSeq2Seq", "DataCollatorForTokenClassification",
    "DataCollatorForWholeWordMask", "DataCollatorMixin", "DataCollatorWithFlattening", "DataCollatorWithPadding",
    "DefaultDataCollator", "Manifest", "MicroBatch", "Order", "PREPROCESSORS", "Preprocessor", "SOURCES",
    "ShardedDataset", "Source", "default_data_collator", "open_source", "split", "write_rows",
]  # fmt: skip

_MODULES = {
    "DataCollatorMixin": "collators",
    "DefaultDataCollator": "collators",
    "default_data_collator": "collators",
    "DataCollatorForLanguageModeling": "collators_masking",
    "DataCollatorForWholeWordMask": "collators_masking",
    "DataCollatorWithFlattening": "collators_packed",
    "DataCollatorForPermutationLanguageModeling": "collators_permutation",
    "DataCollatorForMultipleChoice": "collators_text",
    "DataCollatorForSeq2Seq": "collators_text",
    "DataCollatorForTokenClassification": "collators_text",
    "DataCollatorWithPadding": "collators_text",
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
