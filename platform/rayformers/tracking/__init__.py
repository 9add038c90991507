"""Experiment tracking and the model registry, behind one small protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Example:
    """One input of a model and what it answers, kept with the registered version so that anyone can compare."""

    inputs: Any
    answer: Any


class Tracker(Protocol):
    """Records one run. One process writes; a restart opens the same run again."""

    run_id: str

    def open(self, *, experiment: str, run_name: str | None, run_id: str | None) -> str:
        """Begin a run, or open the one with `run_id` again. Returns its id."""

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Record settings; nested mappings become dotted names."""

    def metrics(self, values: Mapping[str, float], *, step: int, time_s: float) -> None:
        """Record numbers at a step."""

    def tag(self, name: str, value: str) -> None:
        """Record a text."""

    def picture(self, file: Path) -> None:
        """Keep a picture with the run."""

    def model(self, folder: Path, *, task: str, example: Example | None, name: str | None, alias: str | None) -> str:
        """Keep a model folder in the Hub's layout, register it under `name`. Returns its models:/ address."""

    def close(self, *, failed: bool) -> None:
        """End the run."""


__all__ = ["Example", "Tracker"]
