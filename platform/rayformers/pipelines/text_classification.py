"""text-classification (sentiment-analysis): labels of a text or a pair of texts."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from ..errors import InputError, InputTypeError
from .base import Parameters
from .classification import apply_function, check_function, default_function, ranked
from .text import TextPipeline

_UNSET: Any = ""


class TextClassificationPipeline(TextPipeline):
    """Texts to {"label", "score"} (guide: tasks/sequence_classification)."""

    def __call__(self, inputs: Any, *args: Any, **parameters: Any) -> Any:
        """Classify.

        Args:
            inputs: a text, {"text", "text_pair"}, or a list, dataset or generator of these.
            parameters: top_k (None: all labels; default: the best alone), function_to_apply, batch_size, and any
                option of the tokenizer (truncation, max_length, ...).

        Returns:
            [{"label", "score"}] for one text; for a list one such dict each, a list of them where top_k is given.
        """
        result = super().__call__(inputs, *args, **parameters)
        legacy = "top_k" not in parameters
        return [result] if isinstance(inputs, str) and legacy and isinstance(result, dict) else result

    def _is_many(self, inputs: Any, pre: dict[str, Any]) -> bool:
        # A list of one two-item list is one pair of texts.
        return not (len(inputs) == 1 and isinstance(inputs[0], (list, tuple)) and len(inputs[0]) == 2)

    def _sanitize_parameters(
        self,
        return_all_scores: bool | None = None,
        function_to_apply: Any = None,
        top_k: Any = _UNSET,
        **tokenizer_options: Any,
    ) -> Parameters:
        post: dict[str, Any] = {}
        if top_k is None or (isinstance(top_k, int) and not isinstance(top_k, bool)):
            if top_k is not None and top_k < 1:
                raise InputError(f"top_k is {top_k}; expected a positive whole number, or None for all labels.")
            post.update(top_k=top_k, as_list=True)
        elif top_k != _UNSET:
            raise InputTypeError(f"top_k is {top_k!r}; expected a positive whole number, or None for all labels.")
        elif return_all_scores is not None:
            warnings.warn("return_all_scores is replaced by top_k=None (all) and top_k=1.", stacklevel=4)
            post.update(top_k=None if return_all_scores else 1, as_list=False)
        if function_to_apply is not None:
            post["function_to_apply"] = check_function(function_to_apply)
        return tokenizer_options, {}, post

    def preprocess(self, inputs: Any, **options: Any) -> dict[str, Any]:
        return dict(self.tokenizer(**self._texts(inputs), return_tensors="pt", **options))

    def preprocess_many(self, items: list[Any], **options: Any) -> list[list[Any]]:
        if all(isinstance(item, str) for item in items):
            return [[unit] for unit in self.tokenize_many(items, **options)]
        return super().preprocess_many(items, **options)

    def _texts(self, inputs: Any) -> dict[str, Any]:
        if isinstance(inputs, str):
            return {"text": inputs}
        if isinstance(inputs, dict) and "text" in inputs:
            return {"text": inputs["text"], "text_pair": inputs.get("text_pair")}
        if isinstance(inputs, (list, tuple)) and len(inputs) == 1 and len(inputs[0]) == 2:
            return {"text": inputs[0][0], "text_pair": inputs[0][1]}
        raise InputTypeError(
            f"text-classification takes a text or {{'text': ..., 'text_pair': ...}}; it got {type(inputs).__name__}. "
            "Give a pair of texts as such a dict."
        )

    def _forward(self, model_inputs: dict[str, Any]) -> Any:
        return {"logits": self.model(**self.model_inputs(model_inputs)).logits}

    def postprocess(
        self, model_outputs: Any, top_k: int | None = 1, function_to_apply: str | None = None, as_list: bool = False
    ) -> Any:
        config = self.model.config
        scores = apply_function(model_outputs["logits"][0], function_to_apply or default_function(config))
        if as_list:
            return ranked(scores, config)[:top_k]
        if top_k == 1:
            best = int(torch.argmax(scores))
            return {"label": config.id2label[best], "score": float(scores[best])}
        return [{"label": config.id2label[number], "score": score} for number, score in enumerate(scores.tolist())]
