"""Dealings with the `tokenizers` library: reading its files, and saying what is wrong where it only fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ..errors import CheckpointError, InputError, InputTypeError, NotFoundError
from .encode_options import EncodeOptions


def read_tokenizer(path: Path) -> Tokenizer:
    """The `tokenizers.Tokenizer` in a tokenizer.json.

    Raises:
        NotFoundError: there is no such file.
        CheckpointError: it cannot be read.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no tokenizer file {path}")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(f"{path} is no tokenizer.json that this version can read: {error}") from error


def with_strategies(tokenizer: Tokenizer, padding: Any, truncation: Any) -> str:
    """The tokenizer.json of `tokenizer` with these strategies instead of those of its last call."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    if padding is None:
        copy.no_padding()
    else:
        copy.enable_padding(**padding)
    if truncation is None:
        copy.no_truncation()
    else:
        copy.enable_truncation(**truncation)
    return copy.to_str(pretty=True)


def explain(inputs: list[Any], options: EncodeOptions, error: Exception) -> InputError:
    """What is wrong with the inputs that the backend refused."""
    for number, item in enumerate(inputs):
        for text in item if isinstance(item, list | tuple) else [item]:
            for word in text if isinstance(text, list | tuple) else [text]:
                if not isinstance(word, str):
                    return InputTypeError(
                        f"Text {number} of the batch is no string but {type(word).__name__}: {word!r:.80}"
                    )
                lone = next((place for place, char in enumerate(word) if "\ud800" <= char <= "\udfff"), None)
                if lone is not None:
                    return InputError(
                        f"Text {number} of the batch has a lone surrogate ({word[lone]!r}) at position {lone}: it is "
                        "no valid Unicode. Decode its bytes with errors='replace', or remove it."
                    )
        if not options.is_split_into_words and isinstance(item, tuple) and len(item) != 2:
            return InputTypeError(f"Item {number} of the batch has {len(item)} texts: a pair has two")
    return InputTypeError(f"These inputs cannot be tokenized: {error}")
