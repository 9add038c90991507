"""Every exception of the package.

A message always says what was given, what is allowed and what to do. All errors pickle, so that they cross Ray
actors unchanged. The command line prints the message alone and exits with `exit_code`; an endpoint answers with
`status` and `{"error": message}`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class RayformersError(Exception):
    """Base of all errors that a user can cause and mend."""

    exit_code: ClassVar[int] = 2
    status: ClassVar[int] = 400


class ConfigError(RayformersError, ValueError):
    """A job file, an argument or a configuration value is wrong."""


class UnknownNameError(RayformersError, ValueError):
    """A name (task, architecture, optimizer, ...) that nothing is registered under."""


class NotFoundError(RayformersError, OSError):
    """A file, folder, repository, dataset or registered model does not exist or cannot be reached."""

    status = 404


class CheckpointError(RayformersError, ValueError):
    """A checkpoint is corrupt, truncated, or does not fit the model."""


class InputError(RayformersError, ValueError):
    """An input to a pipeline or an endpoint cannot be used."""


class InputTooLargeError(InputError):
    """An input exceeds a limit (bytes, pixels, tokens, seconds)."""

    status = 413


class UnsupportedMediaError(InputError):
    """An input is of a media type that the task cannot read."""

    status = 415


class InputTypeError(InputError, TypeError):
    """An argument has a type that the call cannot use."""


class DependencyError(RayformersError, ImportError):
    """An optional package or program is needed and missing."""

    status = 501


class ResourceError(RayformersError, RuntimeError):
    """The machine or cluster lacks what was asked for: a port, CPUs, GPUs, disk, memory."""

    status = 503


class TrackingError(RayformersError, RuntimeError):
    """The experiment tracker or model registry refused a call."""

    status = 502


class TrainingError(RayformersError, RuntimeError):
    """A training run failed for a reason that its user can act on."""

    exit_code = 1
    status = 500


class PipelineException(RayformersError):  # noqa: N818 - the guides' name
    """Raised by a pipeline for an unusable task, model or input (guide: internal/pipelines_utils).

    Args:
        task: the pipeline's task.
        model: the model's name or path.
        reason: what was wrong.
    """

    def __init__(self, task: str, model: str, reason: str) -> None:
        super().__init__(reason)
        self.task = task
        self.model = model

    def __reduce__(self) -> tuple[type[PipelineException], tuple[str, str, str]]:
        return (type(self), (self.task, self.model, str(self)))


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """A sentence with the nearest allowed name, else the allowed names (at most 30, sorted)."""
    names = sorted(str(candidate) for candidate in allowed)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]!r}?"
    if not names:
        return "None is available."
    shown = ", ".join(names[:30]) + (f", ... ({len(names)} in all)" if len(names) > 30 else "")
    return f"Allowed: {shown}."
