"""What a runtime environment carries, and what never gets in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rayformers.cluster import runtime_env
from rayformers.cluster.runtime_env import without_inherited
from rayformers.errors import ConfigError


def test_a_local_cluster_gets_the_path_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/mine")
    made = runtime_env()
    first, second = made["env_vars"]["PYTHONPATH"].split(os.pathsep)
    assert (Path(first) / "rayformers" / "errors.py").is_file()
    assert second == "/mine"
    assert "py_modules" not in made


def test_another_machine_gets_the_package_itself(tmp_path: Path) -> None:
    made = runtime_env(local=False, working_dir=tmp_path, pip=["av"])
    (package,) = made["py_modules"]
    assert (Path(package) / "errors.py").is_file()
    assert made["working_dir"] == str(tmp_path) and made["pip"] == ["av"]
    # This machine's paths mean nothing there.
    assert not {"PYTHONPATH", "PATH"} & made["env_vars"].keys()


def test_an_image_that_has_the_package_gets_neither() -> None:
    made = runtime_env(local=False, upload=False)
    assert made.keys() == {"env_vars"} and "PYTHONPATH" not in made["env_vars"]


@pytest.mark.parametrize(("device", "expected"), [("cpu", "cpu"), ("cuda", "cuda"), (None, None)])
def test_the_accelerator_is_pinned_only_on_request(device: str | None, expected: str | None) -> None:
    assert runtime_env(device=device)["env_vars"].get("DS_ACCELERATOR") == expected  # type: ignore[arg-type]


def test_secrets_are_copied_by_name_and_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abc")
    assert "HF_TOKEN" not in runtime_env()["env_vars"]
    assert runtime_env(secrets=["HF_TOKEN"])["env_vars"]["HF_TOKEN"] == "hf_abc"
    with pytest.raises(ConfigError, match="'AWS_SECRET_ACCESS_KEY' is not set"):
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
        runtime_env(secrets=["AWS_SECRET_ACCESS_KEY"])


def test_the_trackers_address_follows_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert runtime_env()["env_vars"]["MLFLOW_TRACKING_URI"] == "http://tracker:5000"
    chosen = runtime_env(env_vars={"MLFLOW_TRACKING_URI": "http://other:5000"})
    assert chosen["env_vars"]["MLFLOW_TRACKING_URI"] == "http://other:5000"


def test_a_missing_working_dir_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        runtime_env(working_dir=tmp_path / "none")


def test_what_a_submitted_job_has_is_not_given_twice() -> None:
    """Ray refuses a driver whose environment repeats a key of its job's."""
    job = {"py_modules": ["gcs://a.zip"], "env_vars": {"A": "1"}}
    own = {"py_modules": ["/here"], "pip": ["av"], "env_vars": {"A": "2", "B": "3"}}
    assert without_inherited(own, job) == {"pip": ["av"], "env_vars": {"B": "3"}}
