"""Collators that hide tokens for masked language modelling (Devlin et al. 2018, arXiv:1810.04805)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ConfigError
from .collators import DataCollatorMixin
from .collators_text import IGNORED
from .draws import Draws, draws_for, worker_number

MOST_PREDICTIONS = 512
"""Tokens that whole-word masking hides at most in one row."""


def padded_ids(examples: Sequence[Any], tokenizer: Any, multiple: int | None, kind: str) -> Any:
    """Rows of token ids (or mappings with "input_ids") padded by the tokenizer: tensors by name."""
    rows = [example if isinstance(example, Mapping) else {"input_ids": example} for example in examples]
    ids_only = not isinstance(examples[0], Mapping)
    return tokenizer.pad(
        rows, return_tensors=kind, pad_to_multiple_of=multiple, return_attention_mask=False if ids_only else None
    )


def special_positions(tokenizer: Any, ids: Any, draws: Draws) -> Any:
    """[rows, tokens]: whether each token is a special one."""
    masks = [tokenizer.get_special_tokens_mask(row, already_has_special_tokens=True) for row in ids.tolist()]
    return draws.booleans(masks)


@dataclass
class DataCollatorForLanguageModeling(DataCollatorMixin):
    """Batches for language modelling: tokens hidden at random with `mlm`, else labels that equal the tokens.

    Args:
        tokenizer: pads, and gives the mask token.
        mlm: hide tokens; else "labels" are the tokens, padding ignored.
        whole_word_mask: hide all tokens of a word or none; rows need "offset_mapping", and every hidden token
            becomes the mask token.
        mlm_probability: share of the tokens (words with `whole_word_mask`) that are predicted.
        mask_replace_prob: share of these that become the mask token.
        random_replace_prob: share of these that become a random token; the rest stay.
        pad_to_multiple_of: round lengths up to a multiple, in tokens.
        return_tensors: "pt" or "np".
        seed: seed of a generator of this collator's own (each loader worker adds its number); None draws from the
            global generators.

    Raises:
        ConfigError: a share is not in [0, 1], the last two exceed 1 together, or there is no mask token.
    """

    tokenizer: Any
    mlm: bool = True
    whole_word_mask: bool = False
    mlm_probability: float = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"
    seed: int | None = None
    _draws: dict[tuple[str, int | None], Draws] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.mlm and self.tokenizer.mask_token is None:
            raise ConfigError(
                "This tokenizer has no mask token, so tokens cannot be hidden. Pass mlm=False for causal language "
                "modelling, or give the tokenizer a mask token."
            )
        if self.whole_word_mask and not self.mlm:
            raise ConfigError("whole_word_mask=True needs mlm=True.")
        for name in ("mlm_probability", "mask_replace_prob", "random_replace_prob"):
            value = getattr(self, name)
            if (value is None and (self.mlm or name != "mlm_probability")) or (
                value is not None and not 0 <= value <= 1
            ):
                raise ConfigError(f"{name} is {value}; it must be between 0 and 1.")
        if self.mask_replace_prob + self.random_replace_prob > 1:
            raise ConfigError(
                f"mask_replace_prob {self.mask_replace_prob} and random_replace_prob {self.random_replace_prob} "
                "exceed 1 together."
            )
        if self.whole_word_mask:
            self.mask_replace_prob, self.random_replace_prob = 1.0, 0.0

    def draws(self, kind: str) -> Draws:
        """Where the random numbers come from."""
        key = (kind, worker_number())
        if key not in self._draws:
            self._draws[key] = draws_for(kind, self.seed)
        return self._draws[key]

    def torch_call(self, examples: Sequence[Any]) -> Any:
        """A batch of torch tensors."""
        return self._batch(examples, "pt")

    def numpy_call(self, examples: Sequence[Any]) -> Any:
        """A batch of numpy arrays."""
        return self._batch(examples, "np")

    def _batch(self, examples: Sequence[Any], kind: str) -> Any:
        draws = self.draws(kind)
        offsets: Any = None
        if isinstance(examples[0], Mapping) and "offset_mapping" in examples[0]:
            offsets = [example["offset_mapping"] for example in examples]
            examples = [{key: value for key, value in row.items() if key != "offset_mapping"} for row in examples]
        batch = padded_ids(examples, self.tokenizer, self.pad_to_multiple_of, kind)
        special = batch.pop("special_tokens_mask", None)
        ids = batch["input_ids"]
        if not self.mlm:
            batch["labels"] = draws.copy(ids)
            if self.tokenizer.pad_token_id is not None:
                batch["labels"][ids == self.tokenizer.pad_token_id] = IGNORED
            return batch
        if offsets is not None:
            offsets = self._padded_offsets(offsets, ids.shape[1])
        batch["input_ids"], batch["labels"] = self._mask(ids, special, offsets, draws)
        return batch

    def _padded_offsets(self, rows: Sequence[Any], length: int) -> np.ndarray[Any, Any]:
        result = np.zeros((len(rows), length, 2), dtype=np.int64)
        for number, row in enumerate(rows):
            values = np.asarray(row, dtype=np.int64).reshape(-1, 2)
            if self.tokenizer.padding_side == "right":
                result[number, : len(values)] = values
            else:
                result[number, length - len(values) :] = values
        return result

    def torch_mask_tokens(self, inputs: Any, special_tokens_mask: Any = None, offset_mapping: Any = None) -> Any:
        """(inputs with hidden tokens, labels) of a torch tensor [rows, tokens]."""
        return self._mask(inputs, special_tokens_mask, offset_mapping, self.draws("pt"))

    def numpy_mask_tokens(self, inputs: Any, special_tokens_mask: Any = None, offset_mapping: Any = None) -> Any:
        """(inputs with hidden tokens, labels) of a numpy array [rows, tokens]."""
        return self._mask(inputs, special_tokens_mask, offset_mapping, self.draws("np"))

    def _mask(self, ids: Any, special: Any, offsets: Any, draws: Draws) -> tuple[Any, Any]:
        special = special_positions(self.tokenizer, ids, draws) if special is None else draws.booleans(special)
        words = None
        if self.whole_word_mask:
            if offsets is None:
                raise ConfigError(
                    "whole_word_mask=True needs rows with offset_mapping: tokenize with return_offsets_mapping=True "
                    "and keep that column."
                )
            words = word_numbers(np.asarray(offsets), np.asarray(special))
            special = draws.booleans(~word_starts(words))
        chosen = draws.chance(draws.shares(self.mlm_probability, ids.shape, never=special), ids.shape)
        if words is not None:
            chosen = draws.booleans(spread(words, np.asarray(chosen)))
        return self._replace(ids, chosen, draws)

    def _replace(self, ids: Any, chosen: Any, draws: Draws, draw_all_words: bool = False) -> tuple[Any, Any]:
        ids, labels = draws.copy(ids), draws.copy(ids)
        labels[~chosen] = IGNORED
        masked = draws.chance(self.mask_replace_prob, ids.shape) & chosen
        ids[masked] = self.tokenizer.mask_token_id
        if self.mask_replace_prob < 1 and self.random_replace_prob > 0:
            share = self.random_replace_prob / (1 - self.mask_replace_prob)
            other = draws.chance(share, ids.shape) & chosen & ~masked
            ids[other] = draws.words(len(self.tokenizer), other, draw_all_words)
        return ids, labels


def word_numbers(offsets: np.ndarray[Any, Any], special: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """[rows, tokens]: the number of each token's word, -1 for special tokens.

    A word starts where a token does not begin at the character where the one before ends.
    """
    ends_before = np.concatenate([np.full((len(offsets), 1), -1), offsets[:, :-1, 1]], axis=1)
    special_before = np.concatenate([np.zeros((len(special), 1), dtype=bool), special[:, :-1]], axis=1)
    starts = ~special & ((offsets[:, :, 0] != ends_before) | special_before)
    return np.where(special, -1, np.cumsum(starts, axis=1))


def word_starts(words: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """[rows, tokens]: whether a token is the first of its word."""
    before = np.concatenate([np.full((len(words), 1), -1), words[:, :-1]], axis=1)
    first: np.ndarray[Any, Any] = np.logical_and(words != -1, words != before)
    return first


def spread(words: np.ndarray[Any, Any], chosen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """[rows, tokens]: whether any token of the same word is chosen."""
    return np.stack(
        [np.isin(row, np.unique(row[picked & (row != -1)])) for row, picked in zip(words, chosen, strict=True)]
    )


@dataclass
class DataCollatorForWholeWordMask(DataCollatorForLanguageModeling):
    """Hide whole words of a WordPiece tokenizer, whose tokens inside of words start with "##".

    As many tokens are predicted as `mlm_probability` says; a row may mark tokens as inner ones with "chinese_ref",
    their positions.
    """

    def _batch(self, examples: Sequence[Any], kind: str) -> Any:
        draws = self.draws(kind)
        rows = [example if isinstance(example, Mapping) else {"input_ids": example} for example in examples]
        ids_only = [{"input_ids": row["input_ids"]} for row in rows]
        batch = padded_ids(ids_only, self.tokenizer, self.pad_to_multiple_of, kind)
        ids = batch["input_ids"]
        chosen = np.zeros(ids.shape, dtype=bool)
        for number, row in enumerate(rows):
            picked = self._pick(self._pieces(row), draws)
            length = len(row["input_ids"])
            start = 0 if self.tokenizer.padding_side == "right" else ids.shape[1] - length
            chosen[number, start + np.asarray(sorted(picked), dtype=np.int64)] = True
        batch["input_ids"], batch["labels"] = self._mask_chosen(ids, draws.booleans(chosen), draws)
        return batch

    def _pieces(self, row: Mapping[str, Any]) -> list[str]:
        ids = np.asarray(row["input_ids"]).tolist()
        inner = set(np.asarray(row.get("chinese_ref", [])).tolist())
        pieces = self.tokenizer.convert_ids_to_tokens(ids)
        return [f"##{piece}" if place in inner else piece for place, piece in enumerate(pieces)]

    def _pick(self, pieces: Sequence[str], draws: Draws) -> set[int]:
        """Places of whole words, drawn until the share is reached; words that would exceed it are left out."""
        words: list[list[int]] = []
        for place, piece in enumerate(pieces):
            if piece in ("[CLS]", "[SEP]"):
                continue
            if words and piece.startswith("##"):
                words[-1].append(place)
            else:
                words.append([place])
        if self.seed is None:
            random.shuffle(words)
        else:
            words = draws.shuffled(words)
        wanted = min(MOST_PREDICTIONS, max(1, round(len(pieces) * self.mlm_probability)))
        picked: set[int] = set()
        for word in words:
            if len(picked) + len(word) <= wanted:
                picked.update(word)
        return picked

    def _mask_chosen(self, ids: Any, chosen: Any, draws: Draws) -> tuple[Any, Any]:
        hidden = special_positions(self.tokenizer, ids, draws)
        if self.tokenizer.pad_token_id is not None:
            hidden = hidden | (ids == self.tokenizer.pad_token_id)
        return self._replace(ids, chosen & ~hidden, draws, draw_all_words=True)

    def torch_mask_tokens(self, inputs: Any, mask_labels: Any) -> Any:  # type: ignore[override]
        """(inputs with hidden tokens, labels); `mask_labels` [rows, tokens] are 1 where tokens are to be predicted."""
        draws = self.draws("pt")
        return self._mask_chosen(inputs, draws.booleans(mask_labels), draws)

    def numpy_mask_tokens(self, inputs: Any, mask_labels: Any) -> Any:  # type: ignore[override]
        """(inputs with hidden tokens, labels); `mask_labels` [rows, tokens] are 1 where tokens are to be predicted."""
        draws = self.draws("np")
        return self._mask_chosen(inputs, draws.booleans(mask_labels), draws)
