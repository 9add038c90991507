"""zero-shot-classification: any labels, by a model of natural language inference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from ..errors import InputError, InputTypeError
from .argument_handler import ArgumentHandler
from .base import ChunkPipeline, Parameters
from .text import TextPipeline


class ZeroShotClassificationArgumentHandler(ArgumentHandler):
    """Labels and pairs from what a user gives (guide: internal/pipelines_utils)."""

    def __call__(self, sequences: Any, labels: Any, hypothesis_template: str) -> tuple[list[list[str]], list[str]]:
        """Pairs (text, hypothesis) and the texts.

        Raises:
            InputError: no text, no label, or a template without a place for the label.
        """
        names = self.labels(labels)
        if not names or not sequences:
            raise InputError("zero-shot-classification needs at least one text and at least one candidate label.")
        if hypothesis_template.format(names[0]) == hypothesis_template:
            raise InputError(
                f"hypothesis_template is {hypothesis_template!r}, which has no place for a label. "
                "Write {} where it goes."
            )
        texts = [sequences] if isinstance(sequences, str) else list(sequences)
        return [[text, hypothesis_template.format(name)] for text in texts for name in names], texts

    @staticmethod
    def labels(labels: Any) -> list[str]:
        """A list of labels from a list or a comma-separated text."""
        if isinstance(labels, str):
            return [label.strip() for label in labels.split(",") if label.strip()]
        return list(labels or [])


class ZeroShotClassificationPipeline(TextPipeline, ChunkPipeline):
    """Texts to {"sequence", "labels", "scores"}, best first (Yin et al. 2019, arXiv:1909.00161)."""

    handler = ZeroShotClassificationArgumentHandler()

    def __call__(self, sequences: Any, *args: Any, **parameters: Any) -> Any:
        """Classify.

        Args:
            sequences: a text, or a list, dataset or generator of texts.
            args: candidate_labels.
            parameters: candidate_labels (a list or comma-separated text), hypothesis_template ("This example is {}."),
                multi_label (each label on its own; default False), batch_size.
        """
        if len(args) > 1:
            raise InputTypeError(f"One positional argument, candidate_labels, may follow the text; got {len(args)}.")
        if args:
            parameters.setdefault("candidate_labels", args[0])
        return super().__call__(sequences, **parameters)

    def _sanitize_parameters(
        self,
        candidate_labels: Any = None,
        hypothesis_template: str | None = None,
        multi_label: bool | None = None,
        multi_class: bool | None = None,
    ) -> Parameters:
        pre: dict[str, Any] = {}
        if candidate_labels is not None:
            pre["candidate_labels"] = self.handler.labels(candidate_labels)
        if hypothesis_template is not None:
            pre["hypothesis_template"] = hypothesis_template
        several = multi_label if multi_label is not None else multi_class
        return pre, {}, {} if several is None else {"multi_label": several}

    @property
    def entailment_id(self) -> int:
        """The index of the label that means entailment; -1 (the last) where no label says so."""
        found = (n for label, n in self.model.config.label2id.items() if label.lower().startswith("entail"))
        return next(found, -1)

    def preprocess(
        self, inputs: Any, candidate_labels: Any = None, hypothesis_template: str = "This example is {}."
    ) -> Iterator[dict[str, Any]]:
        if not isinstance(inputs, str):
            raise InputTypeError(f"zero-shot-classification takes text; it got {type(inputs).__name__}.")
        pairs, texts = self.handler(inputs, candidate_labels, hypothesis_template)
        for label, (text, hypothesis) in zip(self.handler.labels(candidate_labels), pairs, strict=True):
            encoded = self.tokenizer(text, hypothesis, truncation="only_first", return_tensors="pt")
            yield {**encoded, "candidate_label": label, "sequence": texts[0]}

    def _forward(self, model_inputs: dict[str, Any]) -> Any:
        options = {"use_cache": False} if "use_cache" in self.model.input_names() else {}
        logits = self.model(**self.model_inputs(model_inputs), **options).logits
        return {
            "logits": logits,
            "candidate_label": model_inputs["candidate_label"],
            "sequence": model_inputs["sequence"],
        }

    def postprocess(self, model_outputs: Any, multi_label: bool = False) -> Any:
        labels = [output["candidate_label"] for output in model_outputs]
        logits = torch.cat([output["logits"] for output in model_outputs]).float()
        entailment = self.entailment_id
        if multi_label or len(labels) == 1:
            contradiction = -1 if entailment == 0 else 0
            scores = logits[:, [contradiction, entailment]].softmax(-1)[:, 1]
        else:
            scores = logits[:, entailment].softmax(0)
        order = scores.argsort(descending=True).tolist()
        return {
            "sequence": model_outputs[0]["sequence"],
            "labels": [labels[number] for number in order],
            "scores": scores[order].tolist(),
        }
