"""The models' tokenizer classes under all their names (`BertTokenizer`, `BertTokenizerFast`), imported when used."""

from __future__ import annotations

from typing import Any

from .tokenizer_auto import TOKENIZERS
from .tokenizer_catalog import class_names, plain_name


def __getattr__(name: str) -> Any:
    if name not in class_names():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return TOKENIZERS.get(plain_name(name))


def __dir__() -> list[str]:
    return sorted(class_names())
