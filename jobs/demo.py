"""The whole road on this machine: train a digits classifier, deploy it, ask the endpoint about pictures it never saw.

    python jobs/demo.py           stops everything at the end
    python jobs/demo.py --keep    leaves endpoint, dashboard and MLflow's pages up

Exits with 1 when the endpoint's accuracy is below 0.95.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from rayformers import RayformersError
from rayformers.cluster import connect, needed_cpus
from rayformers.data import open_source, split
from rayformers.training import load_job

ROOT = Path(__file__).resolve().parent.parent
JOB = ROOT / "jobs" / "digits.yaml"
APP = ROOT / "serve_apps" / "digits.yaml"
LEAST_ACCURACY = 0.95
CLIENTS = 8
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the endpoint said about the held-out pictures."""

    labels: list[str]
    truth: list[str]
    latency_ms: list[float]
    wall_s: float

    @property
    def accuracy(self) -> float:
        """Share of right labels."""
        return sum(a == b for a, b in zip(self.labels, self.truth, strict=True)) / len(self.truth)


class Stack:
    """A process of its own that holds the cluster, so that the demo can end and leave it up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = [sys.executable, str(Path(__file__).resolve()), "--hold", str(folder)]
        self.log = folder / "stack.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)
        self.addresses = self._wait()

    def _wait(self) -> dict[str, Any]:
        state, deadline_s = self.folder / "state.json", time.monotonic() + START_TIMEOUT_S
        while not state.is_file():
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                raise SystemExit(f"The cluster did not start:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)
        return dict(json.loads(state.read_text(encoding="utf-8")))

    def keep(self, tracking_uri: str) -> str:
        """Let the stack outlive this process; returns the address of MLflow's pages."""
        write_json(self.folder / "keep.json", {"tracking_uri": tracking_uri})
        pages, deadline_s = self.folder / "pages.json", time.monotonic() + START_TIMEOUT_S
        while not pages.is_file():
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit(f"MLflow's pages did not start:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)
        return str(json.loads(pages.read_text(encoding="utf-8"))["mlflow"])

    def stop(self) -> None:
        """Stop the cluster and all that runs on it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def hold(folder: Path) -> None:
    """The stack's own process: start a cluster, say where it is, wait for SIGTERM or for the demo's death."""
    parent, stopped = os.getppid(), threading.Event()
    pages: subprocess.Popen[bytes] | None = None
    with connect("local", num_cpus=needed_cpus(num_workers=2), dashboard=True) as cluster:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        # Ray guards a new cluster with its user's token; commands with an explicit address must be told to show it.
        guard = {name: os.environ[name] for name in ("RAY_AUTH_MODE",) if name in os.environ}
        state = {"ray": cluster.address, "dashboard": cluster.dashboard_url, "variables": guard}
        write_json(folder / "state.json", state)
        keep = folder / "keep.json"
        while not stopped.wait(0.3):
            if pages is None and keep.is_file():
                pages = start_pages(json.loads(keep.read_text(encoding="utf-8"))["tracking_uri"], folder)
            if os.getppid() != parent and not keep.is_file():
                break
        if pages is not None:
            os.killpg(pages.pid, signal.SIGTERM)
            pages.wait(STOP_TIMEOUT_S)


def start_pages(tracking_uri: str, folder: Path) -> subprocess.Popen[bytes]:
    """MLflow's web pages over the runs of the demo."""
    port = free_port(5000)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", tracking_uri]
    process = subprocess.Popen([*command, "--port", str(port), "--workers", "1"], cwd=ROOT, start_new_session=True)
    url, deadline_s = f"http://127.0.0.1:{port}", time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline_s:
        try:
            httpx.get(f"{url}/health").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.3)
        else:
            write_json(folder / "pages.json", {"mlflow": url})
            break
    return process


def free_port(wanted: int) -> int:
    """`wanted` when nothing listens there, else a free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("No free port on 127.0.0.1.")


def write_json(file: Path, values: dict[str, Any]) -> None:
    """Write whole or not at all."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(values), encoding="utf-8")
    part.replace(file)


