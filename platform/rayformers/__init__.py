"""rayformers: train and serve transformer models on a Ray cluster, from the Hub's checkpoint files.

Every public name is imported when first used (PEP 562), so that `import rayformers` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

from . import guide_paths as _guide_paths
from .generation import NAMES as _GENERATION
from .models.catalog import AUTO_CLASSES, class_names
from .processing import tokenizer_catalog as _tokenizers

__version__ = "0.1.0"

_NAMES: dict[str, tuple[str, ...]] = {
    **_GENERATION,
    **_tokenizers.BASE_NAMES,
    "processing.tokenizer_classes": _tokenizers.class_names(),
    "data.collators": ("DataCollatorMixin", "DefaultDataCollator", "default_data_collator"),
    "data.collators_masking": ("DataCollatorForLanguageModeling", "DataCollatorForWholeWordMask"),
    "data.collators_packed": ("DataCollatorWithFlattening",),
    "data.collators_permutation": ("DataCollatorForPermutationLanguageModeling",),
    "data.collators_text": (
        "DataCollatorForMultipleChoice", "DataCollatorForSeq2Seq", "DataCollatorForTokenClassification",
        "DataCollatorWithPadding",
    ),
    "errors": ("PipelineException", "RayformersError"),
    "models.auto": ("AutoConfig", *AUTO_CLASSES),
    "models.base": ("PreTrainedModel",),
    "models.config": ("PretrainedConfig",),
    "models.loading": ("load_sharded_checkpoint",),
    "models.outputs": ("ModelOutput",),
    "pipelines": ("TASKS", "ChunkPipeline", "Pipeline", "pipeline"),
    "pipelines.feature_extraction": ("FeatureExtractionPipeline",),
    "pipelines.fill_mask": ("FillMaskPipeline",),
    "pipelines.image_classification": ("ImageClassificationPipeline",),
    "pipelines.image_feature_extraction": ("ImageFeatureExtractionPipeline",),
    "pipelines.question_answering": ("QuestionAnsweringArgumentHandler", "QuestionAnsweringPipeline", "SquadExample"),
    "pipelines.table_question_answering": (
        "TableQuestionAnsweringArgumentHandler",
        "TableQuestionAnsweringPipeline",
    ),
    "pipelines.text2text_generation": (
        "SummarizationPipeline",
        "Text2TextGenerationPipeline",
        "TranslationPipeline",
    ),
    "pipelines.text_classification": ("TextClassificationPipeline",),
    "pipelines.text_generation": ("TextGenerationPipeline",),
    "pipelines.token_classification": ("AggregationStrategy", "TokenClassificationPipeline"),
    "pipelines.zero_shot_classification": (
        "ZeroShotClassificationArgumentHandler",
        "ZeroShotClassificationPipeline",
    ),
    "processing.image_auto": ("AutoImageProcessor",),
    "processing.image": ("BaseImageProcessor", "BatchFeature", "ImageProcessor", "ViTImageProcessor"),
    "nn.pytorch_utils": ("Conv1D", "apply_chunking_to_forward", "prune_layer"),
    "training": ("EvalPrediction", "ScaleConfig", "Trainer", "TrainingArguments", "load_job", "run_job"),
    "training.argument_parser": ("HfArg", "HfArgumentParser"),
    "training.nested": ("DistributedTensorGatherer",),
    "training.optimizers": ("Adafactor", "AdafactorSchedule", "get_adafactor_schedule"),
    "training.randomness": ("enable_full_determinism", "set_seed"),
    "training.schedulers": (
        "SchedulerType", "get_constant_schedule", "get_constant_schedule_with_warmup",
        "get_cosine_schedule_with_warmup", "get_cosine_with_hard_restarts_schedule_with_warmup",
        "get_cosine_with_min_lr_schedule_with_warmup", "get_cosine_with_min_lr_schedule_with_warmup_lr_rate",
        "get_inverse_sqrt_schedule", "get_linear_schedule_with_warmup", "get_polynomial_decay_schedule_with_warmup",
        "get_reduce_on_plateau_schedule", "get_scheduler", "get_wsd_schedule",
    ),
    "training.trainer_pt_utils": ("torch_distributed_zero_first",),
    "training.trainer_utils": ("IntervalStrategy",),
}  # fmt: skip
_guide_paths.install()
_OWNERS = {name: module for module, names in _NAMES.items() for name in names}
_ARCHITECTURE_NAMES = class_names()

__all__ = ["__version__", *sorted({*_OWNERS, *_ARCHITECTURE_NAMES})]


def __getattr__(name: str) -> Any:
    if name in _OWNERS:
        value = getattr(importlib.import_module(f".{_OWNERS[name]}", __name__), name)
    elif name in _ARCHITECTURE_NAMES:
        value = _architecture_name(name, _ARCHITECTURE_NAMES[name])
    else:
        try:
            return importlib.import_module(f".{name}", __name__)
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = value
    return value


def _architecture_name(name: str, model_type: str) -> Any:
    from .models.catalog import CATALOG
    from .models.registry import architecture, model_class

    row = CATALOG[model_type]
    own = {class_name: suffix for suffix, class_name in row.names.items()}
    suffix = own.get(name, name.removeprefix(row.prefix))
    return architecture(model_type).config if suffix == "Config" else model_class(model_type, suffix)


def __dir__() -> list[str]:
    return list(__all__)
