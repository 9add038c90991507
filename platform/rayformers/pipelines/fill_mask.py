"""fill-mask: the likeliest tokens for the masks in a text."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor

from ..errors import InputError, PipelineException
from .base import Parameters
from .text import TextPipeline, check_text


class FillMaskPipeline(TextPipeline):
    """Texts with masks to [{"score", "token", "token_str", "sequence"}] (guide: tasks/masked_language_modeling)."""

    sequence_outputs = ("logits",)

    def __call__(self, inputs: Any, *args: Any, **parameters: Any) -> Any:
        """Fill the masks.

        Args:
            inputs: a text with at least one mask token, or a list, dataset or generator of texts.
            parameters: top_k (default 5), targets (words to choose from), tokenizer_kwargs, batch_size.

        Returns:
            A list of candidates for a text with one mask, a list of such lists for one with several.
        """
        outputs = super().__call__(inputs, *args, **parameters)
        return outputs[0] if isinstance(inputs, list) and len(inputs) == 1 else outputs

    def _sanitize_parameters(
        self, top_k: int | None = None, targets: Any = None, tokenizer_kwargs: dict[str, Any] | None = None
    ) -> Parameters:
        if self.tokenizer.mask_token_id is None:
            raise PipelineException("fill-mask", self.model.name_or_path, "The tokenizer has no mask token.")
        post: dict[str, Any] = {}
        if targets is not None:
            post["targets"] = self._target_ids(targets)
        if top_k is not None:
            if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1:
                raise InputError(f"top_k is {top_k!r}; expected a positive whole number.")
            post["top_k"] = top_k
        return dict(tokenizer_kwargs or {}), {}, post

    def _target_ids(self, targets: Any) -> list[int]:
        words = [targets] if isinstance(targets, str) else list(targets)
        vocabulary = self.tokenizer.get_vocab()
        ids: list[int] = []
        for word in words:
            known = vocabulary.get(word)
            if known is None:
                pieces = self.tokenizer(word, add_special_tokens=False)["input_ids"]
                if not pieces:
                    warnings.warn(f"The target {word!r} gives no token and is left out.", stacklevel=4)
                    continue
                known = pieces[0]
                token = self.tokenizer.convert_ids_to_tokens(known)
                warnings.warn(f"The target {word!r} is no token; {token!r} is used for it.", stacklevel=4)
            ids.append(known)
        if not ids:
            raise InputError("targets must name at least one word that the tokenizer can make a token of.")
        return sorted(set(ids))

    def preprocess(self, inputs: Any, **options: Any) -> dict[str, Any]:
        unit = dict(self.tokenizer(check_text(inputs, "fill-mask"), return_tensors="pt", **options))
        self._check_mask(unit["input_ids"])
        return unit

    def preprocess_many(self, items: list[Any], **options: Any) -> list[list[Any]]:
        units = self.tokenize_many([check_text(item, "fill-mask") for item in items], **options)
        for unit in units:
            self._check_mask(unit["input_ids"])
        return [[unit] for unit in units]

    def _check_mask(self, ids: Tensor) -> None:
        if not bool((ids == self.tokenizer.mask_token_id).any()):
            mask = self.tokenizer.mask_token
            raise PipelineException(
                "fill-mask",
                self.model.name_or_path,
                f"The text has no mask: write {mask} where a word is to be filled in.",
            )

    def _forward(self, model_inputs: dict[str, Any]) -> Any:
        logits = self.model(**self.model_inputs(model_inputs)).logits
        return {"logits": logits, "input_ids": model_inputs["input_ids"]}

    def postprocess(self, model_outputs: Any, top_k: int = 5, targets: list[int] | None = None) -> Any:
        ids = model_outputs["input_ids"][0]
        places = (ids == self.tokenizer.mask_token_id).nonzero().flatten()
        scores = model_outputs["logits"][0, places].float().softmax(-1)
        if targets is not None:
            scores, top_k = scores[:, targets], min(top_k, len(targets))
        values, numbers = scores.topk(min(top_k, scores.shape[-1]))
        single = len(places) == 1
        rows = [
            [
                self._candidate(ids, int(place), value, targets[number] if targets is not None else number, single)
                for value, number in zip(row_values, row_numbers, strict=True)
            ]
            for place, row_values, row_numbers in zip(places, values.tolist(), numbers.tolist(), strict=True)
        ]
        return rows[0] if single else rows

    def _candidate(self, ids: Tensor, place: int, score: float, token: int, single: bool) -> dict[str, Any]:
        filled = ids.clone()
        filled[place] = token
        pad = self.tokenizer.pad_token_id
        kept = filled if pad is None else filled[filled != pad]
        return {
            "score": score,
            "token": token,
            "token_str": self.tokenizer.decode([token]),
            "sequence": self.tokenizer.decode(kept.tolist(), skip_special_tokens=single),
        }
