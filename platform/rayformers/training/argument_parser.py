"""Command-line arguments from dataclasses (guide: internal/trainer_utils)."""

from __future__ import annotations

import argparse
import dataclasses
import enum
import json
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError, did_you_mean

_TRUE = {"yes", "true", "t", "y", "1"}
_FALSE = {"no", "false", "f", "n", "0"}


def string_to_bool(value: str | bool) -> bool:
    """True for yes, true, t, y, 1 and False for no, false, f, n, 0, in any case.

    Raises:
        argparse.ArgumentTypeError: another word.
    """
    if isinstance(value, bool):
        return value
    if value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise argparse.ArgumentTypeError(f"{value!r} is neither true (yes, t, y, 1) nor false (no, f, n, 0).")


def HfArg(  # noqa: N802  (the guides' name)
    *,
    aliases: str | Sequence[str] | None = None,
    help: str | None = None,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    metadata: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """A dataclass field with a help text and further names for the command line."""
    more = {name: value for name, value in (("aliases", aliases), ("help", help)) if value is not None}
    return dataclasses.field(
        metadata={**(metadata or {}), **more}, default=default, default_factory=default_factory, **options
    )


class HfArgumentParser(argparse.ArgumentParser):
    """A parser with an option for each field of some dataclasses.

    A field `name_of_it` is `--name_of_it` or `--name-of-it`; a boolean needs no value, and one that is True by default
    also has `--no_name_of_it`. Lists take several values; enumerations and Literal have choices; a mapping is JSON.
    A class's `_argument_group_name` puts its options into a group.

    Args:
        dataclass_types: one dataclass or several.
        options: for `argparse.ArgumentParser`.

    Raises:
        ConfigError: a field's type cannot be an option.
    """

    def __init__(self, dataclass_types: Any = None, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.ArgumentDefaultsHelpFormatter)
        super().__init__(**options)
        if dataclass_types is None:
            dataclass_types = ()
        single = dataclasses.is_dataclass(dataclass_types) or not isinstance(dataclass_types, Iterable)
        self.dataclass_types: list[type[Any]] = [dataclass_types] if single else list(dataclass_types)
        for dataclass_type in self.dataclass_types:
            self._add_dataclass_arguments(dataclass_type)

    def _add_dataclass_arguments(self, dataclass_type: type[Any]) -> None:
        group = getattr(dataclass_type, "_argument_group_name", None)
        target = self if group is None else self.add_argument_group(group)
        try:
            hints = typing.get_type_hints(dataclass_type)
        except NameError as error:
            raise ConfigError(
                f"The types of {dataclass_type.__name__} cannot be resolved: {error}. Define it at the top of a module."
            ) from error
        for field in dataclasses.fields(dataclass_type):
            if field.init:
                _add_field(target, field, hints[field.name])

    def parse_args_into_dataclasses(
        self,
        args: Sequence[str] | None = None,
        return_remaining_strings: bool = False,
        look_for_args_file: bool = True,
        args_filename: str | Path | None = None,
        args_file_flag: str | None = None,
    ) -> tuple[Any, ...]:
        """Instances of the dataclasses, then a namespace of what was added to the parser by hand.

        Args:
            args: words of the command line; default those of this program.
            return_remaining_strings: also return the words that no option took, instead of refusing them.
            look_for_args_file: read `<program>.args` beside the program where it exists; the command line wins.
            args_filename: read this file instead.
            args_file_flag: an option that names such files.

        Raises:
            ConfigError: words that no option took, or a file that does not exist.
        """
        words = list(sys.argv[1:] if args is None else args)
        files = [Path(args_filename)] if args_filename else []
        if not files and look_for_args_file and sys.argv and sys.argv[0]:
            beside = Path(sys.argv[0]).with_suffix(".args")
            files = [beside] if beside.is_file() else []
        if args_file_flag:
            flags = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
            flags.add_argument(args_file_flag, dest="files", action="append", default=[])
            found, words = flags.parse_known_args(words)
            files += [Path(name) for name in found.files]
        missing = [str(file) for file in files if not file.is_file()]
        if missing:
            raise ConfigError(f"No such file with arguments: {', '.join(missing)}.")
        namespace, remaining = self.parse_known_args([*(w for file in files for w in file.read_text().split()), *words])
        values = vars(namespace)
        outputs: list[Any] = []
        for dataclass_type in self.dataclass_types:
            own = {name: values[name] for name in _init_names(dataclass_type)}
            outputs.append(dataclass_type(**own))
        for name in {name for dataclass_type in self.dataclass_types for name in _init_names(dataclass_type)}:
            delattr(namespace, name)
        if vars(namespace):
            outputs.append(namespace)
        if return_remaining_strings:
            return (*outputs, remaining)
        if remaining:
            options = [option for action in self._actions for option in action.option_strings]
            raise ConfigError(f"No option takes {remaining}. {did_you_mean(remaining[0], options)}")
        return tuple(outputs)

    def parse_dict(self, args: Mapping[str, Any], allow_extra_keys: bool = False) -> tuple[Any, ...]:
        """Instances of the dataclasses from a mapping.

        Raises:
            ConfigError: keys that no dataclass has, unless they are allowed.
        """
        names = {name for dataclass_type in self.dataclass_types for name in _init_names(dataclass_type)}
        extra = sorted(key for key in args if key not in names)
        if extra and not allow_extra_keys:
            raise ConfigError(f"No dataclass has the keys {extra}. {did_you_mean(extra[0], names)}")
        return tuple(
            dataclass_type(**{name: args[name] for name in _init_names(dataclass_type) if name in args})
            for dataclass_type in self.dataclass_types
        )

    def parse_json_file(self, json_file: str | Path, allow_extra_keys: bool = False) -> tuple[Any, ...]:
        """`parse_dict` of a JSON file."""
        return self.parse_dict(json.loads(Path(json_file).read_text(encoding="utf-8")), allow_extra_keys)

    def parse_yaml_file(self, yaml_file: str | Path, allow_extra_keys: bool = False) -> tuple[Any, ...]:
        """`parse_dict` of a YAML file."""
        import yaml

        return self.parse_dict(yaml.safe_load(Path(yaml_file).read_text(encoding="utf-8")), allow_extra_keys)


def _init_names(dataclass_type: type[Any]) -> list[str]:
    return [field.name for field in dataclasses.fields(dataclass_type) if field.init]


def _add_field(target: Any, field: dataclasses.Field[Any], hint: Any) -> None:
    options = [f"--{field.name}", *([f"--{field.name.replace('_', '-')}"] if "_" in field.name else [])]
    settings = dict(field.metadata)
    aliases = settings.pop("aliases", [])
    options += [aliases] if isinstance(aliases, str) else list(aliases)
    default = field.default
    if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    kind, optional = _without_none(hint, field.name)
    if kind is bool:
        _add_boolean(target, field.name, options, default, optional, settings)
        return
    settings |= {"required": True} if default is dataclasses.MISSING else {"default": default}
    target.add_argument(*options, **settings, **_kind_settings(kind))


def _without_none(hint: Any, name: str) -> tuple[Any, bool]:
    """The type of one value, and whether None is allowed; a union with text is read as the other type."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint, False
    members = [member for member in typing.get_args(hint) if member is not type(None)]
    optional = len(members) < len(typing.get_args(hint))
    if len(members) > 1 and str in members:
        members = [member for member in members if member is not str] if not optional else [str]
    if len(members) != 1:
        raise ConfigError(f"The field {name!r} has the type {hint}; an option takes one type, or one type and None.")
    return members[0], optional


def _kind_settings(kind: Any) -> dict[str, Any]:
    origin = typing.get_origin(kind) or kind
    if origin is typing.Literal or (isinstance(kind, type) and issubclass(kind, enum.Enum)):
        values = list(typing.get_args(kind)) if origin is typing.Literal else [member.value for member in kind]
        return {"choices": values, "type": _choice(values)}
    if isinstance(origin, type) and issubclass(origin, list):
        return {"type": (typing.get_args(kind) or (str,))[0], "nargs": "+"}
    if isinstance(origin, type) and issubclass(origin, dict):
        return {"type": json.loads}
    return {"type": kind}


def _choice(values: list[Any]) -> Callable[[str], Any]:
    by_text = {str(value): value for value in values}
    return lambda text: by_text.get(text, text)


def _add_boolean(
    target: Any, name: str, options: list[str], default: Any, optional: bool, settings: dict[str, Any]
) -> None:
    given = None if default is dataclasses.MISSING else default
    if optional and given is None:
        target.add_argument(*options, **settings, type=string_to_bool, default=None)
        return
    target.add_argument(*options, **settings, type=string_to_bool, default=bool(given), nargs="?", const=True)
    if default is True:
        negations = [f"--no_{name}", f"--no-{name.replace('_', '-')}"]
        target.add_argument(*negations, **settings, action="store_false", dest=name, default=argparse.SUPPRESS)
