"""MLflow. The only file that imports mlflow.

MLFLOW_TRACKING_URI says where runs go; without it a sqlite database and local artifacts below the project's runs/.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from ..errors import DependencyError, NotFoundError, TrackingError
from . import Example

RUNS = "runs"
DATABASE = "mlflow.db"
MODEL = "model"
EXAMPLE = "example.json"
"""Beside the weights: an input and the answer that the model gave when it was registered."""
_LONGEST_PARAMETER = 6000


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, else the sqlite database of the project that the working folder is in."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{_runs() / DATABASE}"


def _runs() -> Path:
    """runs/ of the nearest folder upwards that has a database there or a project file; else of the working folder."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / RUNS / DATABASE).is_file() or (folder / "pyproject.toml").is_file():
            return folder / RUNS
    return here / RUNS


def check(uri: str | None = None, *, timeout_s: float = 5.0) -> str:
    """Make sure that the tracker can be reached; returns its address.

    Raises:
        TrackingError: it cannot.
    """
    uri = uri or tracking_uri()
    scheme = urlparse(uri).scheme
    if scheme in ("http", "https"):
        try:
            with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=timeout_s):
                return uri
        except OSError as error:
            raise TrackingError(
                f"No MLflow server answers at {uri} ({error}). Start it, or unset "
                "MLFLOW_TRACKING_URI to record in runs/."
            ) from error
    if scheme == "sqlite":
        folder = Path(uri.removeprefix("sqlite:///")).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrackingError(f"MLflow's database folder {folder} cannot be made: {error.strerror}.") from error
        if not os.access(folder, os.W_OK):
            raise TrackingError(f"MLflow's database folder {folder} is not writable.")
    return uri


def _import() -> Any:
    # MLflow's agents and its usage reports have no place in a training run.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        import mlflow
    except ImportError as error:
        raise DependencyError("Tracking needs MLflow: pip install 'rayformers[train]'.") from error
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """MLflow's errors as ours."""
    mlflow = _import()
    try:
        yield
    except mlflow.exceptions.MlflowException as error:
        raise TrackingError(f"MLflow could not {what}: {error.message}") from error


class MLflowTracker:
    """See `Tracker`.

    Args:
        uri: tracking server or database; None takes `tracking_uri()`.
    """

    run_id: str

    def __init__(self, uri: str | None = None) -> None:
        self.uri = check(uri)
        self._mlflow = _import()
        self._client = self._mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def open(self, *, experiment: str, run_name: str | None, run_id: str | None) -> str:
        """Begin a run, or open the one with `run_id` again. Returns its id."""
        with _told(f"open a run at {self.uri}"):
            if run_id is not None:
                self._client.update_run(run_id, status="RUNNING")
                self.run_id = run_id
                return run_id
            found = self._client.get_experiment_by_name(experiment)
            identifier = found.experiment_id if found else self._create(experiment)
            self.run_id = self._client.create_run(identifier, run_name=run_name).info.run_id
            return self.run_id

    def _create(self, experiment: str) -> str:
        location = None
        if self.uri.startswith("sqlite:///"):
            location = (Path(self.uri.removeprefix("sqlite:///")).parent / "artifacts" / experiment).absolute().as_uri()
        created: str = self._client.create_experiment(experiment, artifact_location=location)
        return created

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Record settings; those that a resumed run has already keep their first value."""
        with _told("record parameters"):
            known = self._client.get_run(self.run_id).data.params
            new = {name: text for name, text in _flat(values).items() if name not in known}
            parameters = [self._mlflow.entities.Param(name, text) for name, text in new.items()]
            for start in range(0, len(parameters), 100):
                self._client.log_batch(self.run_id, params=parameters[start : start + 100])

    def metrics(self, values: Mapping[str, float], *, step: int, time_s: float) -> None:
        """Record numbers at a step."""
        stamp = int(time_s * 1000)
        with _told("record metrics"):
            self._client.log_batch(
                self.run_id,
                metrics=[
                    self._mlflow.entities.Metric(name, float(value), stamp, step) for name, value in values.items()
                ],
            )

    def tag(self, name: str, value: str) -> None:
        """Record a text."""
        with _told("record a tag"):
            self._client.set_tag(self.run_id, name, value)

    def picture(self, file: Path) -> None:
        """Keep a picture with the run."""
        with _told("store a picture"):
            self._client.log_artifact(self.run_id, str(file), "pictures")

    def model(self, folder: Path, *, task: str, example: Example | None, name: str | None, alias: str | None) -> str:
        """Keep a model folder in the Hub's layout, register it under `name`. Returns its models:/ address."""
        mlflow = self._mlflow
        with _told("store the model"), self._as_active_run(), tempfile.TemporaryDirectory() as scratch:
            content = Path(scratch) / MODEL
            shutil.copytree(folder, content)
            if example is not None:
                record = {"task": task, "inputs": example.inputs, "answer": example.answer}
                (content / EXAMPLE).write_text(json.dumps(record, indent=2), encoding="utf-8")
            logged = mlflow.pyfunc.log_model(
                name=MODEL,
                loader_module=__name__,
                data_path=str(content),
                signature=mlflow.models.infer_signature(example.inputs, example.answer) if example else None,
                input_example=example.inputs if example else None,
                pip_requirements=["rayformers"],
                metadata={"task": task},
            )
            if name is None:
                return str(logged.model_uri)
            with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):  # it chats
                version = mlflow.register_model(logged.model_uri, name)
            self._client.set_model_version_tag(name, version.version, "task", task)
            if example is not None:
                text = json.dumps(example.answer)[:5000]
                self._client.set_model_version_tag(name, version.version, "example_answer", text)
            if alias is None:
                return f"models:/{name}/{version.version}"
            self._client.set_registered_model_alias(name, alias, version.version)
            return f"models:/{name}@{alias}"

    @contextlib.contextmanager
    def _as_active_run(self) -> Iterator[None]:
        mlflow, registry = self._mlflow, self._mlflow.get_registry_uri()
        with _tracking_at(mlflow, self.uri):
            mlflow.set_registry_uri(self.uri)
            try:
                with mlflow.start_run(run_id=self.run_id, log_system_metrics=False):
                    yield
            finally:
                mlflow.set_registry_uri(registry)

    def close(self, *, failed: bool) -> None:
        """End the run."""
        with _told("end the run"):
            self._client.set_terminated(
                self.run_id, status="FAILED" if failed else "FINISHED", end_time=int(time.time() * 1000)
            )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)[:_LONGEST_PARAMETER]
    return flat


