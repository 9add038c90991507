"""table-question-answering: cells of a table, and what to do with them, that answer a question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..errors import InputError, InputTypeError
from .argument_handler import ArgumentHandler
from .base import Parameters
from .generative import GenerativePipeline


class TableQuestionAnsweringArgumentHandler(ArgumentHandler):
    """{"table", "query"} items from what a user gives (guide: internal/pipelines_utils)."""

    def __call__(self, table: Any = None, query: Any = None, **_: Any) -> list[dict[str, Any]]:
        """A list of items, each with a pandas table of texts and its queries.

        Raises:
            InputError: no table, an empty one, or no query.
        """
        if table is None:
            raise InputError("table-question-answering needs table=... (a dict of columns or a DataFrame).")
        if query is None:
            if isinstance(table, Mapping) and table.get("query") is not None and table.get("table") is not None:
                items = [table]
            elif (
                isinstance(table, list) and table and all(isinstance(row, Mapping) and "table" in row for row in table)
            ):
                items = table
            else:
                raise InputError("table-question-answering needs query=... (a question or a list of them).")
        else:
            items = [{"table": table, "query": query}]
        return [self._item(item) for item in items]

    def _item(self, item: Mapping[str, Any]) -> dict[str, Any]:
        import pandas as pd

        table, query = item["table"], item.get("query")
        if not query:
            raise InputError("The query is empty. Ask a question about the table.")
        if not isinstance(table, pd.DataFrame):
            if not isinstance(table, (Mapping, list)):
                raise InputTypeError(f"The table is {type(table).__name__}; expected a dict of columns or a DataFrame.")
            table = pd.DataFrame(table)
        if table.empty:
            raise InputError("The table is empty. Give at least one row.")
        return {"table": table, "query": query}


class TableQuestionAnsweringPipeline(GenerativePipeline):
    """Tables with questions to {"answer", "coordinates", "cells", "aggregator"} (TAPAS, arXiv:2004.02349; TAPEX)."""

    handler = TableQuestionAnsweringArgumentHandler()

    def __call__(self, *args: Any, **parameters: Any) -> Any:
        """Answer.

        Args:
            args: table, query; or {"table", "query"}; or a list of such dicts.
            parameters: the same by name, and sequential (each question may refer to the one before), padding,
                truncation, batch_size.

        Returns:
            A dict for one question, a list for several.
        """
        given = {name: parameters.pop(name) for name in ("table", "query") if name in parameters}
        items = self.handler(*args, **given)
        results = super().__call__(items, **parameters)
        return results[0] if len(results) == 1 else results

    def _sanitize_parameters(
        self, sequential: bool | None = None, padding: Any = None, truncation: Any = None, **generate: Any
    ) -> Parameters:
        pre = {name: value for name, value in (("padding", padding), ("truncation", truncation)) if value is not None}
        forward = dict(generate)
        if sequential is not None:
            forward["sequential"] = sequential
        return pre, forward, {}

    @property
    def _is_tapas(self) -> bool:
        return not self.model.can_generate()

    @property
    def _aggregates(self) -> bool:
        return bool(getattr(self.model.config, "aggregation_labels", None)) and bool(
            getattr(self.model.config, "num_aggregation_labels", 0)
        )

    def batch_key(self, model_inputs: Any) -> Any:
        return id(model_inputs)  # a table has its questions as its batch already

    def preprocess(self, inputs: Any, padding: Any = True, truncation: Any = None, **_: Any) -> dict[str, Any]:
        if truncation is None:
            truncation = "drop_rows_to_fit" if self._is_tapas else "do_not_truncate"
        encoded = self.tokenizer(
            inputs["table"], inputs["query"], return_tensors="pt", truncation=truncation, padding=padding
        )
        return {**encoded, "table": inputs["table"]}

    def _forward(self, model_inputs: dict[str, Any], sequential: bool = False, **options: Any) -> Any:
        table = model_inputs["table"]
        inputs = {name: value for name, value in model_inputs.items() if name != "table"}
        outputs: Any
        if not self._is_tapas:
            outputs = self.generate(inputs, options).flatten(0, 1)
        elif sequential:
            outputs = self._in_turn(inputs)
        else:
            outputs = dict(self.model(**inputs))
        return {"model_inputs": inputs, "table": table, "outputs": outputs}

    def _in_turn(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """One question after the other, each given which cells answered the one before."""
        logits, aggregations = [], []
        previous: dict[tuple[int, int], int] | None = None
        for row in range(len(inputs["input_ids"])):
            one = {name: value[row : row + 1].clone() for name, value in inputs.items()}
            types = one["token_type_ids"][0]
            if previous is not None:
                types[:, 3] = torch.tensor(
                    [previous.get((int(t[1]) - 1, int(t[2]) - 1), 0) if int(t[0]) == 1 else 0 for t in types]
                )
            outputs = self.model(**one)
            logits.append(outputs.logits)
            if self._aggregates:
                aggregations.append(outputs.logits_aggregation)
            previous = _answers(outputs.logits[0], one["attention_mask"][0], types)
        joined = {"logits": torch.cat(logits)}
        return joined | ({"logits_aggregation": torch.cat(aggregations)} if aggregations else {})

    def postprocess(self, model_outputs: Any) -> Any:
        table, outputs = model_outputs["table"], model_outputs["outputs"]
        if not self._is_tapas:
            answers = [{"answer": text} for text in self.tokenizer.batch_decode(outputs, skip_special_tokens=True)]
            return answers if len(answers) > 1 else answers[0]
        extra = (outputs["logits_aggregation"],) if self._aggregates else ()
        predicted = self.tokenizer.convert_logits_to_predictions(
            model_outputs["model_inputs"], outputs["logits"], *extra
        )
        names = getattr(self.model.config, "aggregation_labels", None) or {}
        answers = []
        for row, coordinates in enumerate(predicted[0]):
            cells = [table.iat[place] for place in coordinates]
            answer = {"answer": ", ".join(cells), "coordinates": coordinates, "cells": cells}
            if self._aggregates:
                number = predicted[1][row]
                answer["aggregator"] = _label(names, number)
                none = getattr(self.model.config, "no_aggregation_label_index", None)
                if number != none:
                    answer["answer"] = f"{answer['aggregator']} > {answer['answer']}"
            answers.append(answer)
        if not answers:
            raise InputError("The model found no answer. Ask about what the table holds.")
        return answers if len(answers) > 1 else answers[0]


def _label(names: Mapping[Any, str], number: int) -> str:
    return names[number] if number in names else names[str(number)]


def _answers(logits: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> dict[tuple[int, int], int]:
    """Which cells (column, row) a question's mean token probabilities select (1) or not (0)."""
    scores = torch.sigmoid(logits) * mask.to(logits.dtype)
    places: dict[tuple[int, int], list[float]] = {}
    for score, token in zip(scores.tolist(), types.tolist(), strict=True):
        segment, column, row = token[:3]
        if column > 0 and row > 0 and segment == 1:
            places.setdefault((column - 1, row - 1), []).append(score)
    return {place: int(sum(values) / len(values) > 0.5) for place, values in places.items()}
