"""The road: a job file to a registered model, on two workers with ZeRO-2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rayformers import pipeline
from rayformers.cluster.connect import Cluster
from rayformers.data.shards import ShardedDataset
from rayformers.data.sources import open_source, split
from rayformers.tracking.mlflow import MLflowTracker, resolve_model
from rayformers.training import load_job, run_job
from rayformers.training.checkpoint import checkpoints, read

JOB = Path(__file__).parents[2] / "jobs" / "digits.yaml"


# Ray Data and MLflow warn of their own code.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_from_a_job_file_to_a_registered_model(
    ray_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    result = run_job(load_job(JOB, [f"output={tmp_path / 'out'}", "train.num_train_epochs=3"]))

    assert result.model_uri == "models:/digits@champion"
    assert result.metrics["eval_accuracy"] > 0.5
    assert result.metrics["epoch"] == 3.0
    printed = capsys.readouterr().out
    assert "samples/s" in printed
    assert "ETA" in printed
    assert "eval_accuracy" in printed

    shards = ShardedDataset(tmp_path / "out" / "data" / "train")
    shards.verify()
    assert len(shards) == 1438
    assert [column.name for column in shards.manifest.columns] == ["pixel_values", "labels"]

    saved = checkpoints(result.output_dir)
    assert len(saved) == 2
    state = read(saved[-1])
    assert (state.step, state.world, state.zero_stage, state.run_id) == (69, 2, 2, result.run_id)

    assert result.run_id is not None
    client = MLflowTracker()._client
    run = client.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["scale.zero_stage"] == "2"
    assert [entry.step for entry in client.get_metric_history(result.run_id, "eval_accuracy")] == [23, 46, 69]
    assert client.list_artifacts(result.run_id, "pictures")[0].path == "pictures/predictions.png"
    version = client.get_model_version_by_alias("digits", "champion")

    folder = resolve_model(result.model_uri)
    assert {"config.json", "model.safetensors", "preprocessor_config.json"} <= {file.name for file in folder.iterdir()}
    classify = pipeline("image-classification", model=str(folder))
    source = open_source("sklearn://digits")
    _, held_out = split(len(source), 0.2, 42)
    columns = source.read(held_out)
    answers = classify(columns["image"], top_k=1, batch_size=128)
    accuracy = np.mean(
        [answer[0]["label"] == str(label) for answer, label in zip(answers, columns["label"], strict=True)]
    )
    assert accuracy == pytest.approx(
        run.data.metrics["eval_accuracy"] if state.best["step"] == 69 else state.best["value"]
    )
    example = json.loads((folder / "example.json").read_text())
    assert classify(example["inputs"])[0][0]["label"] == example["answer"][0][0]["label"]
    assert json.loads(version.tags["example_answer"]) == example["answer"]
