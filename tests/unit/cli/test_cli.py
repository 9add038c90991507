"""The command line as a user meets it: verbs, exit codes, messages without tracebacks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rayformers.cli.main import VERBS, main, user_error
from rayformers.cli.predict import parse_parameters
from rayformers.cli.shared import bytes_text
from rayformers.errors import ConfigError, TrainingError

ROOT = Path(__file__).parents[3]
JOB = str(ROOT / "jobs" / "digits.yaml")


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, error = capsys.readouterr()
    return int(end.value.code or 0), out, error


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_by_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, verb, "--help")
    assert code == 0
    assert f"Example: rayformers {verb}" in " ".join(out.split())


def test_the_verbs_of_the_readme_are_the_verbs() -> None:
    """README lists each verb once in its table of verbs, with an example that the parser takes."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `rayformers (\w+)", text, flags=re.MULTILINE)
    assert listed == list(VERBS)
    done = subprocess.run(
        [sys.executable, "-m", "rayformers.cli.main", "--help"], capture_output=True, text=True, check=True
    )
    shown = re.findall(r"^\W*(\w+) {2,}\w", done.stdout.partition("Commands")[2], flags=re.MULTILINE)
    assert [name for name in shown if name in VERBS] == list(VERBS)


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "no such verb": (("trian", JOB), "Did you mean 'train'"),
    "no job file": (("train", "none.yaml"), "No such file: none.yaml"),
    "unknown key": (("train", JOB, "train.lerning_rate=1"), "learning_rate"),
    "unknown section": (("plan", JOB, "scal.num_workers=1"), "Did you mean 'scale'?"),
    "override without value": (("plan", JOB, "scale.num_workers"), "is not of the form key=value"),
    "no data": (("plan", JOB, "data.source=imagefolder:///none/such"), "/none/such"),
    "bad task": (("plan", JOB, "task=image-clasification"), "Did you mean 'image-classification'?"),
    "no model": (("predict", "image-classification", "--model", "/none/such", "a.png"), "/none/such"),
    "bad parameter": (
        ("predict", "image-classification", "--model", "x", "a.png", "--param", "top_k"),
        "'top_k' is not of the form key=value",
    ),
    "no config to deploy": (("deploy", "none.yaml"), "No such file: none.yaml"),
    "no cluster": (("submit", JOB, "--address", "http://127.0.0.1:1"), "No Ray dashboard answers"),
    "no address": (("submit", JOB, "--address", "127.0.0.1:1"), "expected the cluster's dashboard"),
    "missing argument": (("train",), "Missing argument"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_mistakes_get_a_message_and_exit_code_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = call(capsys, *arguments)
    assert code == 2
    assert message in " ".join(error.replace("│", " ").split())
    assert "Traceback" not in error


def test_an_unwritable_result_is_a_mistake_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    code, _, error = call(capsys, "train", JOB, f"output={blocker}/runs", "track=null", "register=null")
    assert code == 2 and str(blocker) in error and "Traceback" not in error


def test_defects_keep_their_traceback() -> None:
    assert user_error(RuntimeError("a bug")) is None
    assert user_error(ConfigError("x is 1")) == ("x is 1", 2)
    assert user_error(TrainingError("diverged")) == ("diverged", 1)


def test_errors_that_ray_wraps_are_unwrapped() -> None:
    from ray.exceptions import RayTaskError

    wrapped = RayTaskError("f", "Traceback ...", ConfigError("bad key")).as_instanceof_cause()
    assert user_error(wrapped) == ("bad key", 2)


def test_plan_prints_what_a_job_takes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "plan", JOB, "scale.num_workers=4", "train.gradient_accumulation_steps=2")
    assert code == 0
    rows = dict(line.split("  ", 1) for line in out.splitlines())
    assert rows["world size"].split()[0] == "4"
    assert "256 rows = 32 per device x 2 accumulated x 4 ranks" in rows["global batch"]
    assert {"parameters", "memory per worker", "checkpoint", "final model", "cluster needs"} <= rows.keys()


def test_doctor_reports_each_part(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = call(capsys, "doctor")
    assert code == 0, out
    for name in ("python", "torch", "ray", "deepspeed", "DeepSpeed ops", "devices", "port 8000", "disk", "MLflow"):
        assert re.search(rf"^(ok|note) +{re.escape(name)} ", out, flags=re.MULTILINE), name


def test_doctor_fails_where_the_tracker_does_not_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    code, out, _ = call(capsys, "doctor")
    assert code == 1
    assert re.search(r"^fail +MLflow .*127\.0\.0\.1:1", out, flags=re.MULTILINE)


def test_parameters_are_yaml_values() -> None:
    assert parse_parameters(["top_k=3", "labels=[a, b]", "word=x=y"]) == {
        "top_k": 3,
        "labels": ["a", "b"],
        "word": "x=y",
    }


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 1024**3, "3.0 GiB")])
def test_bytes_as_people_read_them(count: int, text: str) -> None:
    assert bytes_text(count) == text
