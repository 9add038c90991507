"""README's support table is what the parity tests compare."""

from __future__ import annotations

from tests.parity import support


def test_readme_holds_the_table_of_the_parity_cases() -> None:
    assert support.in_readme() == support.table(), "run: python -m tests.parity.support --write"
