"""Arguments and output that several verbs share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

JobFile = Annotated[Path, typer.Argument(metavar="JOB", help="A job file, such as jobs/digits.yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Values that win over the file's, such as train.learning_rate=1e-3."),
]


def console() -> Console:
    """A console on stdout that does not break long lines when no terminal reads them."""
    from rich.console import Console

    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, soft_wrap=True)


def print_rows(rows: Iterable[tuple[str, str]]) -> None:
    """Two aligned columns: a name and its value."""
    listed = list(rows)
    width = max((len(name) for name, _ in listed), default=0)
    out = console()
    for name, value in listed:
        out.print(f"{name:<{width}}  {value}", markup=False)


def bytes_text(count: float) -> str:
    """A number of bytes as people read it: "1.5 MiB"."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    index = 0
    while count >= 1024 and index < len(units) - 1:
        count, index = count / 1024, index + 1
    return f"{count:.0f} {units[index]}" if index == 0 else f"{count:.1f} {units[index]}"
