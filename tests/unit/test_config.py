"""Configurations: round trips, and errors that name key, file and line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rayformers.config import Config, load_config
from rayformers.errors import ConfigError, NotFoundError


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Inner(Config):
    rate: float = 0.1
    steps: int | None = None
    mode: Literal["fast", "slow"] = "fast"

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ConfigError(f"rate is {self.rate}; give at least 0.")


@dataclass(frozen=True, kw_only=True)
class Outer(Config):
    name: str
    inner: Inner = field(default_factory=Inner)
    sizes: list[int] = field(default_factory=list)
    pair: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    colour: Colour = Colour.RED
    flag: bool = False
    either: float | str = 0.5


def job(folder: Path, text: str) -> Path:
    file = folder / "job.yaml"
    file.write_text(text, encoding="utf-8")
    return file


# YAML cannot carry control characters or lone surrogates; files do not either.
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff\ufffe\uffff")
)
finite = st.floats(allow_nan=False, allow_infinity=False, min_value=0)
inners = st.builds(Inner, rate=finite, steps=st.none() | st.integers(), mode=st.sampled_from(["fast", "slow"]))
outers = st.builds(
    Outer,
    name=texts,
    inner=inners,
    sizes=st.lists(st.integers()),
    pair=st.lists(texts).map(tuple),
    extra=st.dictionaries(texts, st.integers() | texts | st.booleans() | st.none(), max_size=4),
    folder=st.none() | st.sampled_from([Path("a/b"), Path("/c")]),
    colour=st.sampled_from(Colour),
    flag=st.booleans(),
    either=finite | texts.filter(lambda text: not _is_number(text)),
)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@given(outers)
def test_plain_values_round_trip(config: Outer) -> None:
    assert Outer.from_dict(config.to_dict()) == config


@given(outers)
def test_yaml_round_trips(config: Outer) -> None:
    assert Outer.from_dict(yaml.safe_load(yaml.safe_dump(config.to_dict(), allow_unicode=True))) == config


@given(outers, st.floats(min_value=0, max_value=1e6))
def test_overrides_win(tmp_path_factory: pytest.TempPathFactory, config: Outer, rate: float) -> None:
    file = job(tmp_path_factory.mktemp("job"), yaml.safe_dump(config.to_dict()))
    loaded = load_config(Outer, file, [f"inner.rate={rate!r}", "flag=true"])
    assert loaded.inner.rate == rate and loaded.flag is True
    assert loaded.inner.steps == config.inner.steps and loaded.name == config.name


ERRORS: dict[str, tuple[str, tuple[str, ...], list[str]]] = {
    "misspelt": ("name: a\ninner:\n  raet: 1\n", (), ["job.yaml, line 3", "inner.raet", "Did you mean 'rate'?"]),
    "missing": ("flag: true\n", (), ["lacks the required key 'name'"]),
    "twice": ("name: a\nname: b\n", (), ["line 2", "name is given twice"]),
    "wrong type": ("name: a\nsizes: [1, x]\n", (), ["sizes.1", "'x'", "a whole number"]),
    "no number": ("name: a\ninner: {rate: fast}\n", (), ["line 2", "inner.rate is 'fast'", "a number"]),
    "bool for int": ("name: a\nsizes: [true]\n", (), ["sizes.0 is True", "a whole number"]),
    "literal": ("name: a\ninner:\n  mode: quick\n", (), ["line 3", "inner.mode is 'quick'", "one of 'fast', 'slow'"]),
    "enum": ("name: a\ncolour: green\n", (), ["colour is 'green'", "one of 'red', 'blue'"]),
    "own check": ("name: a\ninner: {rate: -1}\n", (), ["line 2: inner", "rate is -1.0; give at least 0."]),
    "not a mapping": ("- 1\n", (), ["holds list", "expected a mapping"]),
    "section is no mapping": ("name: a\ninner: 3\n", (), ["line 2: inner is 3", "expected a mapping of Inner keys"]),
    "not YAML": ("name: [\n", (), ["is not valid YAML"]),
    "override form": ("name: a\n", ("inner.rate",), ["'inner.rate' is not of the form key=value"]),
    "override key": ("name: a\n", ("inner.raet=1",), ["inner.raet", "Did you mean 'rate'?"]),
    "override type": ("name: a\n", ("inner.steps=many",), ["inner.steps is 'many'", "a whole number or null"]),
    "override YAML": ("name: a\n", ("inner.rate=[",), ["the value is not valid YAML"]),
}


@pytest.mark.parametrize(("text", "overrides", "parts"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_say_what_where_and_how(tmp_path: Path, text: str, overrides: tuple[str, ...], parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(Outer, job(tmp_path, text), overrides)
    for part in parts:
        assert part in str(caught.value), str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.yaml"):
        load_config(Outer, tmp_path / "none.yaml")


@pytest.mark.parametrize("make", [str, Path])
def test_yaml_spellings_of_numbers(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    """YAML 1.1 reads 1e-3 as text; a user means a number."""
    loaded = load_config(Outer, make(job(tmp_path, "name: a\ninner: {rate: 1e-3}\neither: 1\n")))
    assert loaded.inner.rate == 0.001 and loaded.either == 1.0
