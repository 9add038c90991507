"""M2M100's tokenizer: SentencePiece, ids of its own, and a language before every text."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, ClassVar

from ...errors import InputError, did_you_mean
from ..batch_encoding import BatchEncoding
from ..convert.byte_level import read_json_vocabulary
from ..convert.language_codes import M2M_100, WMT21
from ..convert.sentence_piece_text import SentencePieces
from ..tokenizer_files import write_json
from ..tokenizer_python import PreTrainedTokenizer

_LANGUAGES = {"m2m100": M2M_100, "wmt21": WMT21}


class M2M100Tokenizer(PreTrainedTokenizer):
    """M2M100's tokenizer.

    Args:
        vocab_file: the vocab.json with the ids.
        spm_file: the SentencePiece model.
        src_lang, tgt_lang: the languages of texts and of target texts ("en", "fr").
        language_codes: which languages there are: "m2m100" or "wmt21".
        num_madeup_words: how many ids of the model stay unused.

    Raises:
        InputError: a file was not given, or a language is unknown.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {"vocab_file": "vocab.json", "spm_file": "sentencepiece.bpe.model"}
    model_input_names: ClassVar[list[str]] = ["input_ids", "attention_mask"]  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = {
        "bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>",
        "language_codes": "m2m100", "num_madeup_words": 8,
    }  # fmt: skip

    def __init__(
        self,
        vocab_file: str | None = None,
        spm_file: str | None = None,
        tokenizer_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        if vocab_file is None or spm_file is None:
            raise InputError("M2M100Tokenizer needs vocab_file= and spm_file= (vocab.json, sentencepiece.bpe.model)")
        group = kwargs.get("language_codes", self.defaults["language_codes"])
        if group not in _LANGUAGES:
            raise InputError(f"language_codes={group!r} is unknown. {did_you_mean(group, _LANGUAGES)}")
        self.encoder = read_json_vocabulary(Path(vocab_file))
        self._texts_of_ids = {index: token for token, index in self.encoder.items()}
        self.sp_model = SentencePieces(spm_file)
        languages = _LANGUAGES[group]
        self.lang_code_to_token = {code: f"__{code}__" for code in languages}
        self.lang_code_to_id = {code: len(self.encoder) + place for place, code in enumerate(languages)}
        self.lang_token_to_id = {f"__{code}__": index for code, index in self.lang_code_to_id.items()}
        self._tokens_of_languages = {index: token for token, index in self.lang_token_to_id.items()}
        if kwargs.get("additional_special_tokens") is None:
            kwargs["additional_special_tokens"] = list(self.lang_code_to_token.values())
        super().__init__(**kwargs)
        self._src_lang = kwargs.get("src_lang") or "en"
        self.tgt_lang = kwargs.get("tgt_lang")
        self.set_src_lang_special_tokens(self._src_lang)

    @property
    def src_lang(self) -> str:
        """The language of texts."""
        return self._src_lang

    @src_lang.setter
    def src_lang(self, value: str) -> None:
        self.set_src_lang_special_tokens(value)
        self._src_lang = value

    @property
    def vocab_size(self) -> int:
        """The size of the vocabulary without added tokens."""
        return len(self.encoder)

    def get_vocab(self) -> dict[str, int]:
        """Tokens to ids, added tokens (languages among them) included."""
        return {**self.encoder, **self._added_ids}

    def _tokenize(self, text: str) -> list[str]:
        return self.sp_model.encode(text)

    def _convert_token_to_id(self, token: str) -> int:
        if token in self.lang_token_to_id:
            return self.lang_token_to_id[token]
        return self.encoder.get(token, self.encoder[self.unk_token])

    def _convert_id_to_token(self, index: int) -> str:
        return self._tokens_of_languages.get(index) or self._texts_of_ids.get(index, self.unk_token)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text of tokens."""
        special = set(self.all_special_tokens)
        text, pieces = "", list[str]()
        for token in tokens:
            if token in special:
                text += self.sp_model.decode(pieces) + token
                pieces = []
            else:
                pieces.append(token)
        return (text + self.sp_model.decode(pieces)).strip()

    def get_lang_token(self, lang: str) -> str:
        """The token of a language.

        Raises:
            InputError: there is no such language.
        """
        if lang not in self.lang_code_to_token:
            raise InputError(
                f"{lang!r} is no language of this tokenizer. {did_you_mean(str(lang), self.lang_code_to_token)}"
            )
        return self.lang_code_to_token[lang]

    def get_lang_id(self, lang: str) -> int:
        """The id of a language."""
        return self.lang_token_to_id[self.get_lang_token(lang)]

    def set_src_lang_special_tokens(self, src_lang: str) -> None:
        """Put a language before texts from now on."""
        self.prefix_tokens, self.suffix_tokens = [self.get_lang_id(src_lang)], [self.eos_token_id]

    def set_tgt_lang_special_tokens(self, tgt_lang: str) -> None:
        """Put the target's language before texts from now on."""
        self.set_src_lang_special_tokens(tgt_lang)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """The language, the ids of one or two sequences, and </s>."""
        return [*self.prefix_tokens, *token_ids_0, *(token_ids_1 or []), *self.suffix_tokens]

    def _switch_to_input_mode(self) -> None:
        self.set_src_lang_special_tokens(self._src_lang)

    def _switch_to_target_mode(self) -> None:
        if self.tgt_lang is None:
            raise InputError("text_target needs the language of the targets: set tokenizer.tgt_lang")
        self.set_tgt_lang_special_tokens(self.tgt_lang)

    def _build_translation_inputs(
        self, raw_inputs: Any, src_lang: str | None, tgt_lang: str | None, **options: Any
    ) -> BatchEncoding:
        """The inputs of a translation, with the language that the answer starts with (`forced_bos_token_id`)."""
        if src_lang is None or tgt_lang is None:
            raise InputError("This model translates between many languages: pass src_lang= and tgt_lang=")
        self.src_lang = src_lang
        inputs = self(raw_inputs, **options)
        inputs["forced_bos_token_id"] = self.get_lang_id(tgt_lang)
        return inputs

    def save_vocabulary(
        self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write vocab.json and the SentencePiece model and return their paths."""
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        vocab, model = (Path(save_directory) / (prefix + name) for name in self.vocab_files_names.values())
        write_json(vocab, self.encoder, sort=False)
        if self.sp_model.path.resolve() != model.resolve():
            shutil.copyfile(self.sp_model.path, model)
        return (str(vocab), str(model))
