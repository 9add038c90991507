"""`rayformers`: the verb table, and how errors reach a user."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ..errors import RayformersError

VERBS = ("train", "submit", "plan", "predict", "serve", "deploy", "doctor")
"""Each is a function in the module of the same name beside this one, in the order of --help."""
TRACEBACK_VARIABLE = "RAYFORMERS_TRACEBACK"


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        print(__version__)
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From a dataset to an autoscaled endpoint on a Ray cluster."""


def build_app(verbs: Sequence[str] = VERBS) -> typer.Typer:
    """The command line with `verbs`; modules of other verbs are not imported."""
    app = typer.Typer(
        add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich"
    )
    app.callback()(_root)
    for verb in verbs:
        module = importlib.import_module(f".{verb}", __package__)
        app.command(verb)(getattr(module, verb))
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 the work failed, 2 something given was wrong, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    wanted = [verb for verb in VERBS if given[:1] == [verb]]
    app = build_app(wanted or VERBS)
    try:
        app(args=given, prog_name="rayformers")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        known = user_error(error)
        if known is None or os.environ.get(TRACEBACK_VARIABLE):
            raise
        print(f"Error: {known[0]}", file=sys.stderr)
        sys.exit(known[1])


def user_error(error: BaseException) -> tuple[str, int] | None:
    """Message and exit code of an error that the user can mend; None for a defect, whose traceback must show.

    Ray hands a worker's error on inside one of its own, as `cause`.
    """
    cause = getattr(error, "cause", None)
    if isinstance(cause, RayformersError):
        error = cause
    if isinstance(error, RayformersError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.strerror}: {error.filename}", RayformersError.exit_code
    return None


if __name__ == "__main__":
    main()
