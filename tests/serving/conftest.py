"""One Ray cluster with one deployed endpoint for all tests below this folder."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.serving.samples import save_tiny_vit


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A running endpoint."""

    url: str
    file: Path
    dashboard_url: str
    statuses: list[tuple[str, str]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def vit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_vit(tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="session")
def pipe(vit_folder: Path) -> Any:
    from rayformers import pipeline

    return pipeline("image-classification", model=str(vit_folder), device="cpu")


def serve_config(model: Path, port: int, **arguments: Any) -> dict[str, Any]:
    application = {
        "name": "vit",
        "route_prefix": "/",
        "import_path": "rayformers.serving:app",
        "args": {"model": str(model), "device": "cpu", "name": "vit", **arguments},
    }
    http = {"host": "127.0.0.1", "port": port, "request_timeout_s": 60}
    return {"proxy_location": "HeadOnly", "http_options": http, "applications": [application]}


@pytest.fixture(scope="module")
def deployed(vit_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    from ray import serve

    from rayformers.cluster import connect
    from rayformers.serving import deploy

    file = tmp_path_factory.mktemp("serve") / "vit.yaml"
    arguments = {"batching": {"max_batch_rows": 4}, "limits": {"max_queued_requests": 100, "deadline_s": 30}}
    file.write_text(yaml.safe_dump(serve_config(vit_folder, free_port(), **arguments)))
    with connect("local", num_cpus=4, dashboard=True) as cluster:
        assert cluster.dashboard_url is not None
        statuses: list[tuple[str, str]] = []
        (url,) = deploy(file, timeout_s=120, on_status=lambda name, status: statuses.append((name, status)))
        yield Deployed(url=url, file=file, dashboard_url=cluster.dashboard_url, statuses=statuses)
        serve.shutdown()
