"""Job files: a wrong key is named with file, line and the nearest right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from rayformers.errors import ConfigError, NotFoundError, RayformersError
from rayformers.training.job import check_writable, choose_device, load_job

JOB = """\
task: image-classification
model:
  {architecture: vit, config: {image_size: 8, patch_size: 2, num_channels: 1, hidden_size: 16, num_attention_heads: 2}}
data: {source: "sklearn://digits", validation: 0.2}
train:
  learning_rate: 1e-3
  eval_strategy: no
scale:
  num_workers: 2
  zero_stage: 2
"""


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    file = tmp_path / "job.yaml"
    file.write_text(JOB)
    return file


def test_a_job_and_overrides(job_file: Path) -> None:
    job = load_job(job_file, ["scale.num_workers=3", "train.num_train_epochs=7"])
    assert (job.scale.num_workers, job.scale.zero_stage) == (3, 2)
    assert (job.train.num_train_epochs, job.train.learning_rate, job.train.eval_strategy) == (7.0, 1e-3, "no")
    assert job.folder == Path.cwd() / "runs" / "image-classification"


def test_the_shipped_job_is_valid() -> None:
    job = load_job(Path(__file__).parents[3] / "jobs" / "digits.yaml")
    assert (job.task, job.scale.num_workers, job.scale.zero_stage) == ("image-classification", 2, 2)


@pytest.mark.parametrize(
    ("line", "changed", "message"),
    [
        ("  num_workers: 2", "  num_wokers: 2", r"job\.yaml, line 9: scale\.num_wokers.*'num_workers'"),
        ("  learning_rate: 1e-3", "  learning_rat: 1e-3", r"line 6: train\.learning_rat.*'learning_rate'"),
        (
            "  learning_rate: 1e-3",
            "  learning_rate: fast",
            r"line 6: train\.learning_rate is 'fast'; expected a number",
        ),
        ("  zero_stage: 2", "  zero_stage: 4", r"line 8: scale: scale\.zero_stage is 4"),
        ("  num_workers: 2", "  num_workers: 0", "zero_stage needs workers"),
        ("task: image-classification", "task: image-clasification", "'image-classification'"),
        ("  learning_rate: 1e-3", "  push_to_hub: true", "push_to_hub = True is not supported"),
        ("scale:", "scale: {}\nscale:", "scale is given twice"),
        ("  zero_stage: 2", "  device: tpu", r"line 10: scale\.device is 'tpu'; expected one of 'auto', 'cpu', 'cuda'"),
    ],
)
def test_wrong_jobs(job_file: Path, line: str, changed: str, message: str) -> None:
    job_file.write_text(JOB.replace(line, changed))
    with pytest.raises(ConfigError, match=message):
        load_job(job_file)


def test_a_missing_job(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere\.yaml"):
        load_job(tmp_path / "nowhere.yaml")


def test_an_unwritable_output(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="Cannot write to the output folder"):
        check_writable(tmp_path / "file" / "below")


def test_a_device_that_is_not_there() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto", cluster_gpus=0) == "cpu"
    assert choose_device("auto", cluster_gpus=2) == "cuda"
    with pytest.raises(ConfigError, match="no CUDA device"):
        choose_device("cuda", cluster_gpus=0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.source=sklearn://digit"], "'digits'"),
        (["data.source=imagefolder:///nowhere"], "no such folder"),
        (["data.validation=1.5"], "share between 0 and 1"),
        (["model.config.patch_sise=2"], "Did you mean .patch_size"),
        (["model.processor.sise=8"], "Did you mean .size"),
        (["train.resume_from_checkpoint=true"], "no whole checkpoint"),
    ],
)
def test_errors_come_before_anything_starts(
    job_file: Path, tmp_path: Path, overrides: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rayformers.training import run

    def started(*_: object) -> None:
        raise AssertionError("the run was started")

    monkeypatch.setattr(run, "_run", started)
    with pytest.raises(RayformersError, match=message):
        run.run_job(load_job(job_file, [f"output={tmp_path / 'out'}", *overrides]))
