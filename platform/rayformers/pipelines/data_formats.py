"""Inputs and outputs of pipelines in files and pipes: CSV, JSON, tabs (guide: internal/pipelines_utils).

A column is named as in the file ("text"), or as "argument=column" where a task takes several inputs by name
("question=q,context=body").
"""

from __future__ import annotations

import csv
import json
import os
import pickle
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from ..errors import ConfigError, InputError, NotFoundError
from ..registry import Registry

Item = Any
"""A value of the only column, or a dict of values by argument."""


class PipelineDataFormat(ABC):
    """Reads the items of a file and saves answers.

    Args:
        output_path: where answers go; None where they are printed.
        input_path: the file that is read.
        column: columns to read, separated by commas, each `column` or `argument=column`.
        overwrite: whether an existing output is replaced.

    Raises:
        ConfigError: a name is missing, or the output exists. NotFoundError: no such input.
    """

    SUPPORTED_FORMATS: ClassVar[tuple[str, ...]] = ("json", "csv", "pipe")
    default_suffix: ClassVar[str] = ".json"

    def __init__(
        self, output_path: str | None, input_path: str | None, column: str | None, overwrite: bool = False
    ) -> None:
        self.output_path, self.input_path = output_path or None, input_path or None
        self.columns = parse_columns(column)
        if self.output_path is not None:
            if Path(self.output_path).is_dir():
                raise ConfigError(f"The output {self.output_path} is a folder; name a file.")
            if Path(self.output_path).exists() and not overwrite:
                raise ConfigError(f"{self.output_path} exists. Pass overwrite (--overwrite) to replace it.")
        if self.input_path is not None and not Path(self.input_path).is_file():
            raise NotFoundError(f"The input {self.input_path} is no file.")

    @property
    def is_multi_columns(self) -> bool:
        """Whether items are dicts of several arguments."""
        return len(self.columns) > 1 or any(argument != column for argument, column in self.columns)

    @abstractmethod
    def __iter__(self) -> Iterator[Item]:
        """The items, in order."""

    @abstractmethod
    def save(self, data: Any) -> None:
        """Write answers (a dict, or a list of dicts) whole or not at all."""

    def save_binary(self, data: Any) -> str:
        """Pickle answers that are no text beside the output, and return the path."""
        if self.output_path is None:
            raise ConfigError("Answers of this kind need a file: name an output.")
        path = Path(self.output_path).with_suffix(".pickle")
        with _whole(path) as temporary:
            temporary.write_bytes(pickle.dumps(data))
        return str(path)

    @staticmethod
    def from_str(
        format: str, output_path: str | None, input_path: str | None, column: str | None, overwrite: bool = False
    ) -> PipelineDataFormat:
        """The format of a name: "json", "csv" or "pipe".

        Raises:
            UnknownNameError: no such format.
        """
        return FORMATS.get(format)(output_path, input_path, column, overwrite=overwrite)

    def item(self, row: Mapping[str, Any], place: str) -> Item:
        """What the pipeline gets of a row."""
        for _, column in self.columns:
            if column not in row:
                raise InputError(f"{place} has no column {column!r}; it has {', '.join(map(repr, row)) or 'none'}.")
        values = {argument: row[column] for argument, column in self.columns}
        return values if self.is_multi_columns else next(iter(values.values()))

    def _need(self, what: str) -> None:
        if not self.columns:
            raise ConfigError(f"A {what} needs the column to read: column='text' (--column text).")
        if self.input_path is None:
            raise ConfigError(f"A {what} needs an input: name a file (--input).")

    def _output(self) -> Path:
        if self.output_path is None:
            raise ConfigError("No output is named: pass output_path (--output).")
        return Path(self.output_path)


class CsvPipelineDataFormat(PipelineDataFormat):
    """Rows of a CSV file with a header (UTF-8)."""

    def __init__(
        self, output_path: str | None, input_path: str | None, column: str | None, overwrite: bool = False
    ) -> None:
        super().__init__(output_path, input_path, column, overwrite=overwrite)
        self._need("CSV file")

    def __iter__(self) -> Iterator[Item]:
        csv.field_size_limit(sys.maxsize)
        with Path(str(self.input_path)).open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            try:
                for row in reader:
                    yield self.item(_whole_row(row, f"{self.input_path}:{reader.line_num}"), str(self.input_path))
            except (csv.Error, UnicodeDecodeError) as error:
                raise InputError(f"{self.input_path}:{reader.line_num} is not readable as CSV: {error}") from error

    def save(self, data: Any) -> None:
        """Write a CSV file with the keys of the first answer as its header; nested answers as JSON."""
        rows = flat_rows(data)
        with _whole(self._output()) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(dict.fromkeys(name for row in rows for name in row)))
            writer.writeheader()
            writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


