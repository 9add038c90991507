"""Padding of already tokenized inputs, as data collators need it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InputError, InputTypeError
from .batch_encoding import BatchEncoding, to_lists
from .encode_options import PaddingStrategy, check_can_pad, check_side, parse_padding

if TYPE_CHECKING:
    from .tokenizer_base import PreTrainedTokenizerBase


def collect(inputs: Any) -> dict[str, Any]:
    """One dict of lists from what `pad` accepts: a dict of lists, or a list of dicts.

    Raises:
        InputTypeError: it is something else, or the dicts have different keys.
    """
    if isinstance(inputs, Mapping):
        return dict(inputs)
    if not isinstance(inputs, list | tuple) or not all(isinstance(item, Mapping) for item in inputs):
        raise InputTypeError(
            f"pad takes a dict of lists or a list of dicts with input_ids, not {type(inputs).__name__} {inputs!s:.80}"
        )
    if not inputs:
        raise InputError("pad was given an empty list: there is nothing to pad")
    for item in inputs:
        missing = [key for key in inputs[0] if key not in item]
        if missing:
            raise InputError(f"pad was given examples with different keys: one lacks {missing}")
    return {key: [item[key] for item in inputs] for key in inputs[0]}


def pad_inputs(
    tokenizer: PreTrainedTokenizerBase,
    inputs: Any,
    *,
    padding: Any,
    max_length: int | None,
    pad_to_multiple_of: int | None,
    padding_side: str | None,
    return_attention_mask: bool | None,
    return_tensors: Any,
) -> BatchEncoding:
    """Pad input_ids, attention_mask, token_type_ids and special_tokens_mask; other keys stay as they are."""
    check_side("padding_side", padding_side)
    data = {key: to_lists(value) for key, value in collect(inputs).items()}
    main = tokenizer.model_input_names[0]
    if main not in data:
        raise InputError(f"pad needs {main!r}; the inputs have only {sorted(data)}")
    ids = data[main]
    strategy = parse_padding(padding)
    single = not (isinstance(ids, Sequence) and len(ids) > 0 and isinstance(ids[0], Sequence))
    if single and isinstance(ids, Sequence) and len(ids) == 0:
        if return_attention_mask is not False:
            data["attention_mask"] = []
        return BatchEncoding(data)
    if single:
        data = {key: [value] for key, value in data.items()}
        ids = data[main]
    uneven = [key for key, value in data.items() if not isinstance(value, list) or len(value) != len(ids)]
    if uneven:
        raise InputError(f"pad was given {len(ids)} examples of {main!r}, but not as many of {uneven}")
    length = target_length(tokenizer, ids, strategy, max_length, pad_to_multiple_of)
    if return_attention_mask is None:
        return_attention_mask = "attention_mask" in tokenizer.model_input_names
    if return_attention_mask and "attention_mask" not in data:
        data["attention_mask"] = [[1] * len(row) for row in ids]
    if length is not None:
        tokenizer.pad_rows(data, [max(length - len(row), 0) for row in ids], padding_side or tokenizer.padding_side)
    if single and return_tensors is None:
        data = {key: value[0] for key, value in data.items()}
    return BatchEncoding(data, tensor_type=return_tensors)


def target_length(
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Sequence[int]],
    strategy: PaddingStrategy,
    max_length: int | None,
    multiple: int | None,
) -> int | None:
    """The length in tokens that the rows are padded to; None means no padding."""
    if strategy is PaddingStrategy.DO_NOT_PAD:
        return None
    if strategy is PaddingStrategy.LONGEST:
        length = max(len(row) for row in rows)
    else:
        from .encode_options import LARGEST_LENGTH_TOKENS

        length = tokenizer.model_max_length if max_length is None else max_length
        if length > LARGEST_LENGTH_TOKENS:
            return None
    if multiple and length % multiple:
        length = (length // multiple + 1) * multiple
    if any(len(row) < length for row in rows):
        check_can_pad(tokenizer)
    return length


def pad_rows(data: dict[str, Any], missing: list[int], side: str, fillers: Mapping[str, Any]) -> None:
    """Extend the rows of the keys in `fillers` by `missing[i]` fillers each, in place."""
    for key, filler in fillers.items():
        if key in data:
            data[key] = [
                list(row) + [filler] * count if side == "right" else [filler] * count + list(row)
                for row, count in zip(data[key], missing, strict=True)
            ]
