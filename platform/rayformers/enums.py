"""Names that form a closed set, as values that compare equal to their text."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from .errors import UnknownNameError, did_you_mean


class ExplicitEnum(StrEnum):
    """An enumeration whose look-up of an unknown value names the allowed ones (guide: internal/file_utils)."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        allowed = [member.value for member in cls]
        raise UnknownNameError(f"{value!r} is not a valid {cls.__name__}. {did_you_mean(str(value), allowed)}")
