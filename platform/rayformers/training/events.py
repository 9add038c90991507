"""What a worker tells the driver while it trains. Rank 0 sends; the driver shows, logs and records, in one place."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["begin", "log", "evaluate", "save", "notice", "end"]
Emit = Callable[["Event"], None]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened at a step."""

    kind: Kind
    step: int
    epoch: float = 0.0
    values: dict[str, Any] = field(default_factory=dict)
    time_s: float = field(default_factory=time.time)


def ignore(event: Event) -> None:
    """Tell nobody."""
