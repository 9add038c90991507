"""`rayformers predict`: a pipeline on inputs, one line of JSON for each."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from ..errors import ConfigError


def predict(
    task: Annotated[str, typer.Argument(help="A task, such as image-classification.")],
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Files, URLs or texts; - reads one per line from stdin.")
    ],
    model: Annotated[str, typer.Option(help="A folder, a Hub id, or models:/name@alias.")],
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0, ...")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Inputs in a forward pass at most.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="A parameter of the task as key=value, such as top_k=3; may be repeated.")
    ] = None,
) -> None:
    """Run a task's pipeline on inputs and print one line of JSON for each.

    Example: rayformers predict image-classification --model models:/digits@champion seven.png --param top_k=3
    """
    parameters = parse_parameters(param or [])
    from ..pipelines import pipeline

    runner = pipeline(task, model=model, device=device)
    wanted = [line.rstrip("\n") for line in sys.stdin] if inputs == ["-"] else list(inputs)
    if batch_size is not None:
        parameters["batch_size"] = batch_size
    for output in runner(wanted, **parameters):
        print(json.dumps(output, ensure_ascii=False, default=_jsonable), flush=True)


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


def _jsonable(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a result of type {type(value).__name__} has no JSON form")
