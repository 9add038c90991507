"""`rayformers submit` against a real cluster: upload, logs, exit codes, --no-wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HOLD = """
import json, sys, os
from rayformers.cluster import connect
with connect("local", num_cpus=4, dashboard=True) as cluster:
    guard = {name: os.environ[name] for name in ("RAY_AUTH_MODE",) if name in os.environ}
    print(json.dumps({"dashboard": cluster.dashboard_url, "guard": guard}), flush=True)
    sys.stdin.read()
"""
JOB = """
task: image-classification
model:
  architecture: vit
  config: {image_size: 8, patch_size: 4, num_channels: 1, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2,
           intermediate_size: 16}
  processor: {size: {height: 8, width: 8}, image_mean: [0.5], image_std: [0.5]}
data: {source: "SOURCE", validation: 0.2}
train: {max_steps: 2, per_device_train_batch_size: 8, eval_strategy: "no", save_strategy: "no"}
output: OUTPUT
"""


@dataclass(frozen=True)
class Head:
    """A cluster that another process holds."""

    dashboard: str
    guard: dict[str, str]

    def submit(self, job: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rayformers.cli.main", "submit", str(job), "--address", self.dashboard]
        environment = os.environ | self.guard | {"MLFLOW_TRACKING_URI": f"sqlite:///{job.parent / 'mlflow.db'}"}
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=400, env=environment, cwd=job.parent
        )


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdin is not None
    line = ""
    while not line.startswith("{"):
        line = process.stdout.readline()
        assert line or process.poll() is None, "the cluster did not start"
    state = json.loads(line)
    yield Head(state["dashboard"], state["guard"])
    process.stdin.close()
    process.wait(60)
    process.stdout.close()


def job_file(folder: Path, source: str = "sklearn://digits") -> Path:
    file = folder / "job.yaml"
    file.write_text(JOB.replace("SOURCE", source).replace("OUTPUT", str(folder / "out")))
    return file


def test_a_job_runs_with_the_uploaded_package_and_its_logs_come_back(head: Head, tmp_path: Path) -> None:
    done = head.submit(job_file(tmp_path), "scale.num_workers=0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "loss" in done.stdout
    assert list(tmp_path.glob("out/**/model.safetensors"))


def test_the_exit_code_of_a_failing_job_comes_back(head: Head, tmp_path: Path) -> None:
    done = head.submit(job_file(tmp_path, "imagefolder:///no/such/folder"), "scale.num_workers=0")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "/no/such/folder" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_no_wait_returns_at_once_and_the_job_goes_on(head: Head, tmp_path: Path) -> None:
    started = time.monotonic()
    done = head.submit(job_file(tmp_path), "--no-wait", "scale.num_workers=0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ray job logs" in done.stdout
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("out/**/model.safetensors")):
        assert time.monotonic() < deadline, f"the job left no model ({time.monotonic() - started:.0f} s)"
        time.sleep(1)


def test_a_wrong_job_file_is_refused_before_anything_is_sent(head: Head, tmp_path: Path) -> None:
    file = job_file(tmp_path)
    file.write_text(file.read_text().replace("max_steps", "max_stepz"))
    done = head.submit(file)
    assert done.returncode == 2
    assert "job.yaml, line 9" in done.stderr and "'max_steps'" in done.stderr


def test_an_unreachable_address(tmp_path: Path) -> None:
    done = Head("http://127.0.0.1:9", {}).submit(job_file(tmp_path))
    assert done.returncode == 2
    assert "No Ray dashboard answers at http://127.0.0.1:9" in done.stderr