class JsonPipelineDataFormat(PipelineDataFormat):
    """A JSON list of objects, or one object on each line."""

    def __init__(
        self, output_path: str | None, input_path: str | None, column: str | None, overwrite: bool = False
    ) -> None:
        super().__init__(output_path, input_path, column, overwrite=overwrite)
        self._need("JSON file")

    def __iter__(self) -> Iterator[Item]:
        for number, row in enumerate(read_objects(Path(str(self.input_path)))):
            yield self.item(row, f"Object {number} of {self.input_path}")

    def save(self, data: Any) -> None:
        """Write the answers as JSON."""
        with _whole(self._output()) as temporary:
            temporary.write_text(json.dumps(data, ensure_ascii=False, indent=1, default=jsonable), encoding="utf-8")


class PipedPipelineDataFormat(PipelineDataFormat):
    """Lines of stdin, with columns separated by tabs; answers go to stdout, one line of JSON each."""

    def __iter__(self) -> Iterator[Item]:
        for number, line in enumerate(sys.stdin, start=1):
            text = line.rstrip("\n")
            if not self.columns:
                yield text.split("\t") if "\t" in text else text
                continue
            parts = text.split("\t")
            if len(parts) < len(self.columns):
                raise InputError(f"Line {number} of stdin has {len(parts)} columns; {len(self.columns)} are named.")
            values = {argument: part for (argument, _), part in zip(self.columns, parts, strict=False)}
            yield values if self.is_multi_columns else parts[0]

    def save(self, data: Any) -> None:
        """Print the answers."""
        for answer in data if isinstance(data, list) else [data]:
            sys.stdout.write(json.dumps(answer, ensure_ascii=False, default=jsonable) + "\n")
            sys.stdout.flush()

    def save_binary(self, data: Any) -> str:
        """Pickle the answers to the output, which must be named."""
        if self.output_path is None:
            raise ConfigError("Answers of this kind cannot go through a pipe: name an output file (--output).")
        return super().save_binary(data)


FORMATS: Registry[type[PipelineDataFormat]] = Registry("data format")
FORMATS.add("csv", CsvPipelineDataFormat)
FORMATS.add("json", JsonPipelineDataFormat)
FORMATS.add("pipe", PipedPipelineDataFormat)


def parse_columns(column: str | None) -> list[tuple[str, str]]:
    """[("question", "q"), ("context", "context")] of "question=q,context".

    Raises:
        ConfigError: a part is empty.
    """
    if not column:
        return []
    found = []
    for part in column.split(","):
        argument, equals, name = part.strip().partition("=")
        if not argument or (equals and not name):
            raise ConfigError(f"column is {column!r}; write 'text', or 'question=q,context=body' for several.")
        found.append((argument, name if equals else argument))
    return found


def read_objects(file: Path) -> Iterable[dict[str, Any]]:
    """The objects of a JSON list, or of lines of JSON.

    Raises:
        InputError: the file holds something else.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        listed = text.lstrip()[:1] == "["
        rows = json.loads(text) if listed else [json.loads(line) for line in text.splitlines() if line.strip()]
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is neither a JSON list nor a JSON object on each line: {error}") from error
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(f"Entry {number} of {file} is {type(row).__name__}; expected objects with columns.")
    return list(rows)


def flat_rows(data: Any) -> list[dict[str, Any]]:
    """Answers as rows: lists of dicts are joined, anything else stands in a column "output"."""
    rows: list[dict[str, Any]] = []
    for answer in data if isinstance(data, list) else [data]:
        if isinstance(answer, list) and answer and all(isinstance(entry, dict) for entry in answer):
            rows += answer
        else:
            rows.append(answer if isinstance(answer, dict) else {"output": answer})
    return rows


def jsonable(value: Any) -> Any:
    """A tensor or array as lists, for `json.dumps`.

    Raises:
        TypeError: another value that JSON does not know.
    """
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a result of type {type(value).__name__} has no JSON form")


def _whole_row(row: dict[Any, Any], place: str) -> dict[str, Any]:
    if None in row:
        raise InputError(f"{place} has more values than the header has columns. Quote values that hold commas.")
    missing = [name for name, value in row.items() if value is None]
    if missing:
        raise InputError(f"{place} has no value for {', '.join(map(repr, missing))}.")
    return row


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=jsonable) if isinstance(value, (list, dict)) else value


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """A temporary path that takes the file's name when the block ends well."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
