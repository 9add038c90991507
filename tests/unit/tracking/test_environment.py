"""Recording a run leaves the process as it was: the next job decides anew where it records."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rayformers.tracking.mlflow import MLflowTracker, tracking_uri


def test_the_address_of_one_run_does_not_leak_into_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    expected = tracking_uri()
    tracker = MLflowTracker(expected)
    tracker.open(experiment="one", run_name=None, run_id=None)
    with tracker._as_active_run():
        pass
    tracker.close(failed=False)
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert tracking_uri() == expected == f"sqlite:///{tmp_path}/runs/mlflow.db"
