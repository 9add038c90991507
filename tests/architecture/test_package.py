"""Names, docstrings, sizes, and the time that an import takes."""

from __future__ import annotations

import ast
import importlib
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "platform" / "rayformers"
FILES = sorted(PACKAGE.rglob("*.py"))
LARGEST_FILE_BYTES = 40_000
BUDGET_S = 0.5
HEAVY = {"torch", "ray", "deepspeed", "mlflow", "fastapi", "transformers", "numpy"}


def test_every_public_name_resolves() -> None:
    import rayformers

    assert len(set(rayformers.__all__)) == len(rayformers.__all__)
    missing = [name for name in rayformers.__all__ if getattr(rayformers, name, None) is None]
    assert not missing
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = rayformers.no_such_name


@pytest.mark.parametrize("file", [f for f in FILES if f.name == "__init__.py"], ids=lambda f: f.parent.name)
def test_every_subpackages_names_resolve(file: Path) -> None:
    name = ".".join(("rayformers", *file.parent.relative_to(PACKAGE).parts))
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        assert getattr(module, public) is not None, f"{name}.{public}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_every_module_says_what_it_is(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), f"{file} has no docstring"


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_files_can_be_read_in_one_sitting(file: Path) -> None:
    assert file.stat().st_size <= LARGEST_FILE_BYTES


def run(code: str) -> tuple[str, float]:
    """stdout of `code` in a fresh interpreter, and the CPU time in seconds: waiting for a busy machine is not ours."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


IMPORT = "import rayformers"
HELP = """
from rayformers.cli.main import main
try:
    main(["--help"])
except SystemExit as end:
    assert not end.code
"""


@pytest.mark.parametrize("code", [IMPORT, HELP], ids=["import", "help"])
def test_nothing_heavy_is_imported(code: str) -> None:
    heavy, _ = run(f"{code}\nimport sys; print('\\nHEAVY', sorted({HEAVY!r} & set(sys.modules)))")
    assert heavy.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize("code", [IMPORT, HELP], ids=["import", "help"])
def test_it_answers_in_a_blink(code: str) -> None:
    """Median of five; the interpreter's own start is part of it."""
    assert statistics.median(run(code)[1] for _ in range(5)) < BUDGET_S
