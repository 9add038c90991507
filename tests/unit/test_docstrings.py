"""Docstring decorators and the lazy module."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from rayformers import utils
from rayformers.errors import ConfigError


def test_texts_before_and_behind() -> None:
    @utils.add_end_docstrings(" last", " of all")
    @utils.add_start_docstrings("first ", "then ")
    def function() -> None:
        """own"""

    assert function.__doc__ == "first then own last of all"


class BertForSequenceClassification:
    @utils.add_start_docstrings_to_model_forward("Args: none.\n")
    def forward(self) -> None:
        """Own."""

    @utils.add_code_sample_docstrings("Between.", checkpoint="some/model", output_type="Output", expected_output="[1]")
    def call(self) -> None:
        """Own."""


def test_a_forward_names_its_class() -> None:
    text = BertForSequenceClassification.forward.__doc__ or ""
    assert text.startswith("The forward pass of [`BertForSequenceClassification`].")
    assert text.endswith("Args: none.\nOwn.")


def test_an_example_for_the_task() -> None:
    text = BertForSequenceClassification.call.__doc__ or ""
    assert "Own.Between." in text and "[`Output`]" in text and ">>> # [1]" in text
    code = "\n".join(line.removeprefix(">>> ") for line in text.split("```python\n")[1].split("```")[0].splitlines())
    compile(code, "example", "exec")
    assert "from rayformers import AutoTokenizer, BertForSequenceClassification" in code
    assert 'from_pretrained("some/model")' in code
    with pytest.raises(ConfigError, match="No example for Nothing"):
        utils.add_code_sample_docstrings(model_cls="Nothing")(lambda: None)


def test_returns_are_filled_in() -> None:
    class Output:
        """What comes out."""

    def function() -> None:
        """Do.

        Returns:

        More."""

    text = utils.replace_return_docstrings(output_type=Output, config_class="Config")(function).__doc__ or ""
    assert "Output`]" in text and "Config" in text and "What comes out." in text and text.endswith("More.")
    with pytest.raises(ConfigError, match="'Returns:'"):
        utils.replace_return_docstrings(output_type=Output)(lambda: None)


def test_a_property_is_computed_once() -> None:
    class Thing:
        calls = 0

        @utils.cached_property
        def value(self) -> int:
            self.calls += 1
            return 7

    thing = Thing()
    assert (thing.value, thing.value, thing.calls) == (7, 7, 1)


def test_a_lazy_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lazy_example"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("NUMBER = 5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plain = importlib.import_module("lazy_example")
    lazy = utils._LazyModule(
        "lazy_example", str(plain.__file__), {"part": ["NUMBER"]}, plain.__spec__, extra_objects={"HERE": 1}
    )
    monkeypatch.setitem(sys.modules, "lazy_example", lazy)
    assert "lazy_example.part" not in sys.modules
    assert {"NUMBER", "part", "HERE"} <= set(dir(lazy))
    assert (lazy.NUMBER, lazy.HERE, lazy.part.NUMBER) == (5, 1, 5)
    with pytest.raises(AttributeError, match="nothing"):
        _ = lazy.nothing
    monkeypatch.delitem(sys.modules, "lazy_example.part")
