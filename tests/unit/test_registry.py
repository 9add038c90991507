"""Registry: values, lazy targets, collisions, suggestions."""

from __future__ import annotations

import sys

import pytest

from rayformers.errors import UnknownNameError
from rayformers.registry import Registry


def test_values_and_lazy_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    registry: Registry[object] = Registry("thing")
    registry.add("now", 3)
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    registry.add("later", target="wave:open")
    assert "wave" not in sys.modules
    assert list(registry) == ["later", "now"] and len(registry) == 2 and "later" in registry
    assert registry.get("now") == 3
    assert registry.get("later") is sys.modules["wave"].open


def test_unknown_names_get_the_nearest() -> None:
    registry: Registry[int] = Registry("metric")
    registry.add("accuracy", 1)
    with pytest.raises(UnknownNameError, match=r"Unknown metric 'acuracy'. Did you mean 'accuracy'\?"):
        registry.get("acuracy")


def test_a_name_is_taken_once_unless_replaced() -> None:
    registry: Registry[int] = Registry("metric")
    registry.add("f1", 1)
    with pytest.raises(ValueError, match="registered already"):
        registry.add("f1", 2)
    registry.add("f1", target="math:pi", replace=True)
    assert registry.get("f1") == pytest.approx(3.14159, abs=1e-5)
    assert len(registry) == 1


@pytest.mark.parametrize("arguments", [{}, {"value": 1, "target": "math:pi"}], ids=["neither", "both"])
def test_either_a_value_or_a_target(arguments: dict[str, object]) -> None:
    registry: Registry[object] = Registry("thing")
    with pytest.raises(ValueError, match="either a value or a target"):
        registry.add("x", **arguments)  # type: ignore[arg-type]
    assert "x" not in registry
