"""Ray Data without its running commentary."""

from __future__ import annotations

import logging
from typing import Any


def quiet(context: Any) -> None:
    """Show no progress bars and no execution plans; warnings and errors stay."""
    context.enable_progress_bars = False
    # Ray says at warning level that its bars are off; there is nothing to do about that.
    logging.getLogger("ray.data").setLevel(logging.ERROR)
