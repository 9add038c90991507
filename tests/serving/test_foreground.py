"""`serve` in a process of its own: up, asked, stopped by a signal, nothing left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from tests.serving.conftest import free_port
from tests.unit.serving.samples import picture

from rayformers.errors import ConfigError, NotFoundError, ResourceError
from rayformers.serving import serve

SCRIPT = """
import sys
from rayformers.serving import serve
ready = lambda url: print("READY", url, flush=True)
serve(sys.argv[1], host="127.0.0.1", port=int(sys.argv[2]), device="cpu", on_ready=ready)
"""


def descendants(pid: int) -> set[int]:
    """Processes below `pid`, found by parent while it lives."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(folder.name)] = int(stat.rsplit(")", 1)[1].split()[1])
    found: set[int] = {pid}
    while more := {child for child, parent in parents.items() if parent in found and child not in found}:
        found |= more
    return found - {pid}


def alive(pid: int) -> bool:
    try:
        return " Z " not in (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1][:3]
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_answers_until_it_is_stopped_and_leaves_nothing(vit_folder: Path, number: signal.Signals) -> None:
    port = free_port()
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(vit_folder), str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        line = next((line for line in process.stdout if line.startswith("READY")), "")
        assert line.split() == ["READY", f"http://127.0.0.1:{port}/"]
        assert httpx.post(f"http://127.0.0.1:{port}/", content=picture(1)).status_code == 200
        started = descendants(process.pid)
        assert started
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    deadline_s = time.monotonic() + 15
    while (left := [pid for pid in started if alive(pid)]) and time.monotonic() < deadline_s:
        time.sleep(0.2)
    assert not left


def test_a_taken_port_is_told_before_anything_starts(vit_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        start_s = time.monotonic()
        with pytest.raises(ResourceError, match="Choose another port"):
            serve(str(vit_folder), port=taken.getsockname()[1])
        assert time.monotonic() - start_s < 2


def test_a_missing_model_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing"):
        serve(str(tmp_path / "nothing"), port=free_port())


def test_a_wrong_argument_is_named(vit_folder: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'device'"):
        serve(str(vit_folder), devise="cpu")
