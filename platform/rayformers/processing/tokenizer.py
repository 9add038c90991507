"""The tokenizer over the `tokenizers` library: one class for every model that has a tokenizer.json or can get one."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import AddedToken, Encoding, Tokenizer
from tokenizers import pre_tokenizers as pre_tokenizer_kinds

from ..errors import InputError
from .batch_encoding import BatchEncoding
from .encode_options import EncodeOptions, PaddingStrategy, TruncationStrategy
from .post_processor import fill, layout
from .tokenizer_backend import explain, read_tokenizer, with_strategies
from .tokenizer_base import PreTrainedTokenizerBase


class PreTrainedTokenizerFast(PreTrainedTokenizerBase):
    """A tokenizer with a `tokenizers.Tokenizer` behind it.

    Args:
        vocab_file: an older vocabulary of the model (vocab.txt, vocab.json, spiece.model), which is converted.
        merges_file: the merges that belong to a vocab.json.
        tokenizer_file: a tokenizer.json.
        tokenizer_object: a `tokenizers.Tokenizer` (copied).
        vocab, merges: the older vocabulary itself, instead of its files.
        kwargs: see `PreTrainedTokenizerBase`.

    Raises:
        NotFoundError: a file is missing.
        CheckpointError: a file is corrupt.
        InputError: nothing to make a tokenizer of.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {"tokenizer_file": "tokenizer.json"}
    converter: ClassVar[str | None] = None
    """The name in `convert.CONVERTERS` of what makes a `tokenizers.Tokenizer` of the model's older vocabulary."""
    conversion_defaults: ClassVar[dict[str, Any]] = {}
    """Options that hold only where an older vocabulary is converted."""
    is_fast = True

    def __init__(
        self,
        vocab_file: str | None = None,
        merges_file: str | None = None,
        tokenizer_file: str | None = None,
        tokenizer_object: Tokenizer | None = None,
        vocab: Any = None,
        merges: Any = None,
        added_tokens_decoder: Mapping[int, AddedToken] | None = None,
        **kwargs: Any,
    ) -> None:
        self.vocab_file, self.merges_file = vocab_file, merges_file
        converted = tokenizer_object is None and tokenizer_file is None
        if tokenizer_object is not None:
            self._tokenizer = Tokenizer.from_str(tokenizer_object.to_str())
        elif tokenizer_file is not None:
            self._tokenizer = read_tokenizer(Path(tokenizer_file))
        else:
            kwargs = {**self.conversion_defaults, **kwargs}
            settings = {**self.defaults, **kwargs, "added_tokens_decoder": added_tokens_decoder or {}}
            self._tokenizer = self._convert(vocab_file, merges_file, vocab, merges, settings)
        self._saved_truncation, self._saved_padding = self._tokenizer.truncation, self._tokenizer.padding
        self._take_settings_of_file(kwargs)
        self._lock = threading.RLock()
        super().__init__(**kwargs)
        self._tokenizer.encode_special_tokens = self.split_special_tokens
        self._add_missing_tokens(added_tokens_decoder or {}, converted)
        if converted:
            self._tokenizer.post_processor = self._converted_post_processor()
        self._configure_backend()

    def _convert(
        self, vocab_file: Any, merges_file: Any, vocab: Any, merges: Any, settings: dict[str, Any]
    ) -> Tokenizer:
        from .convert import convert

        if self.converter is None or (vocab_file is None and vocab is None):
            expects = ", ".join(self.vocab_files_names)
            raise InputError(
                f"{type(self).__name__} needs a vocabulary: give tokenizer_object=, tokenizer_file= or its own files "
                f"({expects}), or load one with {type(self).__name__}.from_pretrained"
            )
        return convert(self.converter, vocab_file=vocab_file, merges_file=merges_file, vocab=vocab, merges=merges,
                       settings=settings)  # fmt: skip

    def _converted_post_processor(self) -> Any:
        """The post-processor of a converted vocabulary: what puts special tokens around texts."""
        return None

    def _take_settings_of_file(self, kwargs: dict[str, Any]) -> None:
        """A tokenizer.json may carry padding and truncation: they name the padding token and the sides."""
        if self._saved_padding is not None:
            kwargs.setdefault("pad_token", self._saved_padding["pad_token"])
            kwargs.setdefault("pad_token_type_id", self._saved_padding["pad_type_id"])
            kwargs.setdefault("padding_side", self._saved_padding["direction"])
        if self._saved_truncation is not None:
            kwargs.setdefault("truncation_side", self._saved_truncation["direction"])

    def _add_missing_tokens(self, decoder: Mapping[int, AddedToken], converted: bool) -> None:
        """Add the tokens that the settings name and the vocabulary lacks, or holds with other properties.

        A tokenizer.json knows its special tokens best; an older vocabulary knows only their texts.
        """
        known = {repr(token) for token in self.added_tokens_decoder.values()}
        special = set(self.all_special_tokens)
        tokens: list[AddedToken] = [token for _, token in sorted(decoder.items()) if repr(token) not in known]
        given = {token.content for token in decoder.values()}
        contents = {*self.added_tokens_encoder, *(token.content for token in tokens)}
        for token in self.all_special_tokens_extended:
            differs = converted and isinstance(token, AddedToken) and repr(token) not in known
            if str(token) not in contents or (differs and str(token) not in given):
                tokens.append(
                    token if isinstance(token, AddedToken) else AddedToken(token, special=True, normalized=False)
                )
        for token in tokens:
            token.special = token.special or token.content in special
        # One call keeps their order, which gives new tokens their ids.
        self._tokenizer.add_tokens(tokens)

    def _configure_backend(self) -> None:
        """Bring the pre-tokenizer in line with `add_prefix_space`; models with more options extend this."""
        wanted = self.init_kwargs.get("add_prefix_space")
        if wanted is None:
            wanted = False
        pre_tokenizer = self._tokenizer.pre_tokenizer
        if pre_tokenizer is None or not hasattr(pre_tokenizer, "add_prefix_space"):
            return
        state = json.loads(pre_tokenizer.__getstate__())
        if state.get("add_prefix_space", wanted) != wanted:
            state["add_prefix_space"] = wanted
            kind = getattr(pre_tokenizer_kinds, state.pop("type"))
            self._tokenizer.pre_tokenizer = kind(**state)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__["_lock"] = threading.RLock()

    # -- vocabulary -------------------------------------------------------------------------------------------
    @property
    def backend_tokenizer(self) -> Tokenizer:
        """The `tokenizers.Tokenizer`."""
        return self._tokenizer

    @property
    def decoder(self) -> Any:
        """The decoder of the `tokenizers.Tokenizer`."""
        return self._tokenizer.decoder

    @property
    def vocab_size(self) -> int:
        """The size of the vocabulary without added tokens."""
        return self._tokenizer.get_vocab_size(with_added_tokens=False)

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def get_vocab(self) -> dict[str, int]:
        """Tokens to ids, added tokens included."""
        return self._tokenizer.get_vocab(with_added_tokens=True)

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """The added tokens by id."""
        return self._tokenizer.get_added_tokens_decoder()

    def _add_tokens(self, new_tokens: list[str | AddedToken], special_tokens: bool = False) -> int:
        with self._lock:
            if special_tokens:
                return self._tokenizer.add_special_tokens(new_tokens)
            return self._tokenizer.add_tokens(new_tokens)

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The id of a token, or the ids of several; unknown tokens become `unk_token_id`."""
        if tokens is None:
            return None
        if isinstance(tokens, str):
            index = self._tokenizer.token_to_id(tokens)
            if index is None and tokens != self.unk_token:
                index = self.unk_token_id
            return index
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of an id, or the tokens of several (None for ids outside of the vocabulary)."""
        if hasattr(ids, "tolist"):
            ids = ids.tolist()
        if isinstance(ids, int):
            return self._tokenizer.id_to_token(ids)
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._tokenizer.id_to_token(int(index)) for index in ids if int(index) not in skipped]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text that tokens stand for."""
        decoder = self._tokenizer.decoder
        return decoder.decode(list(tokens)) if decoder is not None else " ".join(tokens)

    # -- special tokens around ids ----------------------------------------------------------------------------
    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """The ids of one or two sequences with special tokens around them."""
        slots = layout(self._tokenizer, token_ids_1 is not None)
        return [index for index, _ in fill(slots, token_ids_0, token_ids_1)]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """The token type ids of one or two sequences with special tokens around them."""
        slots = layout(self._tokenizer, token_ids_1 is not None)
        return [type_id for _, type_id in fill(slots, token_ids_0, token_ids_1)]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens a text, or a pair of texts, gets."""
        return self._tokenizer.num_special_tokens_to_add(pair)

    # -- encoding and decoding --------------------------------------------------------------------------------
    def set_truncation_and_padding(
        self,
        padding_strategy: PaddingStrategy,
        truncation_strategy: TruncationStrategy,
        max_length: int | None,
        stride: int,
        pad_to_multiple_of: int | None,
        padding_side: str | None = None,
    ) -> None:
        """Switch the backend to these strategies where it is not already (lengths in tokens)."""
        backend = self._tokenizer
        if truncation_strategy is TruncationStrategy.DO_NOT_TRUNCATE:
            if backend.truncation is not None:
                backend.no_truncation()
        else:
            truncation: dict[str, Any] = {
                "max_length": max_length,
                "stride": stride,
                "strategy": truncation_strategy.value,
                "direction": self.truncation_side,
            }
            if backend.truncation != truncation:
                backend.enable_truncation(**truncation)
        if padding_strategy is PaddingStrategy.DO_NOT_PAD:
            if backend.padding is not None:
                backend.no_padding()
            return
        padding = {
            "length": max_length if padding_strategy is PaddingStrategy.MAX_LENGTH else None,
            "direction": padding_side or self.padding_side,
            "pad_id": self.pad_token_id,
            "pad_token": self.pad_token,
            "pad_type_id": self.pad_token_type_id,
            "pad_to_multiple_of": pad_to_multiple_of,
        }
        if backend.padding != padding:
            backend.enable_padding(**padding)

    words_need_prefix_space: ClassVar[bool] = False
    """Whether is_split_into_words makes sense only with add_prefix_space=True (byte-level vocabularies)."""

    def _encodings(self, inputs: list[Any], options: EncodeOptions) -> list[Encoding]:
        if (
            options.is_split_into_words
            and self.words_need_prefix_space
            and not self.init_kwargs.get("add_prefix_space")
        ):
            raise InputError(
                f"Words can only be tokenized by a {type(self).__name__} that puts a space before each: load it "
                "with add_prefix_space=True"
            )
        # Strategies are state of the backend: threads that share a tokenizer take turns.
        with self._lock:
            self._check_room(inputs, options)
            self.set_truncation_and_padding(
                options.padding, options.truncation, options.max_length, options.stride, options.pad_to_multiple_of,
                options.padding_side,
            )  # fmt: skip
            if self._tokenizer.encode_special_tokens != options.split_special_tokens:
                self._tokenizer.encode_special_tokens = options.split_special_tokens
            try:
                return self._tokenizer.encode_batch(
                    inputs, add_special_tokens=options.add_special_tokens, is_pretokenized=options.is_split_into_words
                )
            except (TypeError, UnicodeError, ValueError) as error:
                raise explain(inputs, options, error) from error
            except BaseException as error:
                # The library raises bare Exception where nothing is left to truncate, and panics (no Exception at all)
                # where a stride is too great for the shorter text of a pair.
                if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                    raise
                raise InputError(f"These texts cannot be tokenized with these options: {error}") from error

    def _check_room(self, inputs: list[Any], options: EncodeOptions) -> None:
        if options.truncation is TruncationStrategy.DO_NOT_TRUNCATE or options.max_length is None:
            return
        pair = bool(inputs) and isinstance(inputs[0], tuple)
        special = self._tokenizer.num_special_tokens_to_add(pair) if options.add_special_tokens else 0
        if options.max_length < special:
            raise InputError(f"max_length={options.max_length} has no room for the {special} special tokens of a text")
        if options.stride and options.stride >= options.max_length - special:
            raise InputError(
                f"stride={options.stride} tokens must be smaller than what max_length={options.max_length} leaves for "
                f"text beside {special} special tokens ({options.max_length - special})"
            )

    def _encode_batch(self, inputs: list[Any], options: EncodeOptions) -> BatchEncoding:
        encodings = self._encodings(inputs, options)
        names = self.model_input_names
        data: dict[str, Any] = {}
        samples = None
        if options.return_overflowing_tokens:
            parts = [[encoding, *encoding.overflowing] for encoding in encodings]
            samples = [index for index, part in enumerate(parts) for _ in part]
            encodings = [encoding for part in parts for encoding in part]
        data["input_ids"] = [encoding.ids for encoding in encodings]
        if options.return_token_type_ids or (options.return_token_type_ids is None and "token_type_ids" in names):
            data["token_type_ids"] = [encoding.type_ids for encoding in encodings]
        if options.return_attention_mask or (options.return_attention_mask is None and "attention_mask" in names):
            data["attention_mask"] = [encoding.attention_mask for encoding in encodings]
        if options.return_special_tokens_mask:
            data["special_tokens_mask"] = [encoding.special_tokens_mask for encoding in encodings]
        if options.return_offsets_mapping:
            data["offset_mapping"] = [encoding.offsets for encoding in encodings]
        if options.return_length:
            data["length"] = [len(encoding) for encoding in encodings]
        if samples is not None:
            data["overflow_to_sample_mapping"] = samples
        self.warn_too_long(data["input_ids"], options)
        return BatchEncoding(data, encodings, tensor_type=options.return_tensors)

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of a text."""
        return self(text, pair, add_special_tokens=add_special_tokens, **options).tokens()

    def _decode(self, ids: list[int], skip_special_tokens: bool, **kwargs: Any) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)

    # -- files and training -----------------------------------------------------------------------------------
    def save_backend(self, folder: Path, prefix: str) -> list[Path]:
        """Write tokenizer.json, with the padding and truncation that it came with, not those of the last call."""
        from .tokenizer_files import write

        path = folder / f"{prefix}tokenizer.json"
        write(path, with_strategies(self._tokenizer, self._saved_padding, self._saved_truncation))
        return [path]

    def save_vocabulary(
        self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write the vocabulary in the model's older form and return the paths; none where it has no older form."""
        from .convert import save_older_vocabulary

        return save_older_vocabulary(self, Path(save_directory), filename_prefix)

    def train_new_from_iterator(
        self,
        text_iterator: Iterable[Any],
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: list[str | AddedToken] | None = None,
        special_tokens_map: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> PreTrainedTokenizerFast:
        """A tokenizer of the same kind (same pipeline, same special tokens) with a vocabulary trained on new texts.

        Args:
            text_iterator: texts, or batches of texts.
            vocab_size: the size of the new vocabulary.
            length: how many items the iterator has, for the progress bar.
            new_special_tokens: further special tokens.
            special_tokens_map: new names of special tokens, by old name.
            kwargs: further options of the trainer in `tokenizers`.
        """
        from .tokenizer_training import train_like

        return train_like(self, text_iterator, vocab_size, length, new_special_tokens, special_tokens_map, **kwargs)
