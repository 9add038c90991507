"""Tokenizers that cut text into tokens in Python, for models whose way the `tokenizers` library does not know."""

from __future__ import annotations

import re
from typing import Any

from tokenizers import AddedToken

from ..errors import InputError, InputTypeError
from .batch_encoding import BatchEncoding
from .encode_options import EncodeOptions
from .tokenizer_base import PreTrainedTokenizerBase


class PreTrainedTokenizer(PreTrainedTokenizerBase):
    """Base of Python tokenizers: a subclass gives `vocab_size`, `get_vocab`, `_tokenize`, `_convert_token_to_id` and
    `_convert_id_to_token`, and sets up its vocabulary before it calls this constructor.

    Args:
        added_tokens_decoder: added tokens by id.
        kwargs: see `PreTrainedTokenizerBase`.
    """

    def __init__(self, added_tokens_decoder: dict[int, AddedToken] | None = None, **kwargs: Any) -> None:
        self._added: dict[int, AddedToken] = dict(added_tokens_decoder or {})
        self._added_ids: dict[str, int] = {token.content: index for index, token in self._added.items()}
        self._pattern: re.Pattern[str] | None = None
        super().__init__(**kwargs)
        self._add_tokens(
            [token for token in self.all_special_tokens_extended if str(token) not in self._added_ids],
            special_tokens=True,
        )
        self._compile()

    # -- what a subclass gives --------------------------------------------------------------------------------
    def _tokenize(self, text: str) -> list[str]:
        raise NotImplementedError

    def _convert_token_to_id(self, token: str) -> int | None:
        raise NotImplementedError

    def _convert_id_to_token(self, index: int) -> str | None:
        raise NotImplementedError

    def prepare_for_tokenization(self, text: str, is_split_into_words: bool = False) -> str:
        """Hook: change a text before it is cut."""
        return text

    # -- vocabulary -------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(set(self.get_vocab().values()) | set(self._added))

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """The added tokens by id."""
        return dict(sorted(self._added.items()))

    def _add_tokens(self, new_tokens: list[str | AddedToken], special_tokens: bool = False) -> int:
        vocabulary = self.get_vocab()
        count = 0
        following = max(max(vocabulary.values(), default=-1), max(self._added, default=-1), self.vocab_size - 1) + 1
        for token in new_tokens:
            if not isinstance(token, AddedToken):
                special = special_tokens or token in self.all_special_tokens
                token = AddedToken(token, normalized=not special, special=special)
            token.special = token.special or special_tokens
            if not token.content:
                continue
            index = self._added_ids.get(token.content, vocabulary.get(token.content))
            if index is None:
                index = following
                following += 1
                count += 1
            self._added[index] = token
            self._added_ids[token.content] = index
        self._compile()
        return count

    def _compile(self) -> None:
        """The pattern that finds added tokens in texts, longer ones first."""
        tokens = sorted(self._added.values(), key=lambda token: -len(token.content))
        parts = []
        for token in tokens:
            part = re.escape(token.content)
            if token.single_word:
                part = rf"(?<!\w){part}(?!\w)"
            parts.append((r"\s*" if token.lstrip else "") + part + (r"\s*" if token.rstrip else ""))
        self._pattern = re.compile("(" + "|".join(parts) + ")") if parts else None

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The id of a token, or the ids of several; unknown tokens become `unk_token_id`."""
        if tokens is None:
            return None
        if isinstance(tokens, str):
            return self._added_ids[tokens] if tokens in self._added_ids else self._convert_token_to_id(tokens)
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of an id, or the tokens of several."""
        if hasattr(ids, "tolist"):
            ids = ids.tolist()
        if isinstance(ids, int):
            return self._added[ids].content if ids in self._added else self._convert_id_to_token(ids)
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self.convert_ids_to_tokens(int(index)) for index in ids if int(index) not in skipped]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text that tokens stand for."""
        return " ".join(tokens)

    # -- encoding and decoding --------------------------------------------------------------------------------
    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of a text; added tokens stay whole."""
        if not isinstance(text, str):
            raise InputTypeError(f"tokenize takes a string, not {type(text).__name__}")
        text = self.prepare_for_tokenization(text)
        split = options.get("split_special_tokens", self.split_special_tokens)
        tokens: list[str] = []
        for part in self._pattern.split(text) if self._pattern is not None and not split else [text]:
            if not part:
                continue
            stripped = part.strip() if part.strip() in self._added_ids else part
            if stripped in self._added_ids and not split:
                tokens.append(stripped)
            else:
                tokens += self._tokenize(part)
        return tokens + self.tokenize(pair, **options) if pair is not None else tokens

    def _ids(self, text: Any, options: EncodeOptions) -> list[int]:
        if isinstance(text, str):
            return self.convert_tokens_to_ids(self.tokenize(text, split_special_tokens=options.split_special_tokens))
        if isinstance(text, list | tuple) and text and all(isinstance(item, int) for item in text):
            return list(text)
        if isinstance(text, list | tuple) and all(isinstance(item, str) for item in text):
            if not options.is_split_into_words:
                return self.convert_tokens_to_ids(list(text))
            words = [self.tokenize(self.prepare_for_tokenization(word, True)) for word in text]
            return self.convert_tokens_to_ids([token for word in words for token in word])
        raise InputTypeError(f"A text is a string, a list of words or a list of ids, not {text!r:.80}")

    def _encode_batch(self, inputs: list[Any], options: EncodeOptions) -> BatchEncoding:
        if options.return_offsets_mapping:
            raise InputError(
                f"{type(self).__name__} works in Python and knows no offsets: leave return_offsets_mapping out"
            )
        rows = []
        for item in inputs:
            text, pair = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
            first = self._ids(text, options)
            rows.append(self.prepare_row(first, None if pair is None else self._ids(pair, options), options))
            if options.return_length:
                rows[-1]["length"] = len(rows[-1]["input_ids"])
        self.warn_too_long([row["input_ids"] for row in rows], options)
        encoded = self.pad(
            {key: [row[key] for row in rows] for key in rows[0]},
            padding=options.padding,
            max_length=options.max_length,
            pad_to_multiple_of=options.pad_to_multiple_of,
            padding_side=options.padding_side,
            return_attention_mask=options.return_attention_mask,
        )
        return encoded.convert_to_tensors(options.return_tensors)

    def _without_batch(self, encoded: BatchEncoding, options: EncodeOptions) -> BatchEncoding:
        return BatchEncoding({key: value[0] for key, value in encoded.items()})

    def _decode(
        self, ids: list[int], skip_special_tokens: bool, spaces_between_special_tokens: bool = True, **kwargs: Any
    ) -> str:
        # Added tokens stand alone: subclasses join only the tokens of their own vocabulary.
        further = {token for token in self.additional_special_tokens if self._added_ids[token] >= self.vocab_size}
        added = (set(self._added_ids) - set(self.all_special_tokens)) | further
        parts: list[str] = []
        words: list[str] = []
        for token in self.convert_ids_to_tokens(ids, skip_special_tokens):
            if token in added:
                if words:
                    parts.append(self.convert_tokens_to_string(words))
                    words = []
                parts.append(token)
            else:
                words.append(token)
        if words:
            parts.append(self.convert_tokens_to_string(words))
        return (" " if spaces_between_special_tokens else "").join(parts)
