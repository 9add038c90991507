"""From ids to model inputs: special tokens, truncation, token types. Serves Python tokenizers and hand-made ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import InputError
from .batch_encoding import BatchEncoding
from .encode_options import EncodeOptions, TruncationStrategy, parse_truncation, resolve_options

Ids = list[int]


class PrepareMixin:
    """Methods on ids, for a class with special tokens, `model_input_names`, sides and `pad`."""

    def build_inputs_with_special_tokens(self, token_ids_0: Ids, token_ids_1: Ids | None = None) -> Ids:
        """The ids of one or two sequences with special tokens around them."""
        return list(token_ids_0) + list(token_ids_1 or [])

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens a text, or a pair of texts, gets."""
        return len(self.build_inputs_with_special_tokens([], [] if pair else None))

    def create_token_type_ids_from_sequences(self, token_ids_0: Ids, token_ids_1: Ids | None = None) -> Ids:
        """0 for the tokens of the first sequence and its special tokens, 1 for those of the second."""
        first = len(self.build_inputs_with_special_tokens(token_ids_0))
        if token_ids_1 is None:
            return [0] * first
        both = len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))
        return [0] * first + [1] * (both - first)

    def get_special_tokens_mask(
        self, token_ids_0: Ids, token_ids_1: Ids | None = None, already_has_special_tokens: bool = False
    ) -> Ids:
        """1 for special tokens, 0 for tokens of the text.

        Args:
            already_has_special_tokens: the ids contain their special tokens; else those that would be added count.
        """
        if already_has_special_tokens:
            if token_ids_1 is not None:
                raise InputError("ids that have their special tokens already are one sequence: leave out token_ids_1")
            special = set(self.all_special_ids)  # type: ignore[attr-defined]
            return [int(index in special) for index in token_ids_0]
        marked: Any = [None] * len(token_ids_0)
        pair: Any = None if token_ids_1 is None else [None] * len(token_ids_1)
        return [int(index is not None) for index in self.build_inputs_with_special_tokens(marked, pair)]

    def truncate_sequences(
        self,
        ids: Ids,
        pair_ids: Ids | None = None,
        num_tokens_to_remove: int = 0,
        truncation_strategy: str | TruncationStrategy = "longest_first",
        stride: int = 0,
    ) -> tuple[Ids, Ids | None, Ids]:
        """Remove tokens from one or both sequences at `truncation_side`.

        Returns:
            The two sequences, and the removed tokens with `stride` tokens of context (empty for longest_first pairs).
        """
        strategy = parse_truncation(truncation_strategy)
        if num_tokens_to_remove <= 0 or strategy is TruncationStrategy.DO_NOT_TRUNCATE:
            return ids, pair_ids, []
        if strategy is TruncationStrategy.LONGEST_FIRST and pair_ids is not None:
            from_first, from_second = _shares(len(ids), len(pair_ids), num_tokens_to_remove)
            return self._cut(ids, from_first, 0)[0], self._cut(pair_ids, from_second, 0)[0], []
        if strategy is TruncationStrategy.ONLY_SECOND:
            if pair_ids is None or len(pair_ids) <= num_tokens_to_remove:
                raise InputError(_too_short(num_tokens_to_remove, len(pair_ids or []), "second"))
            pair_ids, removed = self._cut(pair_ids, num_tokens_to_remove, stride)
            return ids, pair_ids, removed
        if len(ids) <= num_tokens_to_remove:
            raise InputError(_too_short(num_tokens_to_remove, len(ids), "first"))
        ids, removed = self._cut(ids, num_tokens_to_remove, stride)
        return ids, pair_ids, removed

    def _cut(self, ids: Ids, count: int, stride: int) -> tuple[Ids, Ids]:
        """The ids that stay, and those that go with `stride` more."""
        if count == 0:
            return ids, []
        window = min(len(ids), stride + count)
        if self.truncation_side == "left":  # type: ignore[attr-defined]
            return ids[count:], ids[:window]
        return ids[:-count], ids[-window:]

    def prepare_for_model(
        self, ids: Ids, pair_ids: Ids | None = None, prepend_batch_axis: bool = False, **options: Any
    ) -> BatchEncoding:
        """Model inputs of ids without special tokens: truncated, with special tokens, padded; the options of a call."""
        resolved = resolve_options(self, **options)  # type: ignore[arg-type]
        data = self.prepare_row(ids, pair_ids, resolved)
        padded = self.pad(  # type: ignore[attr-defined]
            data,
            padding=resolved.padding,
            max_length=resolved.max_length,
            pad_to_multiple_of=resolved.pad_to_multiple_of,
            padding_side=resolved.padding_side,
            return_attention_mask=resolved.return_attention_mask,
        )
        if resolved.return_length:
            padded["length"] = len(padded["input_ids"])
        return BatchEncoding(padded.data, tensor_type=resolved.return_tensors, prepend_batch_axis=prepend_batch_axis)

    def prepare_row(self, ids: Sequence[int], pair_ids: Sequence[int] | None, options: EncodeOptions) -> dict[str, Any]:
        """The unpadded inputs of one row."""
        first, second = list(ids), None if pair_ids is None else list(pair_ids)
        special = self.num_special_tokens_to_add(second is not None) if options.add_special_tokens else 0
        total = len(first) + len(second or []) + special
        data: dict[str, Any] = {}
        removed: Ids = []
        excess = total - options.max_length if options.max_length is not None else 0
        if options.truncation is not TruncationStrategy.DO_NOT_TRUNCATE and excess > 0:
            first, second, removed = self.truncate_sequences(
                first, second, excess, options.truncation, stride=options.stride
            )
        if options.return_overflowing_tokens:
            data["overflowing_tokens"] = removed
            data["num_truncated_tokens"] = excess
        if options.add_special_tokens:
            row = self.build_inputs_with_special_tokens(first, second)
            types = self.create_token_type_ids_from_sequences(first, second)
        else:
            row = first + (second or [])
            types = [0] * len(first) + [1] * len(second or [])
        data["input_ids"] = row
        names = self.model_input_names  # type: ignore[attr-defined]
        if options.return_token_type_ids or (options.return_token_type_ids is None and "token_type_ids" in names):
            data["token_type_ids"] = types
        if options.return_special_tokens_mask:
            data["special_tokens_mask"] = (
                self.get_special_tokens_mask(first, second) if options.add_special_tokens else [0] * len(row)
            )
        return data


def _shares(first: int, second: int, count: int) -> tuple[int, int]:
    """How many of `count` tokens each of two sequences gives, the longer one first until they are equal."""
    from_longer = min(abs(first - second), count)
    rest = count - from_longer
    if first > second:
        return from_longer + rest // 2, rest - rest // 2
    return rest // 2, from_longer + rest - rest // 2


def _too_short(count: int, length: int, which: str) -> str:
    return (
        f"{count} tokens must go to reach max_length, but the {which} sequence has only {length}. "
        "Use another truncation strategy (longest_first, only_first, only_second) or a greater max_length."
    )
