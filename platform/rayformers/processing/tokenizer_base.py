"""What every tokenizer does, whatever turns its text into tokens."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tokenizers import AddedToken

from ..errors import InputError, InputTypeError
from . import padding as padding_module
from .batch_encoding import BatchEncoding, is_tensor
from .chat import ChatMixin
from .encode_options import LARGEST_LENGTH_TOKENS, NO_LENGTH_LIMIT_TOKENS, EncodeOptions, check_side, resolve_options
from .prepare import PrepareMixin
from .special_tokens import SpecialTokensMixin
from .tokenizer_files import FilesMixin

logger = logging.getLogger(__name__)

# English spacing that word-level decoding leaves behind.
_CLEANUPS = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
    (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


class PreTrainedTokenizerBase(SpecialTokensMixin, PrepareMixin, ChatMixin, FilesMixin):
    """Texts to model inputs and back. Use `AutoTokenizer.from_pretrained`, or a model's tokenizer class.

    Args:
        kwargs: special tokens by name, `model_max_length` (tokens), `padding_side` and `truncation_side` ("left" or
            "right"), `model_input_names`, `chat_template`, `clean_up_tokenization_spaces`, `split_special_tokens`,
            `extra_special_tokens`; further options are kept in `init_kwargs` and written back on saving.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {}
    model_input_names: list[str] = ["input_ids", "token_type_ids", "attention_mask"]  # noqa: RUF012  a class default
    padding_side: str = "right"
    truncation_side: str = "right"
    defaults: ClassVar[dict[str, Any]] = {}
    """Options of the class that hold where the caller and the files say nothing."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs = {**self.defaults, **kwargs}
        self.init_kwargs = dict(kwargs)
        self.name_or_path: str = kwargs.pop("name_or_path", "")
        length = kwargs.pop("model_max_length", kwargs.pop("max_len", None))
        self.model_max_length = NO_LENGTH_LIMIT_TOKENS if length is None else int(length)
        for side in ("padding_side", "truncation_side"):
            value = kwargs.pop(side, getattr(type(self), side))
            check_side(side, value)
            setattr(self, side, value)
        self.model_input_names = list(kwargs.pop("model_input_names", type(self).model_input_names))
        self.clean_up_tokenization_spaces = bool(kwargs.pop("clean_up_tokenization_spaces", False))
        self.split_special_tokens = kwargs.pop("split_special_tokens", False)
        self.chat_template = _named_templates(kwargs.pop("chat_template", None))
        self._logged: set[str] = set()
        extra = kwargs.pop("extra_special_tokens", None)
        named = kwargs.pop("model_specific_special_tokens", None)
        super().__init__(**kwargs)
        if "pad_token_type_id" in kwargs:
            self._pad_token_type_id = kwargs["pad_token_type_id"]
        self._name_extra_tokens(extra)
        self._name_extra_tokens(named)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            # Options that only the files know (do_lower_case, legacy, ...) can be read as attributes.
            options = self.__dict__.get("init_kwargs", {})
            if name in options and not name.startswith("_"):
                return options[name]
            raise

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"model_max_length={self.model_max_length}, is_fast={self.is_fast}, padding_side={self.padding_side!r}, "
            f"truncation_side={self.truncation_side!r}, special_tokens={self.special_tokens_map!r})"
        )

    def __bool__(self) -> bool:
        return True

    def log_once(self, message: str, verbose: bool = True) -> None:
        """Log a warning the first time that this tokenizer meets its reason."""
        if verbose and message not in self._logged:
            self._logged.add(message)
            logger.warning(message)

    # -- what a kind of tokenizer implements ------------------------------------------------------------------
    is_fast: bool = False

    @property
    def vocab_size(self) -> int:
        """The size of the vocabulary without added tokens."""
        raise NotImplementedError

    def get_vocab(self) -> dict[str, int]:
        """Tokens to ids, added tokens included."""
        raise NotImplementedError

    @property
    def vocab(self) -> dict[str, int]:
        """Tokens to ids, added tokens included."""
        return self.get_vocab()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """The added tokens by id."""
        raise NotImplementedError

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """The ids of the added tokens."""
        return {token.content: index for index, token in sorted(self.added_tokens_decoder.items())}

    def get_added_vocab(self) -> dict[str, int]:
        """The ids of the added tokens."""
        return self.added_tokens_encoder

    def _encode_batch(self, inputs: list[Any], options: EncodeOptions) -> BatchEncoding:
        """Encode texts, pairs (tuples) or lists of words; every value has a batch axis."""
        raise NotImplementedError

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The id of a token, or the ids of several; unknown tokens become `unk_token_id`."""
        raise NotImplementedError

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of an id, or the tokens of several."""
        raise NotImplementedError

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text that tokens stand for."""
        raise NotImplementedError

    def _decode(self, ids: list[int], skip_special_tokens: bool, **kwargs: Any) -> str:
        raise NotImplementedError

    # -- encoding ---------------------------------------------------------------------------------------------
    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: Any = None,
        text_pair_target: Any = None,
        **options: Any,
    ) -> BatchEncoding:
        """Model inputs of a text, of a pair of texts, or of a batch.

        Args:
            text: a string; a list of strings; a list of pairs; with `is_split_into_words` words, or lists of words.
            text_pair: the second sequences, of the same form.
            text_target: target texts; alone they are encoded as targets, else their ids become `labels`.
            text_pair_target: the second sequences of the targets.
            options: add_special_tokens, padding, truncation, max_length, stride, is_split_into_words,
                pad_to_multiple_of, padding_side, return_tensors ("pt", "np"), return_token_type_ids,
                return_attention_mask, return_overflowing_tokens, return_special_tokens_mask, return_offsets_mapping,
                return_length, verbose, split_special_tokens (lengths in tokens).

        Raises:
            InputError: inputs or options that cannot be used; the message says which and why.
        """
        if text is None and text_target is None:
            raise InputError("Give the tokenizer a text, or text_target=")
        options.setdefault("split_special_tokens", self.split_special_tokens)
        inputs = targets = None
        if text is not None:
            self._switch_to_input_mode()
            inputs = self._encode(text, text_pair, options)
        if text_target is not None:
            self._switch_to_target_mode()
            targets = self._encode(text_target, text_pair_target, options)
        self._switch_to_input_mode()
        if inputs is not None and targets is not None:
            inputs["labels"] = targets["input_ids"]
        return inputs if inputs is not None else targets  # type: ignore[return-value]

    def _encode(self, text: Any, text_pair: Any, options: Mapping[str, Any]) -> BatchEncoding:
        resolved = resolve_options(self, **options)
        inputs, batched = batch_of(text, text_pair, resolved.is_split_into_words)
        encoded = self._encode_batch(inputs, resolved)
        return encoded if batched or resolved.return_tensors is not None else self._without_batch(encoded, resolved)

    def _without_batch(self, encoded: BatchEncoding, options: EncodeOptions) -> BatchEncoding:
        """The encoding of one text without its batch axis, unless overflowing parts made it a batch."""
        if options.return_overflowing_tokens:
            return encoded
        data = {key: value[0] if len(value) and isinstance(value[0], list) else value for key, value in encoded.items()}
        return BatchEncoding(data, encoded.encodings, n_sequences=encoded.n_sequences)

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> list[int]:
        """The ids of one text or pair; the options of a call. Words or tokens may be given as a list."""
        return self.encode_plus(text, text_pair, **options)["input_ids"]

    def encode_plus(self, text: Any, text_pair: Any = None, **options: Any) -> BatchEncoding:
        """The model inputs of one text or pair; the options of a call."""
        return self(text, text_pair, **options)

    def batch_encode_plus(self, batch_text_or_text_pairs: Sequence[Any], **options: Any) -> BatchEncoding:
        """The model inputs of a list of texts, or of (text, text) pairs; the options of a call."""
        if not isinstance(batch_text_or_text_pairs, list | tuple):
            raise InputTypeError(f"batch_encode_plus takes a list, not {type(batch_text_or_text_pairs).__name__}")
        return self(list(batch_text_or_text_pairs), **options)

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of a text."""
        ids = self(text, pair, add_special_tokens=add_special_tokens, **options)["input_ids"]
        return self.convert_ids_to_tokens(ids)

    def _switch_to_input_mode(self) -> None:
        """Hook: what follows are source texts."""

    def _switch_to_target_mode(self) -> None:
        """Hook: what follows are target texts."""

    def warn_too_long(self, rows: Sequence[Sequence[int]], options: EncodeOptions) -> None:
        """Log once that a sequence is longer than the model reads, where nobody asked for truncation."""
        if options.max_length is None and options.verbose and self.model_max_length <= LARGEST_LENGTH_TOKENS:
            longest = max((len(row) for row in rows), default=0)
            if longest > self.model_max_length:
                self.log_once(
                    f"A text has {longest} tokens, more than the model's {self.model_max_length}: the model will fail "
                    "or read nonsense. Pass truncation=True."
                )

    # -- padding and decoding ---------------------------------------------------------------------------------
    def pad(
        self,
        encoded_inputs: Any,
        padding: Any = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: Any = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Pad tokenized inputs (a dict of lists, or a list of dicts) to one length in tokens; other keys are kept.

        Raises:
            InputError: the inputs cannot be used, or there is no padding token.
        """
        return padding_module.pad_inputs(
            self,
            encoded_inputs,
            padding=padding,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
            return_attention_mask=return_attention_mask,
            return_tensors=return_tensors,
        )

    def pad_rows(self, data: dict[str, Any], missing: list[int], side: str) -> None:
        """Extend each row by `missing` paddings, in place; tokenizers with more inputs add their own."""
        fillers = {
            self.model_input_names[0]: self.pad_token_id,
            "attention_mask": 0,
            "token_type_ids": self.pad_token_type_id,
            "special_tokens_mask": 1,
        }
        padding_module.pad_rows(data, missing, side, fillers)

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """The text of a sequence of ids (list, array or tensor); a list of texts for a batch of sequences.

        Args:
            skip_special_tokens: leave special tokens out.
            clean_up_tokenization_spaces: remove the space before English punctuation; default as the files say.
        """
        ids = token_ids.tolist() if is_tensor(token_ids) else token_ids
        if hasattr(ids, "input_ids"):
            ids = ids["input_ids"]
        ids = list(ids) if hasattr(ids, "__iter__") and not isinstance(ids, str) else [ids]
        if ids and hasattr(ids[0], "__iter__") and not isinstance(ids[0], str):
            return self.batch_decode(ids, skip_special_tokens, clean_up_tokenization_spaces, **kwargs)
        text = self._decode(_whole_numbers(ids), skip_special_tokens, **kwargs)
        clean = (
            self.clean_up_tokenization_spaces if clean_up_tokenization_spaces is None else clean_up_tokenization_spaces
        )
        return self.clean_up_tokenization(text) if clean else text

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """The texts of several sequences of ids."""
        rows = sequences.tolist() if is_tensor(sequences) else sequences
        return [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces, **kwargs) for row in rows]

    @staticmethod
    def clean_up_tokenization(out_string: str) -> str:
        """`out_string` without the spaces that tokenization puts before English punctuation and contractions."""
        for spaced, joined in _CLEANUPS:
            out_string = out_string.replace(spaced, joined)
        return out_string


