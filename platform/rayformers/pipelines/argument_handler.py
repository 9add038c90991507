"""The base of what brings a call's arguments into one form (guide: internal/pipelines_utils)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class ArgumentHandler(ABC):
    """Turns the arguments of a pipeline's call into inputs of one form."""

    @abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The inputs."""
