"""`pydoc://topics`: real English prose that every Python carries, labelled by the chapter that it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import NotFoundError, did_you_mean
from .ordering import Rows
from .sources import digest

LEAST_WORDS = 10
"""Shorter paragraphs (headings, grammar rules, single lines of code) say too little of their chapter."""

CHAPTERS: dict[str, str] = {
    "built-in types": """bltin-code-objects bltin-ellipsis-object bltin-null-object bltin-type-objects formatstrings
        specialattrs string-methods truth typesfunctions typesmapping typesmethods typesmodules typesseq
        typesseq-mutable""",
    "compound statements": "async class compound context-managers else for function if try while with",
    "data model": """attribute-access callable-types customization numeric-types objects sequence-types specialnames
        types""",
    "debugger": "debugger",
    "execution model": "dynamic-features exceptions execmodel naming",
    "expressions": """atom-identifiers atom-literals attribute-references await binary bitwise booleans calls
        comparisons conversions dict exprlists in lambda lists operator-summary power shifting slicings subscriptions
        unary""",
    "lexical analysis": "floating id-classes identifiers imaginary integers numbers strings",
    "simple statements": """assert assignment augassign break continue del global import nonlocal pass raise return
        yield""",
}
"""Chapters of Python's reference, and the topics of `pydoc_data` that are taken from each."""


@dataclass
class PydocTopics:
    """Paragraphs of the standard library's `pydoc_data.topics`, each once, with the number of their chapter."""

    name: str

    def __post_init__(self) -> None:
        wanted = self.name.partition("://")[2]
        if wanted != "topics":
            raise NotFoundError(f"pydoc carries no texts {wanted!r}. {did_you_mean(wanted, ['topics'])}")

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name}

    @cached_property
    def _rows(self) -> list[tuple[str, int]]:
        from pydoc_data.topics import topics

        found: dict[str, int] = {}
        for number, names in enumerate(CHAPTERS.values()):
            for topic in names.split():
                for text in paragraphs(topics.get(topic, "")):
                    found.setdefault(text, number)
        return list(found.items())

    @property
    def labels(self) -> list[str]:
        """Names of the chapters."""
        return list(CHAPTERS)

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, rows: Rows) -> dict[str, list[Any]]:
        """Paragraphs and their chapters' numbers."""
        chosen = [self._rows[row] for row in rows]
        return {"text": [text for text, _ in chosen], "label": [label for _, label in chosen]}

    def fingerprint(self) -> str:
        """Hash of the texts: another Python may carry others."""
        return digest(self._rows)


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text in one line each, without those that are too short."""
    blocks = (" ".join(block.split()) for block in text.split("\n\n"))
    return [block for block in blocks if len(block.split()) >= LEAST_WORDS]
