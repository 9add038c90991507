"""Tasks: one file each, from raw inputs to answers (guide: main_classes/pipelines)."""

from __future__ import annotations

from typing import Any

from .base import ChunkPipeline, Pipeline
from .factory import infer_task, pipeline
from .tasks import TASKS, TaskRow

_LAZY: dict[str, tuple[str, ...]] = {
    "..errors": ("PipelineException",),
    ".argument_handler": ("ArgumentHandler",),
    ".data_formats": (
        "CsvPipelineDataFormat", "JsonPipelineDataFormat", "PipedPipelineDataFormat", "PipelineDataFormat",
    ),
    ".feature_extraction": ("FeatureExtractionPipeline",),
    ".fill_mask": ("FillMaskPipeline",),
    ".image_classification": ("ImageClassificationPipeline",),
    ".image_feature_extraction": ("ImageFeatureExtractionPipeline",),
    ".question_answering": ("QuestionAnsweringArgumentHandler", "QuestionAnsweringPipeline"),
    ".table_question_answering": ("TableQuestionAnsweringArgumentHandler", "TableQuestionAnsweringPipeline"),
    ".text2text_generation": ("SummarizationPipeline", "Text2TextGenerationPipeline", "TranslationPipeline"),
    ".text_classification": ("TextClassificationPipeline",),
    ".text_generation": ("TextGenerationPipeline",),
    ".token_classification": ("AggregationStrategy", "TokenClassificationPipeline"),
    ".zero_shot_classification": ("ZeroShotClassificationArgumentHandler", "ZeroShotClassificationPipeline"),
}  # fmt: skip
_OWNERS = {name: module for module, names in _LAZY.items() for name in names}

__all__ = ["TASKS", "ChunkPipeline", "Pipeline", "TaskRow", "infer_task", "pipeline", *_OWNERS]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _OWNERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_OWNERS[name], __name__), name)
