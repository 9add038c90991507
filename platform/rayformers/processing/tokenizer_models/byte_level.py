"""Byte-level vocabularies in vocab.json and merges.txt: GPT-2, RoBERTa, BART, DeBERTa, Qwen2, and what is like them."""

from __future__ import annotations

from typing import Any, ClassVar

from tokenizers import AddedToken, processors

from ...errors import InputError
from ..post_processor import bos_eos_template, template
from ..tokenizer import PreTrainedTokenizerFast

FILES = {"vocab_file": "vocab.json", "merges_file": "merges.txt", "tokenizer_file": "tokenizer.json"}
TWO_INPUTS = ["input_ids", "attention_mask"]
END_OF_TEXT = "<|endoftext|>"


def mask(content: str) -> AddedToken:
    """A mask token that takes the space before it along, as a word would."""
    return AddedToken(content, lstrip=True, rstrip=False, normalized=False, special=True)


ROBERTA_TOKENS: dict[str, Any] = {
    "bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>",
    "pad_token": "<pad>", "mask_token": mask("<mask>"),
}  # fmt: skip


class MaskTakesSpace(PreTrainedTokenizerFast):
    """A tokenizer whose mask token, given as a string, takes the space before it along."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if isinstance(kwargs.get("mask_token"), str):
            kwargs["mask_token"] = mask(kwargs["mask_token"])
        super().__init__(*args, **kwargs)


class BosEosTokenizer(PreTrainedTokenizerFast):
    """A tokenizer of decoder models: `add_bos_token` and `add_eos_token` can be switched at any time."""

    adds_bos: ClassVar[bool] = False

    def _configure_backend(self) -> None:
        super()._configure_backend()
        self._add_bos = bool(self.init_kwargs.get("add_bos_token", self.adds_bos))
        self._add_eos = bool(self.init_kwargs.get("add_eos_token", False))
        self.update_post_processor()

    def update_post_processor(self) -> None:
        """Put the current bos and eos tokens around texts, as far as they are switched on.

        Raises:
            InputError: one is switched on and not set.
        """
        for name, on in (("bos", self._add_bos), ("eos", self._add_eos)):
            if on and getattr(self, f"{name}_token") is None:
                raise InputError(f"add_{name}_token=True needs a {name}_token, and none is set")
        self._tokenizer.post_processor = bos_eos_template(self, self._add_bos, self._add_eos)

    @property
    def add_bos_token(self) -> bool:
        """Whether texts start with the bos token."""
        return self._add_bos

    @add_bos_token.setter
    def add_bos_token(self, value: bool) -> None:
        self._add_bos = self.init_kwargs["add_bos_token"] = value
        self.update_post_processor()

    @property
    def add_eos_token(self) -> bool:
        """Whether texts end with the eos token."""
        return self._add_eos

    @add_eos_token.setter
    def add_eos_token(self, value: bool) -> None:
        self._add_eos = self.init_kwargs["add_eos_token"] = value
        self.update_post_processor()


class GPT2Tokenizer(PreTrainedTokenizerFast):
    """GPT-2's tokenizer (also GPT-Neo's, GPT-J's and, with other special tokens, OPT's)."""

    vocab_files_names: ClassVar[dict[str, str]] = FILES
    model_input_names: ClassVar[list[str]] = TWO_INPUTS  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = dict.fromkeys(("unk_token", "bos_token", "eos_token"), END_OF_TEXT)
    converter = "byte_level"
    words_need_prefix_space = True

    def _converted_post_processor(self) -> Any:
        if self.init_kwargs.get("add_bos_token"):
            bos = self.bos_token
            return template(f"{bos}:0 $A:0", f"{bos}:0 $A:0 $B:1", [(bos, self.bos_token_id)])
        return processors.ByteLevel(trim_offsets=False)


class RobertaTokenizer(MaskTakesSpace):
    """RoBERTa's tokenizer.

    Args:
        add_prefix_space: put a space before texts, so that the first word is like any other.
        trim_offsets: leave spaces out of offsets.
    """

    vocab_files_names: ClassVar[dict[str, str]] = FILES
    model_input_names: ClassVar[list[str]] = TWO_INPUTS  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = ROBERTA_TOKENS
    converter = "byte_level"
    words_need_prefix_space = True

    def _converted_post_processor(self) -> Any:
        return self._roberta_processing()

    def _roberta_processing(self) -> Any:
        return processors.RobertaProcessing(
            (self.sep_token, self.sep_token_id),
            (self.cls_token, self.cls_token_id),
            add_prefix_space=bool(self.init_kwargs.get("add_prefix_space", False)),
            trim_offsets=bool(self.init_kwargs.get("trim_offsets", True)),
        )

    def _configure_backend(self) -> None:
        super()._configure_backend()
        if isinstance(self._tokenizer.post_processor, processors.RobertaProcessing):
            self._tokenizer.post_processor = self._roberta_processing()


class BartTokenizer(RobertaTokenizer):
    """BART's tokenizer: RoBERTa's."""


class LongformerTokenizer(RobertaTokenizer):
    """Longformer's tokenizer: RoBERTa's."""


class LEDTokenizer(RobertaTokenizer):
    """LED's tokenizer: RoBERTa's, and its pads know `global_attention_mask`."""

    def pad_rows(self, data: dict[str, Any], missing: list[int], side: str) -> None:
        """Extend each row by `missing` paddings; the global attention mask by -1, which is no attention at all."""
        from ..padding import pad_rows

        super().pad_rows(data, missing, side)
        pad_rows(data, missing, side, {"global_attention_mask": -1})


class BlenderbotTokenizer(MaskTakesSpace):
    """Blenderbot's tokenizer: RoBERTa's vocabulary, only </s> at the end."""

    vocab_files_names: ClassVar[dict[str, str]] = FILES
    model_input_names: ClassVar[list[str]] = TWO_INPUTS  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = ROBERTA_TOKENS
    converter = "byte_level"
    words_need_prefix_space = True

    def _converted_post_processor(self) -> Any:
        eos = self.eos_token
        return template(f"$A:0 {eos}:0", "$A:0 $B:1", [(eos, self.eos_token_id)])


class DebertaTokenizer(MaskTakesSpace):
    """DeBERTa's tokenizer: GPT-2's vocabulary with BERT's special tokens."""

    vocab_files_names: ClassVar[dict[str, str]] = FILES
    model_input_names: ClassVar[list[str]] = ["input_ids", "attention_mask", "token_type_ids"]  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = {
        "bos_token": "[CLS]", "eos_token": "[SEP]", "sep_token": "[SEP]", "cls_token": "[CLS]", "unk_token": "[UNK]",
        "pad_token": "[PAD]", "mask_token": mask("[MASK]"),
    }  # fmt: skip
    converter = "byte_level"
    words_need_prefix_space = True

    def _converted_post_processor(self) -> Any:
        cls, sep = self.cls_token, self.sep_token
        tokens = [(cls, self.cls_token_id), (sep, self.sep_token_id)]
        return template(f"{cls}:0 $A:0 {sep}:0", f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1", tokens)


class Qwen2Tokenizer(PreTrainedTokenizerFast):
    """Qwen2's tokenizer (also Qwen3's)."""

    vocab_files_names: ClassVar[dict[str, str]] = FILES
    model_input_names: ClassVar[list[str]] = TWO_INPUTS  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = dict.fromkeys(("unk_token", "eos_token", "pad_token"), END_OF_TEXT)
    converter = "qwen2"

    def _converted_post_processor(self) -> Any:
        return processors.ByteLevel(trim_offsets=False)


class GPTNeoXTokenizer(BosEosTokenizer):
    """GPT-NeoX's tokenizer (Pythia, StableLM, OLMo)."""

    vocab_files_names: ClassVar[dict[str, str]] = FILES
    model_input_names: ClassVar[list[str]] = TWO_INPUTS  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = dict.fromkeys(("unk_token", "bos_token", "eos_token"), END_OF_TEXT)
    converter = "byte_level"


class BloomTokenizer(PreTrainedTokenizerFast):
    """BLOOM's tokenizer."""

    model_input_names: ClassVar[list[str]] = TWO_INPUTS  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = {
        "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>",
    }  # fmt: skip


class CohereTokenizer(BosEosTokenizer):
    """Cohere's tokenizer (Command R)."""

    model_input_names: ClassVar[list[str]] = TWO_INPUTS  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = {
        "unk_token": "<UNK>", "bos_token": "<BOS_TOKEN>", "eos_token": "<|END_OF_TURN_TOKEN|>",
    }  # fmt: skip
    padding_side = "left"
    adds_bos = True
    words_need_prefix_space = True


class CLIPTokenizer(PreTrainedTokenizerFast):
    """CLIP's tokenizer: lower case, words between bos and eos."""

    vocab_files_names: ClassVar[dict[str, str]] = FILES
    model_input_names: ClassVar[list[str]] = TWO_INPUTS  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = {
        "unk_token": END_OF_TEXT, "bos_token": "<|startoftext|>", "eos_token": END_OF_TEXT, "pad_token": END_OF_TEXT,
    }  # fmt: skip
    converter = "clip"

    def _converted_post_processor(self) -> Any:
        return processors.RobertaProcessing(
            (self.eos_token, self.eos_token_id),
            (self.bos_token, self.bos_token_id),
            add_prefix_space=False,
            trim_offsets=False,
        )

    def _decode(self, ids: list[int], skip_special_tokens: bool, **kwargs: Any) -> str:
        return super()._decode(ids, skip_special_tokens).replace("</w>", " ").strip()
