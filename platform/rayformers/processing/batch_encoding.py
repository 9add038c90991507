"""What a tokenizer call returns: named lists or tensors, and where every token came from."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import InputError, InputTypeError, did_you_mean

if TYPE_CHECKING:
    from tokenizers import Encoding


class TensorType(StrEnum):
    """The kinds of tensors that `return_tensors` accepts."""

    PYTORCH = "pt"
    NUMPY = "np"


class CharSpan(NamedTuple):
    """A span of characters in the original text, `end` excluded."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """A span of tokens in an encoded sequence, `end` excluded."""

    start: int
    end: int


def parse_tensor_type(name: str | TensorType) -> TensorType:
    """The TensorType called `name`.

    Raises:
        InputError: there is none.
    """
    try:
        return TensorType(name)
    except ValueError:
        allowed = [kind.value for kind in TensorType]
        raise InputError(f"Unknown tensor type return_tensors={name!r}. {did_you_mean(str(name), allowed)}") from None


def is_tensor(value: Any) -> bool:
    """Whether `value` is a numpy array or a torch tensor (torch is not imported to find out)."""
    return isinstance(value, np.ndarray) or type(value).__module__.split(".")[0] == "torch"


def to_lists(value: Any) -> Any:
    """`value` with tensors and arrays turned into (nested) lists."""
    if is_tensor(value):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [to_lists(item) for item in value] if value and is_tensor(value[0]) else list(value)
    return value


def to_tensor(name: str, value: Any, kind: TensorType) -> Any:
    """`value` (numbers in nested lists) as one tensor.

    Raises:
        InputError: rows have different lengths, or values are not numbers.
    """
    if kind is TensorType.PYTORCH:
        import torch

        if isinstance(value, torch.Tensor):
            return value
        if isinstance(value, list | tuple) and value and isinstance(value[0], torch.Tensor):
            return torch.stack(list(value)) if len({item.shape for item in value}) == 1 else _ragged(name, value)
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "biufc":
        _ragged(name, value)
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.int64)
    if kind is TensorType.NUMPY:
        return array
    if array.dtype == np.float64 and not isinstance(value, np.ndarray):
        array = array.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(array))


def _ragged(name: str, value: Any) -> Any:
    hint = (
        "Rows of different lengths do not make a tensor: pass padding=True and truncation=True."
        if name != "overflowing_tokens"
        else "Overflowing tokens have different lengths: leave out return_tensors, or pass padding=True."
    )
    raise InputError(f"Cannot make a tensor of {name!r}: its values are {str(value)[:80]!s}... {hint}")


class BatchEncoding(UserDict):
    """Model inputs by name (`input_ids`, `attention_mask`, ...), with the alignment of tokens, words and characters.

    Args:
        data: the inputs; lists of ints (one text) or lists of lists (a batch).
        encoding: the `tokenizers.Encoding`s behind them, one a row; without them the alignment methods raise.
        tensor_type: "pt" or "np" converts at once.
        prepend_batch_axis: add an axis before converting.
        n_sequences: 1, or 2 for pairs.
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        encoding: Encoding | Sequence[Encoding] | None = None,
        tensor_type: str | TensorType | None = None,
        prepend_batch_axis: bool = False,
        n_sequences: int | None = None,
    ) -> None:
        self.data = dict(data or {})
        if encoding is not None and not isinstance(encoding, list | tuple):
            encoding = [encoding]  # type: ignore[list-item]
        self._encodings: list[Encoding] | None = list(encoding) if encoding is not None else None  # type: ignore[arg-type]
        if n_sequences is None and self._encodings:
            n_sequences = self._encodings[0].n_sequences
        self._n_sequences = n_sequences
        self.convert_to_tensors(tensor_type, prepend_batch_axis)

    @property
    def n_sequences(self) -> int | None:
        """How many sequences a row is made of: 1, 2 for pairs, None where unknown."""
        return self._n_sequences

    @property
    def is_fast(self) -> bool:
        """Whether the alignment methods can be used."""
        return self._encodings is not None

    @property
    def encodings(self) -> list[Encoding] | None:
        """The `tokenizers.Encoding`s, one a row."""
        return self._encodings

    def __getitem__(self, item: str | int | slice) -> Any:
        if isinstance(item, str):
            return self.data[item]
        if isinstance(item, slice):
            return {key: value[item] for key, value in self.data.items()}
        return self._rows()[item]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "data":
            raise AttributeError(name)
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(f"no {name!r} in this encoding: it has {list(self.data)}") from None

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data, "encodings": self._encodings, "n_sequences": self._n_sequences}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.data = state["data"]
        self._encodings = state["encodings"]
        self._n_sequences = state["n_sequences"]

    def _rows(self) -> list[Encoding]:
        if not self._encodings:
            raise InputError(
                "This encoding does not know where its tokens came from: it was not made by a fast tokenizer's call "
                "(pad() and Python tokenizers keep no alignment)."
            )
        return self._encodings

    def _row_and(self, first: int, second: int | None) -> tuple[Encoding, int]:
        """A method's (position) means row 0, (row, position) names the row."""
        row, position = (0, first) if second is None else (first, second)
        rows = self._rows()
        if not -len(rows) <= row < len(rows):
            raise InputError(f"batch index {row} is outside of this batch of {len(rows)} rows")
        return rows[row], position

    @staticmethod
    def _token(encoding: Encoding, index: int) -> int:
        return len(encoding) + index if index < 0 else index

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of a row."""
        return self._rows()[batch_index].tokens

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token the sequence it belongs to (0 or 1), None for special tokens."""
        return self._rows()[batch_index].sequence_ids

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token the word it belongs to, None for special tokens."""
        return self._rows()[batch_index].word_ids

    def words(self, batch_index: int = 0) -> list[int | None]:
        """The old name of `word_ids`."""
        return self.word_ids(batch_index)

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The sequence that a token belongs to."""
        encoding, token = self._row_and(batch_or_token_index, token_index)
        return encoding.token_to_sequence(self._token(encoding, token))

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The word that a token belongs to."""
        encoding, token = self._row_and(batch_or_token_index, token_index)
        return encoding.token_to_word(self._token(encoding, token))

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        """The tokens of a word; None where the word was truncated."""
        encoding, word = self._row_and(batch_or_word_index, word_index)
        span = encoding.word_to_tokens(word, sequence_index)
        return TokenSpan(*span) if span is not None else None

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> CharSpan | None:
        """The characters of a token; None for special tokens."""
        encoding, token = self._row_and(batch_or_token_index, token_index)
        span = encoding.token_to_chars(self._token(encoding, token))
        return CharSpan(*span[-2:]) if span is not None else None

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The token that holds a character; None where it was dropped (whitespace) or truncated."""
        encoding, char = self._row_and(batch_or_char_index, char_index)
        return encoding.char_to_token(char, sequence_index)

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> CharSpan:
        """The characters of a word.

        Raises:
            InputError: there is no such word in the row.
        """
        encoding, word = self._row_and(batch_or_word_index, word_index)
        span = encoding.word_to_chars(word, sequence_index)
        if span is None:
            raise InputError(f"there is no word {word} in sequence {sequence_index} of this row")
        return CharSpan(*span)

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The word that holds a character."""
        encoding, char = self._row_and(batch_or_char_index, char_index)
        return encoding.char_to_word(char, sequence_index)

    def convert_to_tensors(
        self, tensor_type: str | TensorType | None = None, prepend_batch_axis: bool = False
    ) -> BatchEncoding:
        """Turn the values into tensors in place, and return self.

        Raises:
            InputError: the kind is unknown, or rows have different lengths.
        """
        if tensor_type is None:
            return self
        kind = parse_tensor_type(tensor_type)
        for key, value in self.data.items():
            if prepend_batch_axis:
                value = [value]
            self.data[key] = to_tensor(key, value, kind)
        return self

    def to(self, device: Any, *, non_blocking: bool = False) -> BatchEncoding:
        """Move the torch tensors among the values to `device`, and return self."""
        if not isinstance(device, str | int) and type(device).__name__ != "device":
            raise InputTypeError(
                f"BatchEncoding.to moves to a device (a string, an index or a torch.device), not {device!r}"
            )
        import torch

        for key, value in self.data.items():
            if isinstance(value, torch.Tensor):
                self.data[key] = value.to(device, non_blocking=non_blocking)
        return self
