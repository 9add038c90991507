"""Which architectures exist: one row each, without importing any of them.

A row names the module (below `models/`), the prefix of the class names, and the suffixes of the classes that the
architecture registers. Class names such as `ViTForImageClassification` are prefix + suffix; nobody writes them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Row:
    """One architecture. `classes` are suffixes of class names; "Model" is the backbone alone.

    `names` holds the class names that are not prefix + suffix, by suffix.
    """

    module: str
    prefix: str
    classes: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)


def _row(module: str, prefix: str, *classes: str, names: Mapping[str, str] | None = None) -> Row:
    return Row(module=module, prefix=prefix, classes=("Model", *classes), names=names or {})


_LM, _SEQUENCE, _TOKEN, _SPAN = (
    "ForCausalLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering",
)  # fmt: skip
_SEQ2SEQ = "ForConditionalGeneration"
_MLM, _HEADS = "ForMaskedLM", (_SEQUENCE, "ForMultipleChoice", _TOKEN, _SPAN)


CATALOG: dict[str, Row] = {
    "albert": _row("text.albert", "Albert", "ForPreTraining", _MLM, *_HEADS),
    "bart": _row("text.bart", "Bart", _SEQ2SEQ, _LM, _SEQUENCE, _SPAN),
    "blenderbot": _row("text.blenderbot", "Blenderbot", _SEQ2SEQ, _LM),
    "blenderbot-small": _row("text.blenderbot_small", "BlenderbotSmall", _SEQ2SEQ, _LM),
    "m2m_100": _row("text.m2m_100", "M2M100", _SEQ2SEQ),
    "marian": _row("text.marian", "Marian", "MTModel", _LM),
    "mbart": _row("text.mbart", "MBart", _SEQ2SEQ, _LM, _SEQUENCE, _SPAN),
    "modernbert": _row("text.modernbert", "ModernBert", _MLM, *_HEADS),
    "pegasus": _row("text.pegasus", "Pegasus", _SEQ2SEQ, _LM),
    "bert": _row("text.bert", "Bert", "ForPreTraining", _MLM, "LMHeadModel", "ForNextSentencePrediction", *_HEADS),
    "camembert": _row("text.roberta", "Camembert", _MLM, "ForCausalLM", *_HEADS),
    "deberta": _row("text.deberta", "Deberta", _MLM, _SEQUENCE, _TOKEN, _SPAN),
    "deberta-v2": _row("text.deberta_v2", "DebertaV2", _MLM, *_HEADS),
    "distilbert": _row("text.distilbert", "DistilBert", _MLM, *_HEADS),
    "electra": _row("text.electra", "Electra", "ForPreTraining", _MLM, "ForCausalLM", *_HEADS),
    "bloom": _row("text.bloom", "Bloom", _LM, _SEQUENCE, _TOKEN, _SPAN),
    "cohere": _row("text.cohere", "Cohere", _LM),
    "falcon": _row("text.falcon", "Falcon", _LM, _SEQUENCE, _TOKEN, _SPAN),
    "gemma": _row("text.gemma", "Gemma", _LM, _SEQUENCE, _TOKEN),
    "gemma2": _row("text.gemma2", "Gemma2", _LM, _SEQUENCE, _TOKEN),
    "gemma3_text": _row("text.gemma3_text", "Gemma3Text", _LM, _SEQUENCE, names={_LM: "Gemma3ForCausalLM"}),
    "gpt2": _row("text.gpt2", "GPT2", "LMHeadModel", _SEQUENCE, _TOKEN, _SPAN),
    "gpt_neo": _row("text.gpt_neo", "GPTNeo", _LM, _SEQUENCE, _TOKEN, _SPAN),
    "gpt_neox": _row("text.gpt_neox", "GPTNeoX", _LM, _SEQUENCE, _TOKEN, _SPAN),
    "gptj": _row("text.gptj", "GPTJ", _LM, _SEQUENCE, _SPAN),
    "llama": _row("text.llama", "Llama", _LM, _SEQUENCE, _TOKEN, _SPAN),
    "mamba": _row("text.mamba", "Mamba", _LM),
    "mistral": _row("text.mistral", "Mistral", _LM, _SEQUENCE, _TOKEN, _SPAN),
    "olmo2": _row("text.olmo2", "Olmo2", _LM),
    "opt": _row("text.opt", "OPT", _LM, _SEQUENCE, _SPAN),
    "phi": _row("text.phi", "Phi", _LM, _SEQUENCE, _TOKEN),
    "phi3": _row("text.phi3", "Phi3", _LM, _SEQUENCE, _TOKEN),
    "qwen2": _row("text.qwen2", "Qwen2", _LM, _SEQUENCE, _TOKEN, _SPAN),
    "qwen3": _row("text.qwen3", "Qwen3", _LM, _SEQUENCE, _TOKEN, _SPAN),
    "qwen3_moe": _row("text.qwen3_moe", "Qwen3Moe", _LM, _SEQUENCE, _TOKEN, _SPAN),
    "stablelm": _row("text.stablelm", "StableLm", _LM, _SEQUENCE, _TOKEN),
    "mixtral": _row("text.mixtral", "Mixtral", _LM, _SEQUENCE, _TOKEN, _SPAN),
    "mpnet": _row("text.mpnet", "MPNet", _MLM, *_HEADS),
    "mpt": _row("text.mpt", "Mpt", _LM, _SEQUENCE, _TOKEN, _SPAN),
    "mt5": _row("text.mt5", "MT5", _SEQ2SEQ, "EncoderModel", _SEQUENCE, _TOKEN, _SPAN),
    "roberta": _row("text.roberta", "Roberta", _MLM, "ForCausalLM", *_HEADS),
    "t5": _row("text.t5", "T5", _SEQ2SEQ, "EncoderModel", _SEQUENCE, _TOKEN, _SPAN),
    "tapas": _row("text.tapas", "Tapas", _MLM, _SEQUENCE, _SPAN),
    "umt5": _row("text.umt5", "UMT5", _SEQ2SEQ, "EncoderModel", _SEQUENCE, _TOKEN, _SPAN),
    "vit": _row("vision.vit", "ViT", "ForImageClassification", "ForMaskedImageModeling"),
    "xlm-roberta": _row("text.roberta", "XLMRoberta", _MLM, "ForCausalLM", *_HEADS),
}

AUTO_CLASSES: dict[str, tuple[str, ...]] = {
    "AutoModel": ("Model",),
    "AutoBackbone": ("Backbone",),
    "AutoModelForPreTraining": (
        "ForPreTraining",
        "ForMaskedLM",
        "LMHeadModel",
        "ForCausalLM",
        "ForConditionalGeneration",
    ),
    "AutoModelForCausalLM": ("ForCausalLM", "LMHeadModel"),
    "AutoModelForMaskedLM": ("ForMaskedLM",),
    "AutoModelForSeq2SeqLM": ("ForConditionalGeneration", "MTModel"),
    "AutoModelForSequenceClassification": ("ForSequenceClassification",),
    "AutoModelForTokenClassification": ("ForTokenClassification",),
    "AutoModelForQuestionAnswering": ("ForQuestionAnswering", "ForQuestionAnsweringSimple"),
    "AutoModelForMultipleChoice": ("ForMultipleChoice",),
    "AutoModelForNextSentencePrediction": ("ForNextSentencePrediction",),
    "AutoModelForTableQuestionAnswering": ("ForQuestionAnswering", "ForConditionalGeneration"),
    "AutoModelForImageClassification": ("ForImageClassification",),
    "AutoModelForMaskedImageModeling": ("ForMaskedImageModeling",),
}
"""Auto class -> the class suffixes it stands for, the first registered one wins."""


def class_names() -> dict[str, str]:
    """Every class and configuration name -> its model_type."""
    names: dict[str, str] = {}
    for model_type, row in CATALOG.items():
        for suffix in ("Config", "PreTrainedModel", *row.classes):
            names.setdefault(row.names.get(suffix, row.prefix + suffix), model_type)
    return names
