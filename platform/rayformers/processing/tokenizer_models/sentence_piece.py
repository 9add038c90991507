"""SentencePiece vocabularies: T5, XLM-RoBERTa, CamemBERT, Pegasus, ALBERT, DeBERTa-v2, XLNet, Llama, Gemma."""

from __future__ import annotations

from typing import Any, ClassVar

from tokenizers import AddedToken, normalizers

from ...errors import InputError
from ..post_processor import template
from ..tokenizer import PreTrainedTokenizerFast
from .byte_level import ROBERTA_TOKENS, TWO_INPUTS, BosEosTokenizer, MaskTakesSpace, mask


def _files(name: str) -> dict[str, str]:
    return {"vocab_file": name, "tokenizer_file": "tokenizer.json"}


class T5Tokenizer(PreTrainedTokenizerFast):
    """T5's tokenizer (also mT5's, UMT5's, FLAN-T5's).

    Args:
        extra_ids: how many sentinels `<extra_id_N>` there are.
    """

    vocab_files_names: ClassVar[dict[str, str]] = _files("spiece.model")
    model_input_names: ClassVar[list[str]] = TWO_INPUTS  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = {
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "extra_ids": 100,
    }
    converter = "t5"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        count = kwargs.get("extra_ids", self.defaults["extra_ids"])
        tokens = list(kwargs.get("additional_special_tokens") or [])
        sentinels = [token for token in tokens if "<extra_id_" in str(token)]
        if not sentinels:
            tokens += [f"<extra_id_{index}>" for index in range(count)]
        elif "extra_ids" not in kwargs:
            kwargs["extra_ids"] = len(sentinels)
        elif count > 0 and count != len(sentinels):
            raise InputError(
                f"extra_ids={count}, but additional_special_tokens has {len(sentinels)} sentinels <extra_id_N>"
            )
        super().__init__(*args, **{**kwargs, "additional_special_tokens": tokens})

    def _converted_post_processor(self) -> Any:
        eos = self.eos_token
        return template(f"$A:0 {eos}:0", f"$A:0 {eos}:0 $B:0 {eos}:0", [(eos, self.eos_token_id)])

    def get_sentinel_tokens(self) -> list[str]:
        """The sentinel tokens, which stand for the spans that pretraining removed."""
        return [token for token in self.additional_special_tokens if token.startswith("<extra_id_")]

    def get_sentinel_token_ids(self) -> list[int]:
        """The ids of the sentinel tokens."""
        return self.convert_tokens_to_ids(self.get_sentinel_tokens())


class XLMRobertaTokenizer(MaskTakesSpace):
    """XLM-RoBERTa's tokenizer."""

    vocab_files_names: ClassVar[dict[str, str]] = _files("sentencepiece.bpe.model")
    model_input_names: ClassVar[list[str]] = TWO_INPUTS  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = ROBERTA_TOKENS
    converter = "xlm_roberta"

    def _converted_post_processor(self) -> Any:
        cls, sep = self.cls_token, self.sep_token
        tokens = [(cls, self.cls_token_id), (sep, self.sep_token_id)]
        return template(f"{cls}:0 $A:0 {sep}:0", f"{cls}:0 $A:0 {sep}:0 {sep}:0 $B:0 {sep}:0", tokens)


class CamembertTokenizer(XLMRobertaTokenizer):
    """CamemBERT's tokenizer."""

    defaults: ClassVar[dict[str, Any]] = {
        **ROBERTA_TOKENS,
        "additional_special_tokens": ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"],
    }
    converter = "camembert"


class PegasusTokenizer(PreTrainedTokenizerFast):
    """Pegasus's tokenizer.

    Args:
        offset: how many ids come before those of the vocabulary file.
        mask_token: what words are masked with.
        mask_token_sent: what sentences are masked with; None for none.
    """

    vocab_files_names: ClassVar[dict[str, str]] = _files("spiece.model")
    model_input_names: ClassVar[list[str]] = TWO_INPUTS  # type: ignore[misc]
    defaults: ClassVar[dict[str, Any]] = {
        "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask_2>",
        "mask_token_sent": "<mask_1>", "offset": 103,
    }  # fmt: skip
    converter = "pegasus"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = {**self.defaults, **kwargs}
        sentence, offset = settings["mask_token_sent"], settings["offset"]
        given = kwargs.get("additional_special_tokens")
        tokens = list(given) if given is not None else []
        if sentence is not None and sentence not in [str(token) for token in tokens]:
            tokens.insert(0, sentence)
        first = len(tokens) if given is not None else 2
        tokens += [f"<unk_{index}>" for index in range(first, offset - 1 if given is not None else offset)]
        super().__init__(*args, **{**kwargs, "additional_special_tokens": tokens})

    def _converted_post_processor(self) -> Any:
        eos = self.eos_token
        return template(f"$A:0 {eos}:0", f"$A:0 $B:0 {eos}:0", [(eos, self.eos_token_id)])


