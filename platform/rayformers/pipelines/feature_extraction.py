"""feature-extraction: the hidden states of a text."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from .base import Parameters
from .text import TextPipeline, check_text


class FeatureExtractionPipeline(TextPipeline):
    """Texts to nested lists [1][tokens][width], or tensors (guide: main_classes/pipelines)."""

    sequence_outputs = ("last_hidden_state", "logits")

    def _sanitize_parameters(
        self,
        truncation: Any = None,
        tokenize_kwargs: dict[str, Any] | None = None,
        return_tensors: bool | None = None,
        **_: Any,
    ) -> Parameters:
        options = dict(tokenize_kwargs or {})
        if truncation is not None:
            if "truncation" in options:
                raise InputError("truncation is given twice: as an argument and in tokenize_kwargs. Keep one.")
            options["truncation"] = truncation
        return options, {}, {} if return_tensors is None else {"return_tensors": return_tensors}

    def preprocess(self, inputs: Any, **options: Any) -> dict[str, Any]:
        return dict(self.tokenizer(check_text(inputs, "feature-extraction"), return_tensors="pt", **options))

    def preprocess_many(self, items: list[Any], **options: Any) -> list[list[Any]]:
        texts = [check_text(item, "feature-extraction") for item in items]
        return [[unit] for unit in self.tokenize_many(texts, **options)]

    def _forward(self, model_inputs: dict[str, Any]) -> Any:
        outputs = self.model(**self.model_inputs(model_inputs))
        return {"last_hidden_state": outputs[0]}

    def postprocess(self, model_outputs: Any, return_tensors: bool = False) -> Any:
        states = model_outputs["last_hidden_state"]
        return states if return_tensors else states.tolist()
