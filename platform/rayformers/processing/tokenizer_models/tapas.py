"""TAPAS's tokenizer: a table and questions become one sequence, each token with its cell and its number's rank."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ...errors import InputError, InputTypeError
from ..batch_encoding import BatchEncoding
from ..encode_options import LARGEST_LENGTH_TOKENS, EncodeOptions, resolve_options
from ..padding import pad_rows
from .tapas_numbers import column_values, normalize, ranks, relations, values_in
from .tapas_table import Table, TableToken, TokenizedTable
from .word_piece import BERT_TOKENS, BertTokenizer

Cells = dict[tuple[int, int], list[int]]


class TapasTokenizer(BertTokenizer):
    """TAPAS's tokenizer.

    Args:
        cell_trim_length: the most tokens a cell keeps when rows are dropped; -1 for as many as fit.
        max_column_id, max_row_id: how many columns and rows the model knows.
        strip_column_names: leave the names of columns out.
        update_answer_coordinates: find answers by their text instead of their coordinates.
        min_question_length, max_question_length: questions outside of these lengths (tokens) are left out.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {"vocab_file": "vocab.txt"}
    defaults: ClassVar[dict[str, Any]] = {
        **BERT_TOKENS, "empty_token": "[EMPTY]", "cell_trim_length": -1, "max_column_id": None, "max_row_id": None,
        "strip_column_names": False, "update_answer_coordinates": False, "min_question_length": None,
        "max_question_length": None, "model_max_length": 512,
    }  # fmt: skip
    is_fast = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        tokens = list(kwargs.get("additional_special_tokens") or [])
        empty = kwargs.get("empty_token", self.defaults["empty_token"])
        if str(empty) not in [str(token) for token in tokens]:
            tokens.append(empty)
        super().__init__(*args, **{**kwargs, "additional_special_tokens": tokens})

    def __call__(  # type: ignore[override]
        self,
        table: Any,
        queries: str | Sequence[str] | None = None,
        answer_coordinates: Any = None,
        answer_text: Any = None,
        *,
        padding: Any = False,
        truncation: Any = False,
        **options: Any,
    ) -> BatchEncoding:
        """Model inputs of a table with a question, or with several.

        Args:
            table: a pandas.DataFrame, a dict of columns, or a list of dicts.
            queries: a question, or a list of questions about the table.
            answer_coordinates: the (row, column) cells of the answer (a list of such lists for several questions);
                with `answer_text` it adds labels, numeric_values and numeric_values_scale.
            answer_text: the texts of these cells.
            padding: as other tokenizers.
            truncation: True (or "drop_rows_to_fit") drops rows from the end.
            options: max_length, pad_to_multiple_of, padding_side, return_tensors, return_token_type_ids,
                return_attention_mask, return_special_tokens_mask, return_length, add_special_tokens, verbose.

        Returns:
            input_ids, attention_mask, and token_type_ids of 7 numbers a token: segment, column, row, previous answer,
            rank, rank from the other end, relation to the question's numbers.

        Raises:
            InputError: the table does not fit, or an answer is not in it.
        """
        if truncation not in (True, False, None, "drop_rows_to_fit", "do_not_truncate"):
            raise InputError(
                f"truncation={truncation!r}: a table is truncated by dropping rows (True or 'drop_rows_to_fit')"
            )
        single = queries is None or isinstance(queries, str)
        if not single and not (isinstance(queries, list | tuple) and all(isinstance(query, str) for query in queries)):
            raise InputTypeError(f"queries is a string or a list of strings, not {queries!r:.80}")
        questions: list[str] = [queries or ""] if single else list(queries)  # type: ignore[arg-type, list-item]
        if not questions:
            raise InputError("queries is an empty list: ask at least one question")
        if (answer_coordinates is None) != (answer_text is None):
            raise InputError("Give both answer_coordinates and answer_text, or neither")
        coordinates = [answer_coordinates] if single else answer_coordinates or [None] * len(questions)
        texts = [answer_text] if single else answer_text or [None] * len(questions)
        if not len(questions) == len(coordinates) == len(texts):
            raise InputError("queries, answer_coordinates and answer_text must have the same length")
        if single and padding is True and (options.get("max_length") or options.get("pad_to_multiple_of")):
            padding = "max_length"
        resolved = resolve_options(self, padding=padding, truncation=False, **options)
        if resolved.return_overflowing_tokens or resolved.return_offsets_mapping:
            raise InputError("A table has no overflowing tokens and no offsets: leave these options out")
        # Without a length from the caller a longer table is let through (and warned of), as by other tokenizers.
        resolved = dataclasses.replace(resolved, max_length=options.get("max_length"))
        drop = truncation in (True, "drop_rows_to_fit")
        content = Table.of(table)
        tokenized = self._tokenize_table(content)
        rows = []
        for place, question in enumerate(questions):
            before = (coordinates[place - 1], texts[place - 1]) if place else (None, None)
            answer = (coordinates[place], texts[place])
            rows.append(self._row(content, tokenized, question, answer, before, resolved, drop))
        encoded = self.pad(
            {key: [row[key] for row in rows] for key in rows[0]},
            padding=resolved.padding,
            max_length=resolved.max_length,
            pad_to_multiple_of=resolved.pad_to_multiple_of,
            padding_side=resolved.padding_side,
            return_attention_mask=resolved.return_attention_mask,
        )
        if resolved.return_tensors is None and single:
            return BatchEncoding({key: value[0] for key, value in encoded.items()})
        return encoded.convert_to_tensors(resolved.return_tensors)

    def encode_plus(self, table: Any, query: Any = None, **options: Any) -> BatchEncoding:  # type: ignore[override]
        """The model inputs of a table and one question; the options of a call."""
        return self(table, query, **options)

    def batch_encode_plus(self, table: Any, queries: Any = None, **options: Any) -> BatchEncoding:  # type: ignore[override]
        """The model inputs of a table and several questions; the options of a call."""
        return self(table, list(queries or []), **options)

    def encode(self, table: Any, query: Any = None, **options: Any) -> list[int]:  # type: ignore[override]
        """The ids of a table and one question; the options of a call."""
        return self(table, query, **options)["input_ids"]

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of a text."""
        return self._tokenize_texts([text])[0]

    def _tokenize_texts(self, texts: list[str]) -> list[list[str]]:
        encodings = self._encodings(texts, EncodeOptions(add_special_tokens=False)) if texts else []
        empty = self.additional_special_tokens[:1]
        return [empty if _says_nothing(text) else item.tokens for text, item in zip(texts, encodings, strict=True)]

    def _tokenize_table(self, table: Table) -> TokenizedTable:
        header = [""] * len(table.header) if self.strip_column_names else table.header
        lines = [header, *table.rows]
        tokens = iter(self._tokenize_texts([cell for line in lines for cell in line]))
        return TokenizedTable.of([[next(tokens) for _ in line] for line in lines])

    def _row(
        self, table: Table, tokenized: TokenizedTable, question: str, answer: tuple[Any, Any], before: tuple[Any, Any],
        options: EncodeOptions, drop: bool,
    ) -> dict[str, Any]:  # fmt: skip
        question, words = self._question(question)
        kept = self._kept(table, tokenized, len(words), options.max_length, drop)
        query_ids = self.convert_tokens_to_ids(words)
        table_ids = self.convert_tokens_to_ids([token.text for token in kept])
        special = options.add_special_tokens
        ids = self.build_inputs_with_special_tokens(query_ids, table_ids) if special else query_ids + table_ids
        if options.max_length is not None and len(ids) > options.max_length:
            raise InputError(
                f"The question and the table have {len(ids)} tokens, more than max_length={options.max_length}. "
                + ("Not even the header fits." if drop else "Pass truncation=True to drop rows.")
            )
        data: dict[str, Any] = {"input_ids": ids}
        if options.return_length:
            data["length"] = len(ids)
        self.warn_too_long([ids], options)
        start = len(query_ids) + 2
        length = start + len(kept)
        cells: Cells = defaultdict(list)
        for place, token in enumerate(kept):
            if token.row > 0:
                cells[token.column - 1, token.row - 1].append(start + place)
        columns = [column_values([row[index] for row in table.rows]) for index in range(len(table.header))]
        if answer[0] is not None and answer[1] is not None:
            data["labels"] = self._answer_ids(cells, length, tokenized, *answer)
            data["numeric_values"], data["numeric_values_scale"] = _numeric_values(columns, cells, length)
        names = self.model_input_names
        if options.return_token_type_ids or (options.return_token_type_ids is None and "token_type_ids" in names):
            previous = self._answer_ids(cells, length, tokenized, *before) if before[0] is not None else [0] * length
            data["token_type_ids"] = _token_types(question, start, kept, columns, cells, previous)
        if options.return_special_tokens_mask:
            mask = [1, *[0] * len(query_ids), 1, *[0] * len(kept)]
            data["special_tokens_mask"] = mask if special else [0] * len(ids)
        return data

    def _question(self, question: str) -> tuple[str, list[str]]:
        tokens = self.tokenize(question)
        most, least = self.max_question_length, self.min_question_length
        if (most is not None and len(tokens) > most) or (least is not None and len(tokens) < least):
            self.log_once("A question is longer or shorter than allowed (max_/min_question_length): it is left out.")
            return "", []
        return question, tokens

    def _kept(
        self, table: Table, tokenized: TokenizedTable, question: int, max_length: int | None, drop: bool
    ) -> list[TableToken]:
        rows, columns = len(table.rows), len(table.header)
        most_rows, most_columns = (
            limit if limit is not None else self.model_max_length for limit in (self.max_row_id, self.max_column_id)
        )
        if columns >= most_columns:
            raise InputError(f"The table has {columns} columns; this model reads at most {most_columns - 1}")
        if rows >= most_rows:
            if not drop:
                raise InputError(
                    f"The table has {rows} rows; this model reads at most {most_rows - 1}. "
                    "Pass truncation=True to drop rows."
                )
            rows = most_rows - 1
        tokens = tokenized.longest_cell
        limit = self.model_max_length if max_length is None else max_length
        if drop and limit <= LARGEST_LENGTH_TOKENS:
            rows, tokens = tokenized.fit(rows, columns, limit - question - 2, self.cell_trim_length)
        return tokenized.kept(rows, columns, tokens)

    def _answer_ids(
        self, cells: Cells, length: int, tokenized: TokenizedTable, coordinates: Any, texts: Any
    ) -> list[int]:
        """1 for the tokens of the answer."""
        labels = [0] * length
        if self.update_answer_coordinates:
            for tokens in self._tokenize_texts([str(text) for text in texts]):
                for place in _find(tokens, tokenized, cells):
                    labels[place] = 1
            return labels
        missing = [(row, column) for row, column in coordinates if not cells.get((column, row))]
        if missing:
            raise InputError(
                f"The answer's cells (row, column) {missing} are not in the encoded table: they are empty, outside "
                "of it, or were dropped by truncation"
            )
        for row, column in coordinates:
            for place in cells[column, row]:
                labels[place] = 1
        return labels

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """The ids of a question and a table with [CLS] and [SEP]."""
        if token_ids_1 is None:
            raise InputError("TAPAS encodes a question with a table: give the ids of both")
        return [self.cls_token_id, *token_ids_0, self.sep_token_id, *token_ids_1]

    def get_special_tokens_mask(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """1 for [CLS] and [SEP], 0 for the rest."""
        if already_has_special_tokens:
            return super().get_special_tokens_mask(token_ids_0, token_ids_1, True)
        return [1, *[0] * len(token_ids_0), 1, *[0] * len(token_ids_1 or [])]

    def pad_rows(self, data: dict[str, Any], missing: list[int], side: str) -> None:
        """Extend each row by `missing` paddings, in place."""
        types = data.pop("token_type_ids", None)
        super().pad_rows(data, missing, side)
        pad_rows(data, missing, side, {"labels": 0, "numeric_values": math.nan, "numeric_values_scale": 1.0})
        if types is not None:
            data["token_type_ids"] = types
            pad_rows(data, missing, side, {"token_type_ids": [self.pad_token_type_id] * 7})

    def convert_logits_to_predictions(
        self, data: Any, logits: Any, logits_agg: Any = None, cell_classification_threshold: float = 0.5
    ) -> tuple[Any, ...]:
        """The answers' cells (row, column) for each question, and with `logits_agg` the index of each aggregation.

        Args:
            data: the model inputs, as tensors or arrays.
            logits: of the model [batch, tokens].
            logits_agg: of the model [batch, aggregations].
            cell_classification_threshold: from which mean probability of its tokens a cell is part of the answer.
        """
        scores = np.maximum(np.asarray(logits, dtype=np.float64), -88.7)
        probabilities = 1 / (1 + np.exp(-scores)) * np.asarray(data["attention_mask"])
        types = np.asarray(data["token_type_ids"])
        answers = []
        for row_probabilities, row_types in zip(probabilities, types, strict=True):
            cells: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
            for probability, (segment, column, row) in zip(row_probabilities, row_types[:, :3], strict=True):
                if segment == 1 and column > 0 and row > 0:
                    cells[int(row) - 1, int(column) - 1].append(float(probability))
            answers.append(sorted(c for c, p in cells.items() if np.mean(p) > cell_classification_threshold))
        if logits_agg is None:
            return (answers,)
        return answers, np.asarray(logits_agg).argmax(axis=-1).tolist()


def _says_nothing(text: str) -> bool:
    """Whether a text (not the empty one) stands for a missing value, or has no letters and digits."""
    return bool(text) and (text.lower().strip() in ("n/a", "?", "nan") or not re.search(r"[^\W_]", text))


def _token_types(
    question: str, start: int, kept: list[TableToken], columns: list[dict[int, Any]], cells: Cells, previous: list[int]
) -> list[list[int]]:
    length = start + len(kept)
    rank, inverse, relation = ([0] * length for _ in range(3))
    asked = values_in(normalize(question))
    for column, values in enumerate(columns):
        upward, downward = ranks(values)
        for target, found in ((rank, upward), (inverse, downward), (relation, relations(asked, values))):
            for row, number in found.items():
                for place in cells.get((column, row), ()):
                    target[place] = number
    table = [[0, 0, 0]] * start + [[1, token.column, token.row] for token in kept]
    rest = zip(previous, rank, inverse, relation, strict=True)
    return [[*cell, *numbers] for cell, numbers in zip(table, rest, strict=True)]


def _numeric_values(columns: list[dict[int, Any]], cells: Cells, length: int) -> tuple[list[float], list[float]]:
    """The number of each token's cell (NaN for none), and over how many tokens it is spread."""
    numbers, scales = [math.nan] * length, [1.0] * length
    for (column, row), places in cells.items():
        value = columns[column].get(row)
        for place in places:
            scales[place] = float(len(places))
            if value is not None and value.number is not None and value.number != math.inf:
                numbers[place] = value.number
    return numbers, scales


def _find(answer: list[str], tokenized: TokenizedTable, cells: Cells) -> list[int]:
    """The places of an answer's tokens: the first cell that holds all of them."""
    for row, line in enumerate(tokenized.cells[1:]):
        for column, cell in enumerate(line):
            for begin in range(1 + len(cell) - len(answer)):
                if cell[begin : begin + len(answer)] == answer:
                    places = cells.get((column, row), [])[begin : begin + len(answer)]
                    if len(places) == len(answer):
                        return places
                    break
    return []
