"""The guides' sub-module paths."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys

import pytest

import rayformers
from rayformers.enums import ExplicitEnum
from rayformers.errors import UnknownNameError
from rayformers.guide_paths import GUIDE_PATHS


@pytest.mark.parametrize("path", sorted(GUIDE_PATHS))
def test_every_path_and_every_place_exists(path: str) -> None:
    for place in GUIDE_PATHS[path]:
        importlib.import_module(f"rayformers.{place}")
    module = importlib.import_module(f"rayformers.{path}")
    assert module.__name__ == f"rayformers.{path}"
    assert all(getattr(module, name) is not None for name in dir(module) if not name.startswith("__"))


def test_names_are_those_of_the_real_modules() -> None:
    from rayformers.data.data_collator import DataCollatorWithPadding
    from rayformers.trainer_utils import EvalPrediction, get_last_checkpoint

    assert EvalPrediction is rayformers.EvalPrediction
    assert DataCollatorWithPadding is rayformers.DataCollatorWithPadding
    assert get_last_checkpoint.__module__ == "rayformers.training.trainer_utils"
    assert pickle.loads(pickle.dumps(EvalPrediction)) is EvalPrediction


def test_unknown_names_and_paths_fail_as_ever() -> None:
    with pytest.raises(ImportError, match="no_such_function"):
        from rayformers.trainer_utils import no_such_function  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match="no_such_utils"):
        importlib.import_module("rayformers.no_such_utils")
    with pytest.raises(AttributeError, match="no_such_utils"):
        _ = rayformers.no_such_utils


def test_a_path_imports_nothing_before_a_name_is_asked_for() -> None:
    code = "import sys, rayformers.audio_utils, rayformers.trainer_utils; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_enumeration_names_its_values() -> None:
    class Colour(ExplicitEnum):
        RED = "red"
        BLUE = "blue"

    assert Colour("red") is Colour.RED == "red"
    with pytest.raises(UnknownNameError, match=r"'green' is not a valid Colour.*blue, red"):
        Colour("green")