class AlbertTokenizer(MaskTakesSpace):
    """ALBERT's tokenizer.

    Args:
        do_lower_case, keep_accents: how texts are normalised.
    """

    vocab_files_names: ClassVar[dict[str, str]] = _files("spiece.model")
    defaults: ClassVar[dict[str, Any]] = {
        "bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": "<unk>", "sep_token": "[SEP]", "pad_token": "<pad>",
        "cls_token": "[CLS]", "mask_token": mask("[MASK]"),
    }  # fmt: skip
    converter = "albert"

    def _converted_post_processor(self) -> Any:
        cls, sep = self.cls_token, self.sep_token
        tokens = [(cls, self.cls_token_id), (sep, self.sep_token_id)]
        return template(f"{cls}:0 $A:0 {sep}:0", f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1", tokens)


class DebertaV2Tokenizer(AlbertTokenizer):
    """DeBERTa-v2's and v3's tokenizer.

    Args:
        do_lower_case, split_by_punct: how texts are normalised and cut into words.
    """

    vocab_files_names: ClassVar[dict[str, str]] = _files("spm.model")
    defaults: ClassVar[dict[str, Any]] = {
        "bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": AddedToken("[UNK]", normalized=True, special=True),
        "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
    }  # fmt: skip
    converter = "deberta_v2"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if isinstance(kwargs.get("unk_token"), str):
            kwargs["unk_token"] = AddedToken(kwargs["unk_token"], normalized=True, special=True)
        PreTrainedTokenizerFast.__init__(self, *args, **kwargs)


class XLNetTokenizer(MaskTakesSpace):
    """XLNet's tokenizer: pads on the left, special tokens at the end."""

    vocab_files_names: ClassVar[dict[str, str]] = _files("spiece.model")
    padding_side = "left"
    defaults: ClassVar[dict[str, Any]] = {
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "<sep>", "pad_token": "<pad>",
        "cls_token": "<cls>", "mask_token": mask("<mask>"), "additional_special_tokens": ["<eop>", "<eod>"],
        "do_lower_case": False, "pad_token_type_id": 3,
    }  # fmt: skip
    converter = "albert"

    def _converted_post_processor(self) -> Any:
        cls, sep = self.cls_token, self.sep_token
        tokens = [(cls, self.cls_token_id), (sep, self.sep_token_id)]
        return template(f"$A:0 {sep}:0 {cls}:2", f"$A:0 {sep}:0 $B:1 {sep}:1 {cls}:2", tokens)


class LlamaTokenizer(BosEosTokenizer):
    """Llama's tokenizer (also Mistral's, Mixtral's and Phi-3's).

    Args:
        add_bos_token, add_eos_token: whether texts start with bos (default) and end with eos.
        legacy: True (the old files' way) puts a space after special tokens too; False only before a text.
        add_prefix_space: False puts none.
    """

    vocab_files_names: ClassVar[dict[str, str]] = _files("tokenizer.model")
    model_input_names: ClassVar[list[str]] = TWO_INPUTS  # type: ignore[misc]
    padding_side = "left"
    defaults: ClassVar[dict[str, Any]] = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    converter = "llama"
    adds_bos = True

    def _configure_backend(self) -> None:
        wanted = self.init_kwargs.get("add_prefix_space")
        if wanted is not None:
            self._set_prefix_space(wanted)
        super()._configure_backend()

    def _set_prefix_space(self, wanted: bool) -> None:
        """Bring a tokenizer.json that was written with another `add_prefix_space` in line."""
        normalizer, pre_tokenizer = self._tokenizer.normalizer, self._tokenizer.pre_tokenizer
        if hasattr(pre_tokenizer, "prepend_scheme"):
            if (pre_tokenizer.prepend_scheme != "never") != wanted:
                pre_tokenizer.prepend_scheme = "first" if wanted else "never"
                self._tokenizer.pre_tokenizer = pre_tokenizer
        elif isinstance(normalizer, normalizers.Sequence):
            steps = list(normalizer)  # type: ignore[call-overload]
            has = any(isinstance(step, normalizers.Prepend) for step in steps)
            if has and not wanted:
                steps = [step for step in steps if not isinstance(step, normalizers.Prepend)]
            elif wanted and not has:
                steps.insert(0, normalizers.Prepend("▁"))
            self._tokenizer.normalizer = normalizers.Sequence(steps)


class GemmaTokenizer(BosEosTokenizer):
    """Gemma's tokenizer (1, 2 and 3)."""

    vocab_files_names: ClassVar[dict[str, str]] = _files("tokenizer.model")
    model_input_names: ClassVar[list[str]] = TWO_INPUTS  # type: ignore[misc]
    padding_side = "left"
    defaults: ClassVar[dict[str, Any]] = {
        "unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>",
    }  # fmt: skip
    converter = "gemma"
    adds_bos = True