def resolve_model(uri: str) -> Path:
    """The local folder (Hub layout) of `models:/name@alias`, `models:/name/3` or `models:/<model id>`.

    A version in a remote store is downloaded once, below ~/.cache/rayformers/models.

    Raises:
        NotFoundError: no such model, version or alias.
        TrackingError: the registry cannot be reached.
    """
    mlflow = _import()
    address = check()
    client = mlflow.MlflowClient(tracking_uri=address, registry_uri=address)
    name, alias, version = _parse(uri)
    try:
        if alias is not None:
            version = client.get_model_version_by_alias(name, alias).version
        source = client.get_model_version_download_uri(name, version) if version else uri
        folder = _fetch(mlflow, source, address, f"{name}-{version}")
    except mlflow.exceptions.MlflowException as error:
        raise NotFoundError(f"{uri} is not in the registry at {address}: {error.message}") from error
    for found in sorted(folder.rglob("config.json")):
        return found.parent
    raise NotFoundError(f"{uri} was found at {folder}, and is no model of ours: it has no config.json.")


def _parse(uri: str) -> tuple[str, str | None, str | None]:
    place = uri.removeprefix("models:/").strip("/")
    name, at, alias = place.partition("@")
    if not uri.startswith("models:/") or not name or (at and not alias):
        raise NotFoundError(f"{uri!r} is not a model address; write models:/name@alias or models:/name/version.")
    name, _, version = name.partition("/")
    return name, alias or None, version or None


@contextlib.contextmanager
def _tracking_at(mlflow: Any, uri: str) -> Iterator[None]:
    """Use `uri` for a while. mlflow writes it to the environment too, where a later job would take it as given."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(given)


def _fetch(mlflow: Any, source: str, address: str, label: str) -> Path:
    with _tracking_at(mlflow, address):
        if source.startswith("models:/"):
            source = mlflow.models.Model.load(source).artifact_path or source
        if source.startswith(("file:", "/")):
            return Path(mlflow.artifacts.download_artifacts(artifact_uri=source))
        key = hashlib.sha256(f"{address} {source}".encode()).hexdigest()[:12]
        cache = Path.home() / ".cache" / "rayformers" / "models" / f"{label}-{key}"
        if not cache.is_dir():
            cache.parent.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(dir=cache.parent, prefix=f".{label}."))
            mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=str(partial))
            try:
                partial.rename(cache)
            except OSError:  # another process was faster
                shutil.rmtree(partial)
        return cache


class PipelineModel:
    """What `mlflow models serve` and `mlflow.pyfunc.load_model` run: a pipeline behind `predict`."""

    def __init__(self, folder: str) -> None:
        from .. import pipeline

        self._pipeline = pipeline(model=folder)

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> list[Any]:
        """Answers to a list, or a table of one column, of inputs (images as base64 text)."""
        if hasattr(model_input, "columns"):
            model_input = model_input[model_input.columns[0]]
        answers: list[Any] = list(self._pipeline(list(model_input), **(params or {})))
        return answers


def _load_pyfunc(folder: str) -> PipelineModel:
    """MLflow's entry point for `loader_module`."""
    return PipelineModel(folder)
