"""token-classification (ner): a label for every token, or for every group of tokens that belong together."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from enum import Enum
from typing import Any

import numpy as np

from ..errors import InputError, InputTypeError
from .base import ChunkPipeline, Parameters
from .text import TextPipeline
from .token_groups import AggregationStrategy, aggregate, drop_overlaps

__all__ = ["AggregationStrategy", "TokenClassificationPipeline"]


class TokenClassificationPipeline(TextPipeline, ChunkPipeline):
    """Texts to [{"entity" or "entity_group", "score", "word", "start", "end"}] (guide: tasks/token_classification)."""

    sequence_outputs = ("logits",)

    def __call__(self, inputs: Any, *args: Any, **parameters: Any) -> Any:
        """Tag.

        Args:
            inputs: a text, or a list, dataset or generator of texts; with is_split_into_words, words in place of texts.
            parameters: aggregation_strategy ("none", "simple", "first", "average", "max"), ignore_labels (["O"]),
                stride (tokens that the parts of a long text share), is_split_into_words, delimiter, batch_size.
        """
        if not isinstance(inputs, str) and isinstance(inputs, (list, tuple)) and not inputs:
            raise InputError("token-classification got an empty list. Give at least one text.")
        return super().__call__(inputs, *args, **parameters)

    def _is_many(self, inputs: Any, pre: dict[str, Any]) -> bool:
        return not pre.get("is_split_into_words") or isinstance(inputs[0], (list, tuple))

    def _sanitize_parameters(
        self,
        ignore_labels: list[str] | None = None,
        grouped_entities: bool | None = None,
        ignore_subwords: bool | None = None,
        aggregation_strategy: str | Enum | None = None,
        offset_mapping: Any = None,
        is_split_into_words: bool | None = None,
        stride: int | None = None,
        delimiter: str | None = None,
    ) -> Parameters:
        strategy = None if aggregation_strategy is None else AggregationStrategy.find(aggregation_strategy)
        if grouped_entities or ignore_subwords:
            warnings.warn("grouped_entities and ignore_subwords are replaced by aggregation_strategy.", stacklevel=4)
            strategy = AggregationStrategy.FIRST if grouped_entities and ignore_subwords else AggregationStrategy.SIMPLE
        pre: dict[str, Any] = {}
        for name, value in (("is_split_into_words", is_split_into_words), ("delimiter", delimiter)):
            if value is not None:
                pre[name] = value
        if offset_mapping is not None:
            pre["offset_mapping"] = offset_mapping
        if stride is not None:
            if not 0 <= stride < self.tokenizer.model_max_length:
                raise InputError(
                    f"stride is {stride}; expected fewer tokens than the model's {self.tokenizer.model_max_length}."
                )
            pre["stride"] = stride
        post: dict[str, Any] = {}
        if strategy is not None:
            post["aggregation_strategy"] = strategy
        if ignore_labels is not None:
            post["ignore_labels"] = ignore_labels
        return pre, {}, post

    def preprocess(
        self,
        inputs: Any,
        stride: int | None = None,
        is_split_into_words: bool = False,
        delimiter: str = " ",
        offset_mapping: Any = None,
    ) -> Iterator[dict[str, Any]]:
        text, starts = (inputs, None) if not is_split_into_words else _joined(inputs, delimiter)
        if not isinstance(text, str):
            raise InputTypeError(f"token-classification takes text; it got {type(text).__name__}.")
        limit = self.tokenizer.model_max_length
        options: dict[str, Any] = {"truncation": bool(limit and limit > 0 and limit < 10**9)}
        if stride is not None:
            options |= {"return_overflowing_tokens": True, "padding": True, "stride": stride}
        if is_split_into_words:
            options["is_split_into_words"] = True
        encoded = self.tokenizer(
            list(inputs) if is_split_into_words else text,
            return_tensors="pt", return_special_tokens_mask=True, return_offsets_mapping=True, **options,
        )  # fmt: skip
        encoded.pop("overflow_to_sample_mapping", None)
        for part in range(len(encoded["input_ids"])):
            unit: dict[str, Any] = {name: value[part : part + 1] for name, value in encoded.items()}
            if offset_mapping is not None:
                unit["offset_mapping"] = np.asarray([offset_mapping])
            words = None if starts is None else encoded.word_ids(part)
            yield {**unit, "sentence": text, "word_ids": words, "word_starts": starts}

    def _forward(self, model_inputs: dict[str, Any]) -> Any:
        kept = ("input_ids", "special_tokens_mask", "offset_mapping", "sentence", "word_ids", "word_starts")
        logits = self.model(**self.model_inputs(model_inputs)).logits
        return {"logits": logits, **{name: model_inputs[name] for name in kept}}

    def postprocess(
        self,
        model_outputs: Any,
        aggregation_strategy: AggregationStrategy = AggregationStrategy.NONE,
        ignore_labels: list[str] | None = None,
    ) -> Any:
        ignored = ["O"] if ignore_labels is None else ignore_labels
        found: list[dict[str, Any]] = []
        for output in model_outputs:
            entities = aggregate(self._tokens(output), aggregation_strategy, self.model.config.id2label, self.tokenizer)
            found += [e for e in entities if e.get("entity", e.get("entity_group")) not in ignored]
        return drop_overlaps(found) if len(model_outputs) > 1 else found

    def _tokens(self, output: dict[str, Any]) -> list[dict[str, Any]]:
        """The tokens of a unit with their scores, places in the text, and whether they continue a word."""
        scores = output["logits"][0].float().softmax(-1).numpy()
        offsets = np.asarray(output["offset_mapping"])[0]
        special = output["special_tokens_mask"][0].tolist()
        ids = output["input_ids"][0].tolist()
        names = self.tokenizer.convert_ids_to_tokens(ids)
        tokens = []
        for number, token_id in enumerate(ids):
            if special[number]:
                continue
            start, end = (int(place) for place in offsets[number])
            word_ids, starts = output["word_ids"], output["word_starts"]
            if starts is not None and word_ids[number] is not None:
                start, end = start + starts[word_ids[number]], end + starts[word_ids[number]]
            text = output["sentence"][start:end]
            unknown = token_id == self.tokenizer.unk_token_id
            tokens.append(
                {
                    "word": text if unknown else names[number],
                    "scores": scores[number],
                    "start": start,
                    "end": end,
                    "index": number,
                    "is_subword": not unknown and self._continues(names[number], text, output["sentence"], start),
                }
            )
        return tokens

    def _continues(self, token: str, text: str, sentence: str, start: int) -> bool:
        """Whether a token continues a word: by its prefix in WordPiece vocabularies, else by the space before it."""
        model = getattr(getattr(self.tokenizer, "backend_tokenizer", None), "model", None)
        if getattr(model, "continuing_subword_prefix", None):
            return len(token) != len(text)
        return start > 0 and " " not in sentence[start - 1 : start + 1]


def _joined(words: Any, delimiter: str) -> tuple[str, list[int]]:
    """The text of a list of words, and where each starts."""
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) for word in words):
        raise InputTypeError("is_split_into_words=True needs a list of words (or a list of such lists).")
    starts, place = [], 0
    for word in words:
        starts.append(place)
        place += len(word) + len(delimiter)
    return delimiter.join(words), starts
