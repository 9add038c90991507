"""What all generating tasks share: the generation settings of a pipeline, and units that are generated together."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..generation.configuration import GenerationConfig
from .base import Parameters
from .text import TextPipeline


class GenerativePipeline(TextPipeline):
    """A pipeline that calls `model.generate`.

    `generation_config` holds the task's defaults, the model's own settings and the task_specific_params of
    config.json.
    """

    task_defaults: ClassVar[dict[str, Any]] = {"max_new_tokens": 256}

    def __init__(self, model: Any, *, task: str = "", **options: Any) -> None:
        self.prefix: str | None = getattr(model.config, "prefix", None)
        self.assistant_model = options.pop("assistant_model", None)
        self.generation_config = self._settings(model, task)
        super().__init__(model, task=task, **options)
        pad = getattr(self.tokenizer, "pad_token_id", None)
        if self.generation_config.pad_token_id is None and pad is not None:
            self.generation_config.pad_token_id = pad

    def _settings(self, model: Any, task: str) -> GenerationConfig:
        """The task's defaults, then what the model sets otherwise, then its task_specific_params.

        A length that the model sets (max_length) replaces the task's max_new_tokens.
        """
        plain = GenerationConfig()
        own = copy.deepcopy(getattr(model, "generation_config", None) or plain)
        config = copy.deepcopy(own)
        for name, value in self.task_defaults.items():
            setattr(config, name, value)
        if own.max_new_tokens is not None or own.max_length not in (None, plain.max_length):
            config.max_new_tokens = own.max_new_tokens
        specific = dict(specific_parameters(model, task))
        if "prefix" in specific:
            self.prefix = specific.pop("prefix")
        for name, value in specific.items():
            setattr(config, name, value)
        return config

    def stream(self, items: Iterable[Any], batch_size: int | None, merged: Parameters) -> Iterator[Any]:
        """See Pipeline.stream. One random number is drawn first, as the reference's loader of several inputs does, so
        that one seed gives the same sampled texts."""
        torch.empty((), dtype=torch.int64).random_()
        yield from super().stream(items, batch_size, merged)

    def generate(self, inputs: dict[str, Any], options: dict[str, Any]) -> Tensor:
        """Token ids [B, sequences, T] for inputs [B, ...]."""
        options = dict(options)
        options.setdefault("generation_config", self.generation_config)
        if self.assistant_model is not None:
            options.setdefault("assistant_model", self.assistant_model)
        if options.get("stop_strings") is not None:
            options.setdefault("tokenizer", self.tokenizer)
        made = self.model.generate(**inputs, **options)
        sequences = made if isinstance(made, Tensor) else made.sequences
        ids = inputs.get("input_ids")
        rows = 1 if ids is None else len(ids)
        return sequences.reshape(rows, len(sequences) // rows, -1)


def specific_parameters(model: Any, task: str) -> dict[str, Any]:
    """What config.json says of a task ("task_specific_params"): generation settings and a "prefix" of its inputs."""
    return (getattr(model.config, "task_specific_params", None) or {}).get(task, {})