def command(*arguments: str, **variables: str) -> str:
    """Run `rayformers ...` as a user would, show its output, and return it."""
    print(f"\n$ rayformers {' '.join(arguments)}", flush=True)
    full = [sys.executable, "-m", "rayformers.cli.main", *arguments]
    capture = arguments[0] == "deploy"
    done = subprocess.run(
        full, cwd=ROOT, env=os.environ | variables, text=True, stdout=subprocess.PIPE if capture else None, check=False
    )
    if capture:
        print(done.stdout, end="", flush=True)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout or ""


def ask(url: str) -> Answers:
    """Post every held-out picture as PNG bytes, a few at a time, as clients do."""
    job = load_job(JOB)
    source = open_source(job.data.source)
    assert isinstance(job.data.validation, float)
    _, held_out = split(len(source), job.data.validation, job.data.seed)
    columns = source.read(held_out)
    names = source.labels or []

    def post(client: httpx.Client, image: Any) -> tuple[str, float]:
        body = io.BytesIO()
        image.save(body, format="PNG")
        started_s = time.perf_counter()
        answer = client.post(url, content=body.getvalue(), headers={"Content-Type": "image/png"})
        answer.raise_for_status()
        return str(answer.json()[0]["label"]), (time.perf_counter() - started_s) * 1000

    started_s = time.perf_counter()
    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(CLIENTS) as pool:
        replies = list(pool.map(lambda image: post(client, image), columns["image"]))
    return Answers(
        labels=[label for label, _ in replies],
        truth=[names[number] for number in columns["label"]],
        latency_ms=[latency for _, latency in replies],
        wall_s=time.perf_counter() - started_s,
    )


def report(answers: Answers, rows: dict[str, str]) -> None:
    """The last screen."""
    cuts = statistics.quantiles(answers.latency_ms, n=100, method="inclusive")
    count = len(answers.truth)
    lines = {
        "pictures": f"{count} held-out PNG files over HTTP, {CLIENTS} at a time, {count / answers.wall_s:.0f} a second",
        "accuracy": f"{answers.accuracy:.4f} at the endpoint (at least {LEAST_ACCURACY})",
        "latency": f"p50 {cuts[49]:.1f} ms, p90 {cuts[89]:.1f} ms, p99 {cuts[98]:.1f} ms",
    } | rows
    print("\n" + "\n".join(f"{name:<10} {value}" for name, value in lines.items()), flush=True)


def main(keep: bool) -> int:
    """Run the demo; returns the exit code."""
    started_s = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="rayformers-demo-"))
    print("Starting a Ray cluster on this machine ...", flush=True)
    stack, kept = Stack(folder), False
    try:
        result_file = folder / "result.json"
        guard = stack.addresses["variables"]
        address = {"RAY_ADDRESS": stack.addresses["ray"]}
        command("train", str(JOB.relative_to(ROOT)), "--result", str(result_file), **address, **guard)
        result = json.loads(result_file.read_text(encoding="utf-8"))
        deployed = command("deploy", str(APP.relative_to(ROOT)), "--address", stack.addresses["dashboard"], **guard)
        url = deployed.split()[-1]
        answers = ask(url)
        rows = {
            "endpoint": url,
            "dashboard": stack.addresses["dashboard"],
            "model": f"{result['model_uri']} (run {result['run_id']})",
            "picture": str(result["picture"]),
        }
        good = answers.accuracy >= LEAST_ACCURACY
        if keep and good:
            rows["MLflow"] = stack.keep(result["tracking_uri"])
            rows["stop"] = f"kill {stack.process.pid}"
            kept = True
        else:
            rows["MLflow"] = f"mlflow server --backend-store-uri {result['tracking_uri']}"
        rows["time"] = f"{time.monotonic() - started_s:.0f} s"
        report(answers, rows)
        if not good:
            print(f"The endpoint's accuracy is below {LEAST_ACCURACY}.", file=sys.stderr)
        return 0 if good else 1
    finally:
        if not kept:
            stack.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="leave endpoint, dashboard and MLflow's pages up")
    parser.add_argument("--hold", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        if given.hold:
            hold(given.hold)
        else:
            sys.exit(main(given.keep))
    except RayformersError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
