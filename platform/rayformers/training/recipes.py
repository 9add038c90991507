"""The model and processor of a job file, built alike in the driver and in every worker."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..errors import ConfigError, RayformersError, did_you_mean
from ..registry import Registry
from .job import ModelSection

AUTO_CLASSES: Registry[str] = Registry("task with a trainable model")
"""By task: the Auto class that makes its models."""
AUTO_CLASSES.add("image-classification", "AutoModelForImageClassification")
AUTO_CLASSES.add("text-classification", "AutoModelForSequenceClassification")
PROCESSORS: Registry[str] = Registry("task with a processor")
"""By task: the Auto class that loads a checkpoint's processor."""
PROCESSORS.add("image-classification", "AutoImageProcessor")
PROCESSORS.add("text-classification", "AutoTokenizer")


def _public(name: str) -> Any:
    return getattr(importlib.import_module("rayformers"), name)


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """Makes a job's model; pickles without weights.

    Args:
        section: the job file's `model`.
        task: the job's task.
        labels: names of the classes, None for a task without.
    """

    section: ModelSection
    task: str
    labels: list[str] | None

    def __call__(self) -> nn.Module:
        """The model, freshly initialised or from its checkpoint."""
        auto = _public(AUTO_CLASSES.get(self.task))
        fields = dict(self.section.config)
        if self.labels is not None:
            fields["id2label"] = dict(enumerate(self.labels))
            fields["label2id"] = {label: number for number, label in enumerate(self.labels)}
        if self.section.pretrained is not None:
            model: nn.Module = auto.from_pretrained(self.section.pretrained, ignore_mismatched_sizes=True, **fields)
            return model
        model = auto.from_config(_public("AutoConfig").for_model(self.section.architecture, **fields))
        return model

    def check(self) -> nn.Module:
        """The model on the meta device: wrong fields show before a cluster starts.

        Raises:
            ConfigError: the fields do not make a model.
        """
        import torch

        self._check_keys()
        if self.section.pretrained is not None:
            return self()
        try:
            with torch.device("meta"):
                return self()
        except RayformersError:
            raise
        except (TypeError, ValueError) as error:
            raise ConfigError(f"model.config does not make a {self.section.architecture}: {error}") from error

    def _check_keys(self) -> None:
        if self.section.pretrained is not None:
            known = _public("AutoConfig").from_pretrained(self.section.pretrained)
        else:
            known = _public("AutoConfig").for_model(self.section.architecture)
        allowed = {*known.to_dict(), *known.attribute_map, "num_labels", "dtype", "attn_implementation"} - {
            "model_type"
        }
        for key in self.section.config:
            if key not in allowed:
                raise ConfigError(f"model.config.{key} is not a known key. {did_you_mean(key, allowed)}")


def make_processor(section: ModelSection, task: str) -> Any:
    """The processor of a job: the checkpoint's own, or one from `model.processor`.

    Raises:
        ConfigError: a key that the processor does not have, or a task of texts without a tokenizer.
    """
    auto, fields = PROCESSORS.get(task), dict(section.processor)
    source = fields.pop("tokenizer", section.pretrained) if auto == "AutoTokenizer" else section.pretrained
    if source is not None:
        return _public(auto).from_pretrained(source, **fields)
    if auto == "AutoTokenizer":
        raise ConfigError(
            f"{task} needs a tokenizer: write model.processor.tokenizer, a folder or Hub id, beside model.architecture."
        )
    name = fields.pop("image_processor_type", "ViTImageProcessor")
    made = _public(name)
    allowed = made().to_dict()
    for key in fields:
        if key not in allowed:
            raise ConfigError(f"model.processor.{key} is not a known key. {did_you_mean(key, allowed)}")
    try:
        return made(**fields)
    except (TypeError, AttributeError) as error:
        raise ConfigError(f"model.processor does not make a {name}: {error}") from error
