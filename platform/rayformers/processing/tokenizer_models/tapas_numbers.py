"""Numbers and dates in the text of tables and questions, as TAPAS counts, ranks and compares them."""

from __future__ import annotations

# ruff: noqa: SIM905  words read better than lists of strings
import dataclasses
import datetime
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

NUMBER, DATE = "number", "date"
_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_ORDINALS = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_NUMBER = re.compile(r"((^|\s)[+-])?((\.\d+)|(\d+(,\d\d\d)*(\.\d*)?))")
_FIRST_YEAR, _LAST_YEAR = 1700, 2016  # what pretraining took for a year
_LONGEST_DATE_WORDS = 5

# Patterns of strptime, and which of (year, month, day) each of them says.
_PATTERNS = (
    ("%B", "m"), ("%Y", "y"), ("%Ys", "y"), ("%b %Y", "ym"), ("%B %Y", "ym"), ("%B %d", "md"), ("%b %d", "md"),
    ("%d %b", "md"), ("%d %B", "md"), ("%B %d, %Y", "ymd"), ("%d %B %Y", "ymd"), ("%m-%d-%Y", "ymd"),
    ("%Y-%m-%d", "ymd"), ("%Y-%m", "ym"), ("%d %b %Y", "ymd"), ("%b %d, %Y", "ymd"), ("%d.%m.%Y", "ymd"),
    ("%A, %b %d", "md"), ("%A, %B %d", "md"),
)  # fmt: skip
_FIELDS = (("%A", r"\w+"), ("%B", r"\w+"), ("%Y", r"\d{4}"), ("%b", r"\w{3}"), ("%d", r"\d{1,2}"), ("%m", r"\d{1,2}"))


def _regex(pattern: str) -> re.Pattern[str]:
    text = pattern.replace(".", r"\.").replace("-", r"\-").replace(" ", r"\s+")
    for field, expression in _FIELDS:
        text = text.replace(field, expression)
    return re.compile(f"^{text}$")


_DATES = tuple((pattern, parts, _regex(pattern)) for pattern, parts in _PATTERNS)


@dataclasses.dataclass(frozen=True)
class Value:
    """A number, or a date of which parts may be missing."""

    number: float | None = None
    date: tuple[float | None, float | None, float | None] | None = None

    @property
    def kind(self) -> str:
        """NUMBER or DATE."""
        return NUMBER if self.number is not None else DATE


def normalize(text: str) -> str:
    """Lower case, single spaces."""
    return " ".join(text.lower().split())


def _number(text: str) -> float | None:
    for suffix in ("st", "nd", "rd", "th"):
        if text.endswith(suffix):
            text = text[:-2]
            break
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    return None if math.isnan(value) or value == math.inf else value


def _date(text: str) -> Value | None:
    text = re.sub(r"Sept\b", "Sep", text)
    for pattern, parts, regex in _DATES:
        if not regex.match(text):
            continue
        try:
            # A day without a year is read in 1900, as in pretraining.
            date = datetime.datetime.strptime(text, pattern).date()
        except ValueError:
            continue
        if _FIRST_YEAR <= date.year <= _LAST_YEAR:
            known = (("y", date.year), ("m", date.month), ("d", date.day))
            year, month, day = (float(value) if part in parts else None for part, value in known)
            return Value(date=(year, month, day))
    return None


def _words(text: str, most: int) -> Iterator[tuple[int, int]]:
    """The spans of up to `most` words."""
    starts: list[int] = []
    for index, char in enumerate(text):
        if not char.isalnum():
            continue
        if index == 0 or not text[index - 1].isalnum():
            starts.append(index)
        if index + 1 == len(text) or not text[index + 1].isalnum():
            yield from ((start, index + 1) for start in starts[-most:])


def values_in(text: str) -> list[Value]:
    """The numbers and dates in a normalised text, in order; of nested ones the longest."""
    found: defaultdict[tuple[int, int], list[Value]] = defaultdict(list)
    for match in _NUMBER.finditer(text):
        number = _number(match.group())
        if number is not None:
            found[match.span()].append(Value(number))
    for span in _words(text, 1):
        if span in found:
            continue
        word = text[slice(*span)]
        number = _number(word)
        if number is not None:
            found[span].append(Value(number))
        for names in (_WORDS, _ORDINALS):
            if word in names:
                found[span].append(Value(float(names.index(word))))
    for span in _words(text, _LONGEST_DATE_WORDS):
        date = _date(text[slice(*span)])
        if date is not None:
            found[span].append(date)
    chosen: list[tuple[int, int]] = []
    for span in sorted(found, key=lambda span: (span[0] - span[1], span[0])):
        if not any(other[0] <= span[0] and span[1] <= other[1] for other in chosen):
            chosen.append(span)
    return [value for span in sorted(chosen) for value in found[span]]


def column_values(cells: Sequence[str], least_share: float = 0.7) -> dict[int, Value]:
    """One value of a common kind for each row of a column that has one; nothing where too few rows agree."""
    found = {row: values_in(normalize(text)) for row, text in enumerate(cells)}
    counts: Counter[str] = Counter()
    for values in found.values():
        counts.update({value.kind for value in values})
    most = max(counts.values(), default=0)
    if most == 0 or most < len(found) * least_share:
        return {}
    kinds = [kind for kind, count in counts.items() if count == most]
    kind = DATE if len(kinds) > 1 else kinds[0]
    chosen = {row: next((value for value in values if value.kind == kind), None) for row, values in found.items()}
    return {row: value for row, value in chosen.items() if value is not None}


def sort_key(values: Iterable[Value]) -> Callable[[Value], Any] | None:
    """A key that orders the values; None where they have nothing in common."""
    values = list(values)
    kinds = {value.kind for value in values}
    if len(kinds) != 1:
        return None
    if kinds == {NUMBER}:
        return lambda value: value.number
    shared = [part for part in range(3) if all(value.date and value.date[part] is not None for value in values)]
    if not shared:
        return None
    return lambda value: tuple((value.date or (None,) * 3)[part] for part in shared)


def ranks(values: Mapping[int, Value]) -> tuple[dict[int, int], dict[int, int]]:
    """The rank of each row from 1, and its rank from the other end; empty where the values cannot be ordered."""
    key = sort_key(values.values()) if values else None
    if key is None:
        return {}, {}
    keys = {row: key(value) for row, value in values.items()}
    order = {value: place for place, value in enumerate(sorted(set(keys.values())))}
    upward = {row: order[value] + 1 for row, value in keys.items()}
    return upward, {row: len(order) - rank + 1 for row, rank in upward.items()}


def relations(asked: Iterable[Value], values: Mapping[int, Value]) -> dict[int, int]:
    """For each row how its value lies to the values of the question: 1 equal, 2 greater, 4 smaller, added up."""
    found: defaultdict[int, int] = defaultdict(int)
    for value in asked:
        key = sort_key([*values.values(), value]) if values else None
        if key is None:
            continue
        mine = key(value)
        for row, other in values.items():
            theirs = key(other)
            found[row] |= 1 if mine == theirs else 2 if mine < theirs else 4
    return dict(found)
