"""pipeline(): a task, a model, or both, to a ready pipeline."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import ConfigError, NotFoundError, RayformersError, UnknownNameError
from ..models import auto
from ..models.config import PretrainedConfig, split_hub_options
from .base import Pipeline, find_dtype
from .tasks import TASKS, TaskRow, find_task

_LOADERS = {
    "tokenizer": "rayformers.processing.tokenizer_auto:AutoTokenizer",
    "image_processor": "rayformers.processing.image_auto:AutoImageProcessor",
    "feature_extractor": "rayformers.processing.audio_auto:AutoFeatureExtractor",
    "processor": "rayformers.processing.processor_auto:AutoProcessor",
}


def pipeline(
    task: str | None = None,
    model: Any = None,
    config: Any = None,
    tokenizer: Any = None,
    feature_extractor: Any = None,
    image_processor: Any = None,
    processor: Any = None,
    framework: str | None = None,
    revision: str | None = None,
    use_fast: bool = True,
    token: str | bool | None = None,
    device: Any = None,
    device_map: Any = None,
    torch_dtype: Any = None,
    dtype: Any = None,
    trust_remote_code: bool | None = None,
    model_kwargs: dict[str, Any] | None = None,
    pipeline_class: type[Pipeline] | None = None,
    **options: Any,
) -> Pipeline:
    """A pipeline for a task, a model, or both (guide: pipeline_tutorial).

    Args:
        task: a task's name or alias; inferred from the model where it is missing.
        model: a folder, Hub id, "models:/name@alias" or a model; the task's default where it is missing.
        config: a configuration or where it is.
        tokenizer, feature_extractor, image_processor, processor: an object or where it is; default: the model's.
        revision, token: for the Hub; also local_files_only, cache_dir among `options`.
        device: torch device, its name or CUDA index; device_map: see PreTrainedModel.from_pretrained. Not both.
        torch_dtype, dtype: "auto" (default), a dtype or its name.
        trust_remote_code: accepted; code of repositories is never run.
        model_kwargs: passed to from_pretrained.
        pipeline_class: a subclass of Pipeline to use in place of the task's.
        options: batch_size, and defaults of call parameters.

    Raises:
        ConfigError, NotFoundError, UnknownNameError: with what to do.
    """
    if task is None and model is None:
        raise ConfigError(
            "pipeline() needs a task, a model, or both: pipeline('image-classification', model='folder')."
        )
    if device is not None and device_map is not None:
        raise ConfigError("Pass device or device_map, not both.")
    cast = dtype or torch_dtype or "auto"
    cast = cast if cast == "auto" else find_dtype(cast)
    hub = {"revision": revision, "token": token}
    for name in ("local_files_only", "cache_dir", "force_download", "subfolder"):
        if name in options:
            hub[name] = options.pop(name)
    hub = {name: value for name, value in hub.items() if value is not None}
    implied: dict[str, str] = {}
    if task is None:
        task = infer_task(model if config is None else config, **hub)
    row, implied = find_task(task)
    if model is None:
        model, hub["revision"] = _default_model(row, hub)
    reference = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
    if reference is not None:
        load = {**hub, **(model_kwargs or {}), "torch_dtype": cast}
        if device_map is not None:
            load["device_map"] = device_map
        if config is not None:
            load["config"] = _config(config, hub)
        model = load_model(row, reference, **load)
    given = {
        "tokenizer": tokenizer, "image_processor": image_processor,
        "feature_extractor": feature_extractor, "processor": processor,
    }  # fmt: skip
    parts = {name: _part(name, given[name], row, reference, hub) for name in given}
    found = pipeline_class or row.pipeline
    return found(
        model=model, task=task, device=device, torch_dtype=None if reference is not None else cast,
        framework=framework, **parts, **implied, **options,
    )  # fmt: skip


def _default_model(row: TaskRow, hub: dict[str, Any]) -> tuple[str, Any]:
    if row.default is None:
        raise ConfigError(f"The task {row.name!r} has no default model. Name one: pipeline({row.name!r}, model=...).")
    name, revision = row.default
    return name, hub.get("revision", revision)


def _config(config: Any, hub: dict[str, Any]) -> Any:
    return config if isinstance(config, PretrainedConfig) else auto.AutoConfig.from_pretrained(config, **hub)


def load_model(row: TaskRow, reference: str, **options: Any) -> Any:
    """The model of a checkpoint with the first of the task's Auto classes that covers its architecture.

    Raises:
        UnknownNameError: none does; the message says what the architecture has.
    """
    hub, _ = split_hub_options(options)
    config = options.pop("config", None) or auto.AutoConfig.from_pretrained(reference, **hub)
    problems: list[UnknownNameError] = []
    for name in _by_architecture(row, config):
        try:
            found = auto.auto_class(name).class_for(config)
        except UnknownNameError as error:
            problems.append(error)
            continue
        return found.from_pretrained(reference, config=config, **options)  # type: ignore[attr-defined]
    raise UnknownNameError(f"The task {row.name!r} cannot use {reference!r}: {problems[0]}")


def _by_architecture(row: TaskRow, config: Any) -> list[str]:
    """The task's Auto classes, those first that the checkpoint's own class belongs to."""
    named = tuple(config.architectures or ())

    def fits(name: str) -> bool:
        return any(
            cls.endswith(suffix) for cls in named for suffix in auto.auto_class(name).suffixes if suffix != "Model"
        )

    return sorted(row.auto_classes, key=lambda name: not fits(name))


def _part(name: str, given: Any, row: TaskRow, reference: str | None, hub: dict[str, Any]) -> Any:
    if given is not None and not isinstance(given, (str, os.PathLike)):
        return given
    if given is None and name not in row.parts:
        return None
    source = given if given is not None else reference
    if source is None:
        raise ConfigError(
            f"pipeline({row.name!r}) with a model object needs {name}=... too (an object, or where it is)."
        )
    module, _, attribute = _LOADERS[name].partition(":")
    import importlib

    return getattr(importlib.import_module(module), attribute).from_pretrained(source, **hub)


def infer_task(reference: Any, **hub: Any) -> str:
    """The task of a checkpoint: from its class in config.json, else from its tag on the Hub.

    Raises:
        ConfigError: it cannot be told.
    """
    if not isinstance(reference, (str, os.PathLike)):
        config = getattr(reference, "config", reference)
        classes = [type(reference).__name__, *(config.architectures or ())]
    else:
        config = auto.AutoConfig.from_pretrained(reference, **hub)
        classes = list(config.architectures or ())
    rows = [TASKS.get(name) for name in TASKS]
    for cls in classes:
        matches = [(len(suffix), row.name) for row in rows for suffix in row.suffixes if cls.endswith(suffix)]
        if matches:
            return max(matches)[1]
    if isinstance(reference, str) and not Path(reference).is_dir() and (tag := _hub_tag(reference, hub)):
        return tag
    raise ConfigError(
        f"The task of {reference if isinstance(reference, str) else classes!r} cannot be told from its class "
        f"({', '.join(classes) or 'config.json names none'}). Pass it: pipeline('task', model=...)."
    )


def _hub_tag(reference: str, hub: dict[str, Any]) -> str | None:
    import huggingface_hub

    try:
        return huggingface_hub.model_info(reference, revision=hub.get("revision"), token=hub.get("token")).pipeline_tag
    except (huggingface_hub.errors.HfHubHTTPError, OSError) as error:
        if isinstance(error, RayformersError):
            raise
        raise NotFoundError(
            f"The task of {reference!r} cannot be asked from the Hub: {error}. Pass the task."
        ) from error


__all__ = ["infer_task", "load_model", "pipeline"]
