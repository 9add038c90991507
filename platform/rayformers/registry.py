"""One registry type for tasks, architectures, sources, optimizers, metrics and callbacks."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Generic, TypeVar

from .errors import UnknownNameError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to objects, or to "module:attribute" targets that are imported when first asked for.

    Args:
        kind: what the registry holds, as error messages should call it ("task", "metric").
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._values: dict[str, T] = {}
        self._targets: dict[str, str] = {}

    def add(self, name: str, value: T | None = None, *, target: str | None = None, replace: bool = False) -> None:
        """Register `value`, or a lazy `target` ("package.module:attribute"), under `name`.

        Raises:
            ValueError: neither or both were given, or the name is taken and `replace` is False.
        """
        if (value is None) == (target is None):
            raise ValueError(f"register {self.kind} {name!r} with either a value or a target")
        if name in self and not replace:
            raise ValueError(f"{self.kind} {name!r} is registered already; pass replace=True to take its place")
        self._values.pop(name, None)
        self._targets.pop(name, None)
        if value is not None:
            self._values[name] = value
        elif target is not None:
            self._targets[name] = target

    def get(self, name: str) -> T:
        """The object registered under `name`.

        Raises:
            UnknownNameError: nothing is; the message names the nearest.
        """
        if name not in self._values:
            if name not in self._targets:
                raise UnknownNameError(f"Unknown {self.kind} {name!r}. {did_you_mean(name, self)}")
            module, _, attribute = self._targets[name].partition(":")
            self._values[name] = getattr(importlib.import_module(module), attribute)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values or name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._values, *self._targets}))

    def __len__(self) -> int:
        return len({*self._values, *self._targets})
