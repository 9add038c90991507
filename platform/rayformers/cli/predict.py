"""`rayformers predict`: a pipeline on arguments, lines, or the rows of a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from ..errors import ConfigError


def predict(
    task: Annotated[str, typer.Argument(help="A task, such as image-classification.")],
    model: Annotated[str, typer.Option(help="A folder, a Hub id, or models:/name@alias.")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUT...]", help="Files, URLs or texts; - reads one per line from stdin."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, ...")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Inputs in a forward pass at most.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="A parameter of the task as key=value, such as top_k=3; may be repeated.")
    ] = None,
    input_file: Annotated[str | None, typer.Option("--input", help="A file to read in place of INPUT.")] = None,
    column: Annotated[
        str | None, typer.Option(help="The file's column to read, or argument=column,argument=column.")
    ] = None,
    output: Annotated[str | None, typer.Option(help="A file for the answers in place of stdout.")] = None,
    data_format: Annotated[str | None, typer.Option("--format", help="csv, json, or pipe (tabs, stdin).")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
) -> None:
    """Run a task's pipeline on inputs and print one line of JSON for each.

    Example: rayformers predict image-classification --model models:/digits@champion seven.png --param top_k=3
    """
    parameters = parse_parameters(param or [])
    data = _data(inputs or [], input_file, output, column, data_format, overwrite)
    from ..pipelines import pipeline

    runner = pipeline(task, model=model, device=device)
    if batch_size is not None:
        parameters["batch_size"] = batch_size
    if data is None:
        direct = inputs or []
        wanted: list[Any] = [line.rstrip("\n") for line in sys.stdin] if direct == ["-"] else list(direct)
        _print(runner(wanted, **parameters))
        return
    reader, writer = data
    answers = runner(list(reader), **parameters)
    if output is None:
        _print(answers)
    elif runner.binary_output:
        print(f"written to {writer.save_binary(answers)}", file=sys.stderr)
    else:
        writer.save(answers)


def _data(
    inputs: list[str], file: str | None, output: str | None, column: str | None, kind: str | None, overwrite: bool
) -> Any:
    """What to read and what to write with; None where the inputs are arguments."""
    from ..pipelines.data_formats import PipelineDataFormat

    if file is None and kind != "pipe":
        if not inputs:
            raise ConfigError("predict needs something to read: INPUT arguments, --input FILE, or --format pipe.")
        for name, given in (("--column", column), ("--output", output), ("--format", kind)):
            if given is not None:
                raise ConfigError(f"{name} belongs to --input FILE (or --format pipe); INPUT arguments are printed.")
        return None
    if inputs:
        raise ConfigError("Give INPUT arguments or a file (--input, --format pipe), not both.")
    kind = kind or ("json" if str(file).endswith((".json", ".jsonl")) else "csv")
    reader = PipelineDataFormat.from_str(kind, output, file, column, overwrite)
    if kind == "csv" and output is not None and output.endswith(".json"):
        return reader, PipelineDataFormat.from_str("json", output, file, column, overwrite)
    return reader, reader


def _print(answers: Iterable[Any]) -> None:
    from ..pipelines.data_formats import jsonable

    for answer in answers:
        print(json.dumps(answer, ensure_ascii=False, default=jsonable), flush=True)


def parse_parameters(given: list[str]) -> dict[str, Any]:
    """{"top_k": 3} of ["top_k=3"]; values are YAML.

    Raises:
        ConfigError: one is not key=value.
    """
    import yaml

    parameters = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigError(f"--param {text!r} is not of the form key=value, e.g. top_k=3.")
        try:
            parameters[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--param {text!r}: the value is not valid YAML.") from error
    return parameters
