"""Pipelines as autoscaled HTTP endpoints on Ray Serve.

`rayformers.serving:app` is the application builder that Serve config files name; `serve` runs one endpoint in the
foreground; `deploy` hands a Serve config file to a running cluster.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .builder import app
    from .foreground import serve
    from .rollout import deploy
    from .settings import AppArguments

_HOMES = {"app": "builder", "serve": "foreground", "deploy": "rollout", "AppArguments": "settings"}

__all__ = ["AppArguments", "app", "deploy", "serve"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
