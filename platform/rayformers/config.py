"""Strict typed configuration: YAML to frozen dataclasses, with the file and line in every error.

@dataclass(frozen=True, kw_only=True)
class ScaleConfig(Config):
    num_workers: int = 0

load_config(JobConfig, Path("job.yaml"), overrides=["scale.num_workers=2"])
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from .errors import ConfigError, NotFoundError, did_you_mean

C = TypeVar("C")
KeyPath = tuple[str, ...]


@dataclass(frozen=True)
class Origin:
    """Where a configuration came from: a name to print and the line of every key that a file gave."""

    name: str = "configuration"
    lines: Mapping[KeyPath, int] = dataclasses.field(default_factory=dict)

    def at(self, path: KeyPath) -> str:
        """ "job.yaml, line 3: train.learning_rate", or without a line where the key has none."""
        line = self.lines.get(path)
        where = self.name if line is None else f"{self.name}, line {line}"
        return f"{where}: {'.'.join(path)}" if path else where


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of configurations. Subclasses are frozen, keyword-only dataclasses; their fields are the allowed keys."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], origin: Origin | None = None) -> Self:
        """Build from plain values; unknown keys and wrong types raise ConfigError."""
        return build(cls, values, origin or Origin(cls.__name__))

    def to_dict(self) -> dict[str, Any]:
        """Plain values (dicts, lists, strings, numbers), fit for YAML and JSON."""
        return typing.cast(dict[str, Any], plain(self))


def load_config(cls: type[C], path: str | Path, overrides: Sequence[str] = ()) -> C:
    """Read a YAML file into `cls`, then apply "a.b=value" overrides (values are YAML).

    Raises:
        NotFoundError: the file does not exist.
        ConfigError: the file is not YAML, or a key or value is wrong (file and line are named).
    """
    file = Path(path)
    values, origin = read_yaml(file)
    for override in overrides:
        _apply_override(values, override)
    return build(cls, values, origin)


def read_yaml(file: Path) -> tuple[dict[str, Any], Origin]:
    """The mapping in a YAML file and the line of each of its keys."""
    if not file.is_file():
        raise NotFoundError(f"No such file: {file}. Give the path of a YAML file.")
    text = file.read_text(encoding="utf-8")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file} holds {type(values).__name__}; expected a mapping of keys to values.")
    lines: dict[KeyPath, int] = {}
    _collect_lines(node, (), lines, str(file))
    return values, Origin(str(file), lines)


def _collect_lines(node: yaml.Node | None, path: KeyPath, lines: dict[KeyPath, int], file: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            child = (*path, str(key.value))
            if child in lines:
                raise ConfigError(f"{file}, line {key.start_mark.line + 1}: {'.'.join(child)} is given twice.")
            lines[child] = key.start_mark.line + 1
            _collect_lines(value, child, lines, file)


def _apply_override(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise ConfigError(f"Override {override!r} is not of the form key=value, e.g. train.learning_rate=1e-3.")
    *parents, last = name.split(".")
    place = values
    for parent in parents:
        if not isinstance(place.get(parent), dict):
            place[parent] = {}
        place = place[parent]
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"Override {override!r}: the value is not valid YAML.") from error


def build(cls: type[C], values: Any, origin: Origin, path: KeyPath = ()) -> C:
    """An instance of the dataclass `cls` from a mapping, every value checked against its field's type."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{origin.at(path)} is {values!r}; expected a mapping of {cls.__name__} keys.")
    allowed = {field.name: field for field in fields(cls) if field.init}  # type: ignore[arg-type]
    for key in values:
        if key not in allowed:
            raise ConfigError(f"{origin.at((*path, str(key)))} is not a known key. {did_you_mean(str(key), allowed)}")
    hints = get_type_hints(cls)
    given = {key: convert(hints[key], value, origin, (*path, key)) for key, value in values.items()}
    required = {
        name
        for name, field in allowed.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    if missing := sorted(required - given.keys()):
        raise ConfigError(f"{origin.at(path)} lacks the required key {'.'.join((*path, missing[0]))!r}.")
    try:
        return cls(**given)
    except ConfigError as error:
        raise ConfigError(f"{origin.at(path)}: {error}") from error


def convert(hint: Any, value: Any, origin: Origin, path: KeyPath) -> Any:
    """`value` as the type `hint`, or ConfigError. Whole numbers pass as floats, "1e-3" (a YAML 1.1 string) too."""
    if hint is Any:
        return value
    kind, arguments = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        return _convert_union(arguments, value, origin, path)
    if kind is Literal:
        if value in arguments and type(value) in {type(argument) for argument in arguments}:
            return value
    elif kind in (list, tuple, Sequence, typing.get_origin(Sequence[Any])):
        if isinstance(value, (list, tuple)):
            inner = arguments[0] if arguments else Any
            items = [convert(inner, item, origin, (*path, str(i))) for i, item in enumerate(value)]
            return tuple(items) if kind is tuple else items
    elif hint is dict or kind in (dict, typing.get_origin(Mapping[str, Any])):
        if isinstance(value, Mapping):
            inner = arguments[1] if arguments else Any
            return {key: convert(inner, item, origin, (*path, str(key))) for key, item in value.items()}
    elif is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else build(hint, value, origin, path)
    else:
        converted = _convert_scalar(hint, value)
        if converted is not None or hint is type(None):
            return converted
    raise ConfigError(f"{origin.at(path)} is {value!r}; expected {describe(hint)}.")


def _convert_union(options: tuple[Any, ...], value: Any, origin: Origin, path: KeyPath) -> Any:
    if value is None and type(None) in options:
        return None
    exact = [option for option in options if isinstance(option, type) and type(value) is option]
    problems: list[ConfigError] = []
    for option in (*exact, *(o for o in options if o is not type(None))):
        try:
            return convert(option, value, origin, path)
        except ConfigError as error:
            problems.append(error)
    if isinstance(value, Mapping) and len(problems) == 1:
        raise problems[0]
    raise ConfigError(f"{origin.at(path)} is {value!r}; expected {' or '.join(describe(o) for o in options)}.")


def _convert_scalar(hint: Any, value: Any) -> Any:
    if not isinstance(hint, type):
        return None
    if issubclass(hint, Enum):
        members = {member.value: member for member in hint}
        return members.get(value.value if isinstance(value, Enum) else value)
    if hint is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            return None
    if hint is int:
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    if hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    return value if isinstance(value, hint) else None


def describe(hint: Any) -> str:
    """A type as a user reads it: "a number", "one of 'a', 'b'", "a list of text"."""
    kind, arguments = get_origin(hint), get_args(hint)
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    if hint in names:
        return names[hint]
    if kind is Literal:
        return "one of " + ", ".join(repr(argument) for argument in arguments)
    if kind in (Union, types.UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    if kind in (list, tuple):
        return "a list" + (f" of {describe(arguments[0])}" if arguments else "")
    if hint is dict or kind is dict:
        return "a mapping"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "one of " + ", ".join(repr(member.value) for member in hint)
    return getattr(hint, "__name__", str(hint))


def plain(value: Any) -> Any:
    """`value` with dataclasses as dicts, tuples as lists, paths and enums as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value
