"""JSON schemas of Python functions, from their type hints and Google style docstrings."""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Callable
from typing import Any

from ..errors import InputError

_SECTION = re.compile(
    r"^\s*(Args|Arguments|Parameters|Returns|Return|Raises|Yields|Examples?|Notes?):\s*$", re.MULTILINE
)
_ARGUMENT = re.compile(r"^\s*\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_CHOICES = re.compile(r"\(choices:\s*(.*?)\)\s*$", re.IGNORECASE | re.DOTALL)
_BASIC = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}


def get_json_schema(function: Callable[..., Any]) -> dict[str, Any]:
    """The function's schema, in the form that chat templates expect of a tool.

    Raises:
        InputError: the docstring or the hint of an argument is missing.
    """
    name = function.__name__
    text = inspect.getdoc(function)
    if not text:
        raise InputError(f"The tool {name!r} has no docstring: describe it and its arguments (Google style).")
    description, arguments, returns = _sections(text)
    properties = _properties(function)
    hinted = properties.pop("return", None)
    for argument, schema in properties["properties"].items():
        if argument not in arguments:
            raise InputError(f"The docstring of the tool {name!r} does not describe its argument {argument!r}.")
        words = arguments[argument]
        choices = _CHOICES.search(words)
        if choices:
            values = json.loads(choices.group(1))
            schema["enum"] = [value.strip() if isinstance(value, str) else value for value in values]
            words = words[: choices.start()].strip()
        schema["description"] = words
    schema = {"name": name, "description": description, "parameters": properties}
    if hinted is not None:
        if returns is not None:
            hinted["description"] = returns
        schema["return"] = hinted
    return {"type": "function", "function": schema}


def _sections(text: str) -> tuple[str, dict[str, str], str | None]:
    """The description, the arguments by name, and the returned value of a docstring."""
    pieces = _SECTION.split(text)
    sections = dict(zip(pieces[1::2], pieces[2::2], strict=True))
    body = next((sections[key] for key in ("Args", "Arguments", "Parameters") if key in sections), "")
    arguments: dict[str, str] = {}
    current, base = "", None
    for line in body.splitlines():
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        base = indent if base is None else base
        match = _ARGUMENT.match(line) if indent <= base else None
        if match:
            current = match.group(1)
            arguments[current] = match.group(2).strip()
        elif current:
            arguments[current] = f"{arguments[current]} {line.strip()}".strip()
    returned = next((sections[key] for key in ("Returns", "Return") if key in sections), None)
    return pieces[0].strip(), arguments, returned.strip() if returned is not None else None


def _properties(function: Callable[..., Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(function)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for argument, parameter in inspect.signature(function).parameters.items():
        if argument not in hints:
            raise InputError(f"The argument {argument!r} of the tool {function.__name__!r} has no type hint.")
        properties[argument] = _type_schema(hints[argument])
        if parameter.default is inspect.Parameter.empty:
            required.append(argument)
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if "return" in hints:
        schema["return"] = _type_schema(hints["return"])
    return schema


def _type_schema(hint: Any) -> dict[str, Any]:
    """The schema of one type hint."""
    if hint is Any:
        return {}
    if hint in _BASIC:
        return {"type": _BASIC[hint]}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _union_schema(arguments)
    if origin is typing.Literal:
        kinds = sorted({_BASIC[type(value)] for value in arguments})
        return {"type": kinds[0] if len(kinds) == 1 else kinds, "enum": list(arguments)}
    if origin is list or hint is list:
        return {"type": "array", "items": _type_schema(arguments[0])} if arguments else {"type": "array"}
    if origin is tuple or hint is tuple:
        return (
            {"type": "array", "prefixItems": [_type_schema(item) for item in arguments]}
            if arguments
            else {"type": "array"}
        )
    if origin is dict or hint is dict:
        schema: dict[str, Any] = {"type": "object"}
        if len(arguments) == 2:
            schema["additionalProperties"] = _type_schema(arguments[1])
        return schema
    raise InputError(
        f"No JSON schema for the type hint {hint!r}: use str, int, float, bool, list, dict, tuple or Literal."
    )


def _union_schema(members: tuple[Any, ...]) -> dict[str, Any]:
    some = [_type_schema(member) for member in members if member is not type(None)]
    if len(some) == 1:
        schema = some[0]
    elif all(isinstance(item.get("type"), str) for item in some):
        schema = {"type": sorted(item["type"] for item in some)}
    else:
        schema = {"anyOf": some}
    if type(None) in members:
        schema["nullable"] = True
    return schema