def batch_of(text: Any, text_pair: Any, split: bool) -> tuple[list[Any], bool]:
    """The inputs as a list (pairs as tuples), and whether they were a batch.

    Raises:
        InputTypeError: they are no texts.
    """
    _check_texts("text", text, split)
    if text_pair is not None:
        _check_texts("text_pair", text_pair, split)
    sequence = isinstance(text, list | tuple)
    batched = sequence and (not split or (len(text) > 0 and isinstance(text[0], list | tuple)))
    if not batched:
        return [(text, text_pair)] if text_pair else [text], False
    if len(text) == 0:
        raise InputError("The tokenizer was given an empty list of texts")
    if text_pair is None:
        return [tuple(item) if isinstance(item, list) and not split else item for item in text], True
    if isinstance(text_pair, str):
        raise InputTypeError("text is a list and text_pair one string: give a list of as many strings")
    if len(text) != len(text_pair):
        raise InputError(f"text has {len(text)} items and text_pair {len(text_pair)}: they must pair up")
    return list(zip(text, text_pair, strict=True)), True


def _check_texts(name: str, value: Any, split: bool) -> None:
    """Look at the form by the first items; the tokenizer itself finds a wrong item further on."""
    if isinstance(value, str) and not split:
        return
    first: Any = value
    if isinstance(value, list | tuple):
        first = value[0] if len(value) else ""
        if isinstance(first, list | tuple):
            first = first[0] if len(first) else ""
            if split and isinstance(first, list | tuple):
                first = first[0] if len(first) else ""
        if isinstance(first, str):
            return
    kind = "a list of words, or a list of such lists" if split else "a string, a list of strings, or a list of pairs"
    given = type(value).__name__ + (f" of {type(first).__name__}" if first is not value else "")
    raise InputTypeError(f"{name} must be {kind}; got {given}: {value!r:.80}")


def _whole_numbers(ids: list[Any]) -> list[int]:
    for index in ids:
        if not hasattr(index, "__index__"):
            raise InputTypeError(f"decode takes token ids (whole numbers), not {index!r}")
        if index < 0:
            raise InputError(
                f"decode was given the id {int(index)}: negative ids (such as the -100 of labels) stand for no token. "
                "Replace them by pad_token_id first."
            )
    return [int(index) for index in ids]


def _named_templates(template: Any) -> Any:
    """Files may hold a list of {"name", "template"}; use a dict."""
    if isinstance(template, list | tuple):
        return {item["name"]: item["template"] for item in template}
    return template
