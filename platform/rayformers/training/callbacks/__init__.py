"""Callbacks of the driver: progress on the screen, records in the tracker."""

from __future__ import annotations

from .base import Callback
from .progress import Progress
from .record import Record

__all__ = ["Callback", "Progress", "Record"]
