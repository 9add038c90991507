"""The options of a tokenizer call, checked once and handed on as one value."""

from __future__ import annotations

import dataclasses
import logging
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import InputError, InputTypeError, did_you_mean

if TYPE_CHECKING:
    from .tokenizer_base import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

# A `model_max_length` above this means that the model has no limit (Hub files write 1e30).
LARGEST_LENGTH_TOKENS = 10**20
NO_LENGTH_LIMIT_TOKENS = int(1e30)

Choice = TypeVar("Choice", bound=Enum)


class PaddingStrategy(StrEnum):
    """What `padding=` accepts beside True (longest) and False (do_not_pad)."""

    LONGEST = "longest"
    MAX_LENGTH = "max_length"
    DO_NOT_PAD = "do_not_pad"


class TruncationStrategy(StrEnum):
    """What `truncation=` accepts beside True (longest_first) and False (do_not_truncate)."""

    ONLY_FIRST = "only_first"
    ONLY_SECOND = "only_second"
    LONGEST_FIRST = "longest_first"
    DO_NOT_TRUNCATE = "do_not_truncate"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """A tokenizer call's options with strategies and lengths resolved (lengths in tokens)."""

    add_special_tokens: bool = True
    padding: PaddingStrategy = PaddingStrategy.DO_NOT_PAD
    truncation: TruncationStrategy = TruncationStrategy.DO_NOT_TRUNCATE
    max_length: int | None = None
    stride: int = 0
    is_split_into_words: bool = False
    pad_to_multiple_of: int | None = None
    padding_side: str | None = None
    return_tensors: str | None = None
    return_token_type_ids: bool | None = None
    return_attention_mask: bool | None = None
    return_overflowing_tokens: bool = False
    return_special_tokens_mask: bool = False
    return_offsets_mapping: bool = False
    return_length: bool = False
    verbose: bool = True
    split_special_tokens: bool = False


OPTION_NAMES = frozenset(field.name for field in dataclasses.fields(EncodeOptions))


def _choice(kind: type[Choice], name: str, value: Any) -> Choice:
    try:
        return kind(value)
    except ValueError:
        allowed = [item.value for item in kind]
        raise InputError(
            f"{name}={value!r} is no {name} strategy. Pass True, False or one of: {', '.join(allowed)}."
        ) from None


def check_side(name: str, side: Any) -> None:
    """Raise InputError where `side` is neither "left" nor "right" (None is allowed)."""
    if side not in (None, "left", "right"):
        raise InputError(f"{name} is 'left' or 'right', not {side!r}")


def _check_length(name: str, value: Any, least: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or (not isinstance(value, int) and not hasattr(value, "__index__")):
        raise InputTypeError(f"{name} is a number of tokens (an int), not {value!r}")
    if value < least:
        raise InputError(f"{name}={value} is too small: it must be at least {least}")


def resolve_options(
    tokenizer: PreTrainedTokenizerBase,
    *,
    padding: bool | str | PaddingStrategy = False,
    truncation: bool | str | TruncationStrategy | None = None,
    max_length: int | None = None,
    **options: Any,
) -> EncodeOptions:
    """The options of one call of `tokenizer`.

    Raises:
        InputTypeError: an option is unknown or has the wrong type.
        InputError: a value is not allowed, padding is asked of a tokenizer without a padding token, or lengths clash.
    """
    unknown = set(options) - OPTION_NAMES
    if unknown:
        name = sorted(unknown)[0]
        known = OPTION_NAMES | {"text", "text_pair", "text_target", "text_pair_target"}
        raise InputTypeError(f"A tokenizer call has no option {name!r}. {did_you_mean(name, known)}")
    _check_length("max_length", max_length, 0)
    _check_length("pad_to_multiple_of", options.get("pad_to_multiple_of"), 1)
    _check_length("stride", options.get("stride"), 0)
    check_side("padding_side", options.get("padding_side"))
    verbose = options.get("verbose", True)
    if max_length is not None and padding is False and truncation is None:
        # Giving only a length has always meant truncation to that length.
        tokenizer.log_once("max_length without truncation: truncating (longest_first). Pass truncation=True.", verbose)
        truncation = TruncationStrategy.LONGEST_FIRST
    if padding is True and max_length is not None and truncation in (None, False, "do_not_truncate"):
        tokenizer.log_once(
            "max_length is ignored: padding=True pads to the longest. Pass padding='max_length'.", verbose
        )
    pad, cut = parse_padding(padding), parse_truncation(truncation)
    if max_length is None:
        limited = tokenizer.model_max_length <= LARGEST_LENGTH_TOKENS
        if pad is PaddingStrategy.MAX_LENGTH and not limited:
            tokenizer.log_once("padding='max_length' without a length: not padding. Pass max_length.", verbose)
            pad = PaddingStrategy.DO_NOT_PAD
        if cut is not TruncationStrategy.DO_NOT_TRUNCATE and not limited:
            tokenizer.log_once("truncation without a length: not truncating. Pass max_length.", verbose)
            cut = TruncationStrategy.DO_NOT_TRUNCATE
        if pad is PaddingStrategy.MAX_LENGTH or cut is not TruncationStrategy.DO_NOT_TRUNCATE:
            max_length = tokenizer.model_max_length
    if pad is not PaddingStrategy.DO_NOT_PAD:
        check_can_pad(tokenizer)
    multiple = options.get("pad_to_multiple_of")
    both = cut is not TruncationStrategy.DO_NOT_TRUNCATE and pad is not PaddingStrategy.DO_NOT_PAD
    if both and multiple and max_length is not None and max_length % multiple:
        raise InputError(
            f"Texts are truncated to max_length={max_length} tokens and padded to a multiple of {multiple}: "
            "choose a max_length that is such a multiple"
        )
    return EncodeOptions(padding=pad, truncation=cut, max_length=max_length, **options)


def parse_padding(padding: Any) -> PaddingStrategy:
    """What `padding=` means."""
    if padding is None or padding is False:
        return PaddingStrategy.DO_NOT_PAD
    return PaddingStrategy.LONGEST if padding is True else _choice(PaddingStrategy, "padding", padding)


def parse_truncation(truncation: Any) -> TruncationStrategy:
    """What `truncation=` means."""
    if truncation is None or truncation is False:
        return TruncationStrategy.DO_NOT_TRUNCATE
    return (
        TruncationStrategy.LONGEST_FIRST
        if truncation is True
        else _choice(TruncationStrategy, "truncation", truncation)
    )


def check_can_pad(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise InputError where the tokenizer has no padding token."""
    if tokenizer.pad_token is None or tokenizer.pad_token_id is None:
        raise InputError(
            "Padding was asked for, but this tokenizer has no padding token. Choose one "
            "(tokenizer.pad_token = tokenizer.eos_token) or add one "
            "(tokenizer.add_special_tokens({'pad_token': '[PAD]'}))."
        )
