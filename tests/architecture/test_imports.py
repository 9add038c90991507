"""Who imports whom: read from the source by ast, so that lazy imports inside functions count as well."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "platform" / "rayformers"
FILES = sorted(PACKAGE.rglob("*.py"))

LAYERS = (
    {"config", "docstrings", "enums", "errors", "guide_paths", "lazy_module", "registry"},
    {"nn", "hub"},
    {"weights"},
    {"models", "processing"},
    {"generation"},
    {"pipelines", "data", "tracking"},
    {"cluster"},
    {"training", "serving"},
    {"cli"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# Lower layers may reach higher ones through a registry's "module:attribute" text only, as hub does for `models:`.
ALLOWED_IN: dict[str, tuple[str, ...]] = {
    "ray": ("data", "training", "serving", "cluster"),
    "deepspeed": ("training/deepspeed_engine.py",),
    "mlflow": ("tracking/mlflow.py",),
    "fastapi": ("serving",),
    "pydantic": ("serving",),
    "starlette": ("serving",),
    "transformers": (),
}
# Packages whose import costs more than a command line may take.
HEAVY = ("torch", "ray", "deepspeed", "mlflow", "fastapi", "transformers", "numpy", "pandas", "pyarrow", "datasets")
WITHOUT_TORCH = (
    "__init__.py", "config.py", "docstrings.py", "enums.py", "errors.py", "guide_paths.py", "lazy_module.py",
    "registry.py", "hub", "cli", "cluster",
)  # fmt: skip


def name_of(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def imports(file: Path) -> Iterator[tuple[str, bool]]:
    """Absolute dotted names that a file imports, and whether importing the file imports them."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    late = {id(inner) for node in ast.walk(tree) if _is_late(node) for inner in ast.walk(node) if inner is not node}
    parts = ("rayformers", *file.relative_to(PACKAGE).with_suffix("").parts)
    package = parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in late
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            for alias in node.names:
                yield f"{module}.{alias.name}", id(node) not in late


def _is_late(node: ast.AST) -> bool:
    """Functions, and `if TYPE_CHECKING:` blocks."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return True
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))


def layer(dotted: str) -> str | None:
    parts = dotted.split(".")
    return parts[1] if parts[0] == "rayformers" and len(parts) > 1 and parts[1] in LEVEL else None


def test_every_subpackage_has_a_layer() -> None:
    names = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert names - {"__init__"} == set(LEVEL)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_lower_layers_never_import_higher_ones(file: Path) -> None:
    own = layer(".".join(("rayformers", *file.relative_to(PACKAGE).with_suffix("").parts)))
    if own is None:
        return  # the package root names everything, lazily
    wrong = {name for name, _ in imports(file) if (found := layer(name)) and LEVEL[found] > LEVEL[own]}
    assert not wrong, f"{name_of(file)} (layer {own}) imports {sorted(wrong)}"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_packages_stay_where_they_belong(file: Path) -> None:
    place = name_of(file)
    for name, _ in imports(file):
        allowed = ALLOWED_IN.get(name.partition(".")[0])
        if allowed is not None:
            assert any(place == home or place.startswith(f"{home}/") for home in allowed), f"{place} imports {name}"


@pytest.mark.parametrize("file", [f for f in FILES if name_of(f).partition("/")[0] in WITHOUT_TORCH], ids=name_of)
def test_light_modules_import_nothing_heavy(file: Path) -> None:
    wrong = {name for name, at_import in imports(file) if at_import and name.partition(".")[0] in HEAVY}
    assert not wrong, f"{name_of(file)} imports {sorted(wrong)} at import time"


def test_the_checks_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader of imports sees relative, absolute, late and guarded ones."""
    file = tmp_path / "nn" / "sub" / "bad.py"
    file.parent.mkdir(parents=True)
    file.write_text("from ...cli import main\nimport ray.data\ndef f():\n    from ..x import y\n    import torch\n")
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    assert set(imports(file)) == {
        ("rayformers.cli.main", True),
        ("ray.data", True),
        ("rayformers.nn.x.y", False),
        ("torch", False),
    }


SOURCES_THAT_USE_THE_PACKAGE = sorted([*(ROOT / "jobs").rglob("*.py"), *(ROOT / "serve_apps").rglob("*.py")])


@pytest.mark.parametrize("file", SOURCES_THAT_USE_THE_PACKAGE, ids=lambda file: file.name)
def test_jobs_use_public_names_only(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "rayformers":
            parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            assert not [part for part in parts if part.startswith("_")], f"{file.name}: {ast.unparse(node)}"


def test_platform_is_never_a_package() -> None:
    assert sorted(path.name for path in (ROOT / "platform").iterdir() if path.name != "__pycache__") == ["rayformers"]


def test_the_standard_librarys_platform_works_from_the_root() -> None:
    code = "import platform, uuid; print(platform.__file__, platform.python_version(), uuid.uuid4())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == sys.version.split()[0]
    assert str(ROOT) + "/platform" not in done.stdout.split()[0]
