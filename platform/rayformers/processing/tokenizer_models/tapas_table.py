"""Tables as TAPAS reads them: rows of strings, cut into tokens that know their cell."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ...errors import InputError, InputTypeError


@dataclasses.dataclass(frozen=True)
class Table:
    """A header and rows of texts."""

    header: list[str]
    rows: list[list[str]]

    @staticmethod
    def of(value: Any) -> Table:
        """The table in a pandas DataFrame, in a dict of columns, or in a list of dicts (one a row).

        Raises:
            InputTypeError: it is something else.
            InputError: columns have different lengths.
        """
        if isinstance(value, Table):
            return value
        if hasattr(value, "columns") and hasattr(value, "itertuples"):
            rows = [list(row) for row in value.itertuples(index=False, name=None)]
            return Table([str(name) for name in value.columns], [[_text(cell) for cell in row] for row in rows])
        if isinstance(value, list | tuple) and value and all(isinstance(row, Mapping) for row in value):
            header = list(value[0])
            return Table(
                [str(name) for name in header], [[_text(row.get(name, "")) for name in header] for row in value]
            )
        if isinstance(value, Mapping):
            columns = [list(column) for column in value.values()]
            if len({len(column) for column in columns}) > 1:
                raise InputError("The columns of the table have different lengths")
            return Table(
                [str(name) for name in value], [[_text(cell) for cell in row] for row in zip(*columns, strict=True)]
            )
        raise InputTypeError(
            f"A table is a pandas.DataFrame, a dict of columns, or a list of dicts; got {type(value).__name__}"
        )


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else "" if cell is None else str(cell)


@dataclasses.dataclass(frozen=True)
class TableToken:
    """A token with its column and row (from 1; the header is row 0), its index in the cell and its word's start."""

    text: str
    column: int
    row: int
    index: int
    word_start: int


@dataclasses.dataclass(frozen=True)
class TokenizedTable:
    """The tokens of a table, row by row, and the tokens of each cell (header first)."""

    tokens: list[TableToken]
    cells: list[list[list[str]]]

    @staticmethod
    def of(cells: list[list[list[str]]]) -> TokenizedTable:
        """The tokens of cells that are tokenized already; row 0 is the header."""
        tokens = []
        for row, line in enumerate(cells):
            for column, cell in enumerate(line):
                start = -1
                for index, text in enumerate(cell):
                    start = start if text.startswith("##") else index
                    tokens.append(TableToken(text, column + 1, row, index, start))
        return TokenizedTable(tokens, cells)

    @property
    def longest_cell(self) -> int:
        """The tokens of the longest cell."""
        return max((token.index + 1 for token in self.tokens), default=0)

    def kept(self, rows: int, columns: int, tokens: int) -> list[TableToken]:
        """The tokens of the header, the first rows and columns; of each cell the words that start before `tokens`."""
        return [
            token
            for token in self.tokens
            if token.row <= rows and token.column <= columns and token.word_start < tokens
        ]

    def fit(self, rows: int, columns: int, budget: int, trim: int) -> tuple[int, int]:
        """How many rows, and tokens a cell, fit into `budget` tokens; rows are dropped from the end.

        Args:
            trim: the most tokens a cell may keep; negative for as many as fit.
        """
        starts: dict[int, Counter[int]] = {}
        for token in self.tokens:
            if token.column <= columns:
                starts.setdefault(token.row, Counter())[max(token.word_start, 0)] += 1
        while True:
            counts: Counter[int] = sum((starts[row] for row in starts if row <= rows), Counter())
            tokens = _fitting(counts, self.longest_cell, budget, trim)
            if tokens is not None:
                return rows, tokens or 1
            rows -= 1
            if rows < 1:
                return rows, 1


def _fitting(starts: Counter[int], longest: int, budget: int, trim: int) -> int | None:
    most = trim if 0 <= trim < longest else longest
    tokens = used = 0
    for tokens in range(most + 1):
        used += starts[tokens]
        if used > budget:
            break
    if tokens < most and (trim >= 0 or tokens == 0):
        return None
    return tokens
