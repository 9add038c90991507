"""Which tasks exist: one row each."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import UnknownNameError, did_you_mean
from ..registry import Registry


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """One task.

    Args:
        name: the task's name.
        target: "module:Class" of its pipeline, below this package.
        auto_classes: Auto classes that load its models, the first that fits wins.
        parts: what it loads beside the model: "tokenizer", "image_processor", "feature_extractor", "processor".
        input: what an endpoint takes: "text", "image", "audio", "video", "table", "image+text".
        default: the checkpoint (Hub id, revision) used where no model is named.
        suffixes: class suffixes from which the task of a checkpoint is inferred.
    """

    name: str
    target: str
    auto_classes: tuple[str, ...]
    parts: tuple[str, ...]
    input: str
    default: tuple[str, str] | None = None
    suffixes: tuple[str, ...] = ()

    @property
    def pipeline(self) -> type:
        """The pipeline class."""
        import importlib

        module, _, name = self.target.partition(":")
        found: type = getattr(importlib.import_module(module, __package__), name)
        return found


TASKS: Registry[TaskRow] = Registry("task")
ALIASES: dict[str, str] = {}
_TRANSLATION = re.compile(r"translation_(\w+?)_to_(\w+)")


def add_task(row: TaskRow, *aliases: str) -> None:
    """Register a task; users add their own in the same way."""
    TASKS.add(row.name, row)
    ALIASES.update(dict.fromkeys(aliases, row.name))


def find_task(name: str) -> tuple[TaskRow, dict[str, str]]:
    """The row of a task or alias, and call parameters that its name implies (translation_en_to_fr: both languages).

    Raises:
        UnknownNameError: no such task.
    """
    name = ALIASES.get(name, name)
    if name in TASKS:
        return TASKS.get(name), {}
    if (found := _TRANSLATION.fullmatch(name)) and "translation" in TASKS:
        return TASKS.get("translation"), {"src_lang": found[1], "tgt_lang": found[2]}
    raise UnknownNameError(f"Unknown task {name!r}. {did_you_mean(name, [*TASKS, *ALIASES, 'translation_XX_to_YY'])}")


add_task(
    TaskRow(
        name="image-classification",
        target=".image_classification:ImageClassificationPipeline",
        auto_classes=("AutoModelForImageClassification",),
        parts=("image_processor",),
        input="image",
        default=("google/vit-base-patch16-224", "3f49326"),
        suffixes=("ForImageClassification",),
    )
)
add_task(
    TaskRow(
        name="image-feature-extraction",
        target=".image_feature_extraction:ImageFeatureExtractionPipeline",
        auto_classes=("AutoModel",),
        parts=("image_processor",),
        input="image",
        default=("google/vit-base-patch16-224", "3f49326"),
    )
)


def _text(name: str, target: str, auto: tuple[str, ...], default: tuple[str, str], *suffixes: str) -> TaskRow:
    return TaskRow(
        name=name,
        target=target,
        auto_classes=auto,
        parts=("tokenizer",),
        input="text",
        default=default,
        suffixes=suffixes,
    )


add_task(
    _text(
        "text-classification",
        ".text_classification:TextClassificationPipeline",
        ("AutoModelForSequenceClassification",),
        ("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "714eb0f"),
        "ForSequenceClassification",
    ),
    "sentiment-analysis",
)
add_task(
    _text(
        "token-classification",
        ".token_classification:TokenClassificationPipeline",
        ("AutoModelForTokenClassification",),
        ("dbmdz/bert-large-cased-finetuned-conll03-english", "4c53496"),
        "ForTokenClassification",
    ),
    "ner",
)
add_task(
    _text(
        "question-answering",
        ".question_answering:QuestionAnsweringPipeline",
        ("AutoModelForQuestionAnswering",),
        ("distilbert/distilbert-base-cased-distilled-squad", "564e9b5"),
        "ForQuestionAnswering",
        "ForQuestionAnsweringSimple",
    )
)
add_task(
    _text(
        "fill-mask",
        ".fill_mask:FillMaskPipeline",
        ("AutoModelForMaskedLM",),
        ("distilbert/distilroberta-base", "fb53ab8"),
        "ForMaskedLM",
    )
)
add_task(
    _text(
        "zero-shot-classification",
        ".zero_shot_classification:ZeroShotClassificationPipeline",
        ("AutoModelForSequenceClassification",),
        ("facebook/bart-large-mnli", "d7645e1"),
    )
)
add_task(
    _text(
        "feature-extraction",
        ".feature_extraction:FeatureExtractionPipeline",
        ("AutoModel",),
        ("distilbert/distilbert-base-cased", "6ea8117"),
        "Model",
    )
)
add_task(
    _text(
        "text-generation",
        ".text_generation:TextGenerationPipeline",
        ("AutoModelForCausalLM",),
        ("openai-community/gpt2", "607a30d"),
        "ForCausalLM",
        "LMHeadModel",
    )
)
_SEQ2SEQ = ("AutoModelForSeq2SeqLM",)
add_task(
    _text(
        "text2text-generation",
        ".text2text_generation:Text2TextGenerationPipeline",
        _SEQ2SEQ,
        ("google-t5/t5-base", "a9723ea"),
        "ForConditionalGeneration",
        "MTModel",
    )
)
add_task(
    _text(
        "summarization",
        ".text2text_generation:SummarizationPipeline",
        _SEQ2SEQ,
        ("sshleifer/distilbart-cnn-12-6", "a4f8f3e"),
    )
)
add_task(_text("translation", ".text2text_generation:TranslationPipeline", _SEQ2SEQ, ("google-t5/t5-base", "a9723ea")))
add_task(
    TaskRow(
        name="table-question-answering",
        target=".table_question_answering:TableQuestionAnsweringPipeline",
        auto_classes=("AutoModelForTableQuestionAnswering", "AutoModelForSeq2SeqLM"),
        parts=("tokenizer",),
        input="table",
        default=("google/tapas-base-finetuned-wtq", "e3dde19"),
        suffixes=("TapasForQuestionAnswering",),
    )
)
