"""Many languages in one vocabulary: mBART, mBART-50 and NLLB mark source and target texts with their language."""

from __future__ import annotations

from typing import Any, ClassVar

from tokenizers import processors

from ...errors import InputError, did_you_mean
from ..batch_encoding import BatchEncoding
from ..convert.language_codes import MBART, MBART_50, NLLB
from .byte_level import ROBERTA_TOKENS, TWO_INPUTS, MaskTakesSpace

_FILES = {"vocab_file": "sentencepiece.bpe.model", "tokenizer_file": "tokenizer.json"}


class TranslationTokenizer(MaskTakesSpace):
    """A tokenizer with `src_lang` and `tgt_lang`; texts carry the code of their language.

    Args:
        src_lang: the language of texts.
        tgt_lang: the language of target texts (`text_target=`).
    """

    vocab_files_names: ClassVar[dict[str, str]] = _FILES
    model_input_names: ClassVar[list[str]] = TWO_INPUTS  # type: ignore[misc]
    languages: ClassVar[tuple[str, ...]] = ()
    default_source: ClassVar[str] = "en_XX"
    code_first: ClassVar[bool] = True
    """Whether the language comes before the text (and </s> alone after it), or after it, behind </s>."""
    always_all_languages: ClassVar[bool] = True
    """Whether every published language is in every vocabulary; else files with languages of their own name them."""
    prefix_tokens: list[int]
    suffix_tokens: list[int]
    _marked: tuple[str, bool] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        tokens = list(kwargs.get("additional_special_tokens") or [])
        known = {str(token) for token in tokens}
        if not tokens or self.always_all_languages:
            tokens += [code for code in self.languages if code not in known]
        super().__init__(*args, **{**kwargs, "additional_special_tokens": tokens})
        self._src_lang = kwargs.get("src_lang") or self.default_source
        self.tgt_lang = kwargs.get("tgt_lang")
        if self._tokenizer.token_to_id(self._src_lang) is not None:
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
    def lang_code_to_id(self) -> dict[str, int]:
        """The ids of the languages."""
        vocabulary = self.get_vocab()
        codes = [token for token in self.additional_special_tokens if token in vocabulary]
        return {code: vocabulary[code] for code in codes}

    def set_src_lang_special_tokens(self, src_lang: str) -> None:
        """Mark texts with a language from now on.

        Raises:
            InputError: the vocabulary has no such language.
        """
        self._mark(src_lang, "src_lang")

    def set_tgt_lang_special_tokens(self, tgt_lang: str) -> None:
        """Mark texts with the target's language from now on."""
        self._mark(tgt_lang, "tgt_lang")

    def _mark(self, language: str, option: str) -> None:
        index = self._tokenizer.token_to_id(language) if isinstance(language, str) else None
        if index is None:
            hint = did_you_mean(str(language), self.lang_code_to_id)
            raise InputError(f"{option}={language!r} is no language of this tokenizer. {hint}")
        if self._marked == (language, self.code_first):
            return
        self._marked = (language, self.code_first)
        eos, code = (self.eos_token, self.eos_token_id), (language, index)
        before, after = ([code], [eos]) if self.code_first else ([], [eos, code])
        self.prefix_tokens = [number for _, number in before]
        self.suffix_tokens = [number for _, number in after]
        prefix, suffix = [name for name, _ in before], [name for name, _ in after]
        self._tokenizer.post_processor = processors.TemplateProcessing(
            single=[*prefix, "$A", *suffix], pair=[*prefix, "$A", "$B", *suffix], special_tokens=[*before, *after]
        )

    def _switch_to_input_mode(self) -> None:
        if self._tokenizer.token_to_id(self._src_lang) is not None:
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
        codes = self.lang_code_to_id
        if tgt_lang not in codes:
            raise InputError(f"tgt_lang={tgt_lang!r} is no language of this tokenizer. {did_you_mean(tgt_lang, codes)}")
        inputs = self(raw_inputs, **options)
        inputs["forced_bos_token_id"] = codes[tgt_lang]
        return inputs


class MBartTokenizer(TranslationTokenizer):
    """mBART's tokenizer: the language comes after the text."""

    defaults: ClassVar[dict[str, Any]] = ROBERTA_TOKENS
    converter = "mbart"
    languages = MBART
    code_first = False


class MBart50Tokenizer(TranslationTokenizer):
    """mBART-50's tokenizer: the language comes before the text."""

    defaults: ClassVar[dict[str, Any]] = {name: token for name, token in ROBERTA_TOKENS.items() if name != "bos_token"}
    converter = "mbart50"
    languages = MBART_50


class NllbTokenizer(TranslationTokenizer):
    """NLLB's tokenizer.

    Args:
        legacy_behaviour: the language comes after the text, as in the first release.
    """

    defaults: ClassVar[dict[str, Any]] = ROBERTA_TOKENS
    converter = "nllb"
    languages = NLLB
    default_source = "eng_Latn"
    always_all_languages = False

    @property
    def code_first(self) -> bool:  # type: ignore[override]
        """Whether the language comes before the text."""
        return not self.init_kwargs.get("legacy_behaviour", False)
