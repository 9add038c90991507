"""MLflow with a real sqlite database and local artifacts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from rayformers.errors import NotFoundError, TrackingError
from rayformers.tracking import Example
from rayformers.tracking.mlflow import MLflowTracker, check, resolve_model, tracking_uri


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    address = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in the Hub's layout."""
    place = tmp_path / "trained"
    place.mkdir()
    (place / "config.json").write_text('{"model_type": "vit"}')
    (place / "model.safetensors").write_bytes(b"weights")
    return place


# MLflow and its database layer warn of their own code.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_one_run_over_a_restart_and_a_registered_model(uri: str, folder: Path, tmp_path: Path) -> None:
    tracker = MLflowTracker()
    run_id = tracker.open(experiment="digits", run_name="first", run_id=None)
    tracker.parameters({"train": {"learning_rate": 1e-3}, "task": "image-classification"})
    tracker.metrics({"loss": 2.0}, step=1, time_s=1.0)

    again = MLflowTracker()
    assert again.open(experiment="digits", run_name=None, run_id=run_id) == run_id
    again.parameters({"train": {"learning_rate": 5.0}})
    again.metrics({"loss": 1.0}, step=2, time_s=2.0)
    picture = tmp_path / "grid.png"
    Image.new("RGB", (2, 2)).save(picture)
    again.picture(picture)
    example = Example(inputs=["aW1hZ2U="], answer=[[{"label": "3", "score": 0.9}]])
    address = again.model(folder, task="image-classification", example=example, name="digits", alias="champion")
    again.close(failed=False)

    client = again._client
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"train.learning_rate": "0.001", "task": "image-classification"}
    assert [(entry.step, entry.value) for entry in client.get_metric_history(run_id, "loss")] == [(1, 2.0), (2, 1.0)]
    assert [item.path for item in client.list_artifacts(run_id, "pictures")] == ["pictures/grid.png"]
    assert address == "models:/digits@champion"
    resolved = resolve_model(address)
    assert (resolved / "model.safetensors").read_bytes() == b"weights"
    assert json.loads((resolved / "example.json").read_text())["answer"] == example.answer
    version = client.get_model_version_by_alias("digits", "champion")
    assert version.run_id == run_id
    assert json.loads(version.tags["example_answer"]) == example.answer
    assert resolve_model("models:/digits/1") == resolved
    with pytest.raises(NotFoundError, match="models:/digits@nobody"):
        resolve_model("models:/digits@nobody")


def test_the_default_is_the_projects_own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "deep" / "down").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "down")
    assert tracking_uri() == f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert tracking_uri() == "http://tracker:5000"


def test_an_unreachable_server() -> None:
    with pytest.raises(TrackingError, match=r"No MLflow server answers at http://127\.0\.0\.1:9"):
        check("http://127.0.0.1:9", timeout_s=1.0)


def test_an_unwritable_database(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="cannot be made"):
        check(f"sqlite:///{tmp_path / 'file' / 'below' / 'mlflow.db'}")


@pytest.mark.parametrize("address", ["models:/", "digits", "models:/digits@"])
def test_addresses_that_are_none(address: str, uri: str) -> None:
    with pytest.raises(NotFoundError, match="not a model address"):
        resolve_model(address)
