"""A module whose names are imported when first asked for (guide: internal/file_utils)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["_LazyModule", "cached_property"]


class _LazyModule(ModuleType):
    """Takes the place of a package in `sys.modules`.

    Args:
        name: the package's dotted name.
        module_file: its `__file__`.
        import_structure: sub-modules and the names that each gives.
        module_spec: its `__spec__`.
        extra_objects: names that are there already.
    """

    def __init__(
        self,
        name: str,
        module_file: str,
        import_structure: Mapping[str, Sequence[str]],
        module_spec: ModuleSpec | None = None,
        extra_objects: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(name)
        self.__file__ = module_file
        self.__spec__ = module_spec
        self.__path__ = [str(Path(module_file).parent)]
        self._modules = frozenset(import_structure)
        self._owners = {each: module for module, names in import_structure.items() for each in names}
        self._objects = dict(extra_objects or {})
        self.__all__ = sorted({*self._modules, *self._owners})

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__all__, *self._objects})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if name in self._objects:
            value = self._objects[name]
        elif name in self._modules:
            value = importlib.import_module(f".{name}", self.__name__)
        elif name in self._owners:
            value = getattr(importlib.import_module(f".{self._owners[name]}", self.__name__), name)
        else:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        setattr(self, name, value)
        return value
