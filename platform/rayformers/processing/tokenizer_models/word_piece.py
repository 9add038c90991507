"""BERT's family: WordPiece vocabularies in vocab.txt."""

from __future__ import annotations

from typing import Any, ClassVar

from tokenizers import normalizers

from ..post_processor import template
from ..tokenizer import PreTrainedTokenizerFast
from .byte_level import MaskTakesSpace, mask

_FILES = {"vocab_file": "vocab.txt", "tokenizer_file": "tokenizer.json"}
BERT_TOKENS = {
    "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
}  # fmt: skip


class BertTokenizer(PreTrainedTokenizerFast):
    """BERT's tokenizer.

    Args:
        do_lower_case, strip_accents, tokenize_chinese_chars: how texts are normalised; they take the place of what a
            tokenizer.json says.
    """

    vocab_files_names: ClassVar[dict[str, str]] = _FILES
    defaults: ClassVar[dict[str, Any]] = BERT_TOKENS
    converter = "word_piece"
    conversion_defaults: ClassVar[dict[str, Any]] = {"clean_up_tokenization_spaces": True}

    def _converted_post_processor(self) -> Any:
        cls, sep = self.cls_token, self.sep_token
        tokens = [(cls, self.cls_token_id), (sep, self.sep_token_id)]
        return template(f"{cls}:0 $A:0 {sep}:0", f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1", tokens)

    def _configure_backend(self) -> None:
        normalizer = self._tokenizer.normalizer
        if not isinstance(normalizer, normalizers.BertNormalizer):
            return
        for option, name in (
            ("do_lower_case", "lowercase"),
            ("strip_accents", "strip_accents"),
            ("tokenize_chinese_chars", "handle_chinese_chars"),
        ):
            if option in self.init_kwargs:
                setattr(normalizer, name, self.init_kwargs[option])
        self._tokenizer.normalizer = normalizer


class DistilBertTokenizer(BertTokenizer):
    """DistilBERT's tokenizer: BERT's, without token types."""

    model_input_names: ClassVar[list[str]] = ["input_ids", "attention_mask"]  # type: ignore[misc]


class ElectraTokenizer(BertTokenizer):
    """ELECTRA's tokenizer: BERT's."""


class LayoutLMTokenizer(BertTokenizer):
    """LayoutLM's tokenizer: BERT's."""


class MobileBertTokenizer(BertTokenizer):
    """MobileBERT's tokenizer: BERT's."""


class ConvBertTokenizer(BertTokenizer):
    """ConvBERT's tokenizer: BERT's."""


class MPNetTokenizer(MaskTakesSpace, BertTokenizer):
    """MPNet's tokenizer: BERT's words with RoBERTa's special tokens."""

    model_input_names: ClassVar[list[str]] = ["input_ids", "attention_mask"]  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "cls_token": "<s>",
        "unk_token": "[UNK]",
        "pad_token": "<pad>",
        "mask_token": mask("<mask>"),
    }

    def _converted_post_processor(self) -> Any:
        cls, sep = self.cls_token, self.sep_token
        tokens = [(cls, self.cls_token_id), (sep, self.sep_token_id)]
        return template(f"{cls}:0 $A:0 {sep}:0", f"{cls}:0 $A:0 {sep}:0 {sep}:0 $B:1 {sep}:1", tokens)
