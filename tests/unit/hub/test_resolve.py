"""References to folders: local ones, stores, and the Hub over real HTTP."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.unit.hub.hub_server import Hub, serve

import rayformers
from rayformers.errors import NotFoundError
from rayformers.hub import resolve

LOAD = """
import sys, rayformers
from rayformers.errors import RayformersError
try:
    model = rayformers.AutoModelForImageClassification.from_pretrained("owner/tiny", **eval(sys.argv[1]))
    print("loaded", sum(float(p.detach().double().sum()) for p in model.parameters()))
except RayformersError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    torch.manual_seed(0)
    config = rayformers.ViTConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128, image_size=8, patch_size=4
    )
    rayformers.ViTForImageClassification(config).save_pretrained(folder)
    (folder / "README.md").write_text("not needed")
    return folder


@pytest.fixture
def hub(checkpoint: Path) -> Iterator[Hub]:
    with serve(Hub({"owner/tiny": checkpoint})) as server:
        yield server


def load(hub: Hub | None, cache: Path, options: str = "{}", **environment: str) -> str:
    """Load in a process of its own: the client reads its environment when it is imported."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    env = keep | {"HF_HOME": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", **environment}
    if hub is not None:
        env["HF_ENDPOINT"] = hub.url
    done = subprocess.run([sys.executable, "-c", LOAD, options], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_local_folders_and_nonsense(checkpoint: Path) -> None:
    assert resolve(checkpoint) == checkpoint
    with pytest.raises(NotFoundError, match="no folder 'weights'"):
        resolve(checkpoint, subfolder="weights")
    with pytest.raises(NotFoundError, match="Check the spelling"):
        resolve("./no/such/folder")
    with pytest.raises(NotFoundError, match="known scheme"):
        resolve("ftp://host/model")


def test_a_store_is_copied_once(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    monkeypatch.setenv("RAYFORMERS_CACHE", str(tmp_path))
    store = fsspec.filesystem("memory")
    store.put(f"{checkpoint}/", "/models/tiny/", recursive=True)
    folder = resolve("memory://models/tiny")
    assert (folder / "config.json").read_bytes() == (checkpoint / "config.json").read_bytes()
    assert resolve("memory://models/tiny") == folder
    with pytest.raises(NotFoundError, match="Nothing lies at"):
        resolve("memory://models/other")


def test_the_hub_is_asked_once_and_then_the_cache(hub: Hub, tmp_path: Path) -> None:
    first = load(hub, tmp_path)
    assert first.startswith("loaded")
    assert not [path for _, path, _ in hub.requests if path.endswith("README.md")]
    downloads = [path for method, path, _ in hub.requests if method == "GET" and "/resolve/" in path]
    assert any(path.endswith("model.safetensors") for path in downloads)
    hub.requests.clear()
    assert load(hub, tmp_path) == first
    assert not [path for method, path, _ in hub.requests if method == "GET" and path.endswith(".safetensors")]
    assert load(None, tmp_path, HF_HUB_OFFLINE="1") == first
    assert load(hub, tmp_path, "{'local_files_only': True}") == first


def test_offline_without_a_cache(tmp_path: Path) -> None:
    answer = load(None, tmp_path, HF_HUB_OFFLINE="1")
    assert answer.startswith("NotFoundError") and "not in the local cache" in answer


def test_a_private_repository_needs_the_token(hub: Hub, tmp_path: Path) -> None:
    hub.token = "secret"
    answer = load(hub, tmp_path)
    assert answer.startswith("NotFoundError") and "token=..." in answer and "secret" not in answer
    assert load(hub, tmp_path, "{'token': 'secret'}").startswith("loaded")


def test_unknown_repositories_and_revisions(hub: Hub, tmp_path: Path) -> None:
    answer = load(hub, tmp_path, "{'revision': 'no-such-branch'}")
    assert answer.startswith("NotFoundError") and "no-such-branch" in answer
    hub.repositories.clear()
    answer = load(hub, tmp_path)
    assert answer.startswith("NotFoundError") and "neither a local folder nor a repository" in answer


def test_a_broken_download_is_completed(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    hub.break_after_bytes = 10_000
    first = load(hub, tmp_path)
    if not first.startswith("loaded"):  # the client gave up: the next call goes on where it stopped
        assert first.startswith("NotFoundError") and "resumes" in first
        first = load(hub, tmp_path)
    assert first.startswith("loaded")
    ranges = [asked for method, path, asked in hub.requests if path.endswith(".safetensors") and method == "GET"]
    assert len(ranges) >= 2
    expected = rayformers.AutoModelForImageClassification.from_pretrained(checkpoint)
    assert first == f"loaded {sum(float(p.detach().double().sum()) for p in expected.parameters())}"


def test_safetensors_are_preferred_and_pickles_the_last_resort(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    old = tmp_path / "old"
    shutil.copytree(checkpoint, old)
    torch.save(load_file(old / "model.safetensors"), old / "pytorch_model.bin")
    hub.repositories["owner/tiny"] = old
    both = load(hub, tmp_path / "cache1")
    assert not [path for _, path, _ in hub.requests if path.endswith(".bin")]
    (old / "model.safetensors").unlink()
    assert load(hub, tmp_path / "cache2") == both
