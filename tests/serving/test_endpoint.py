"""The endpoint as its users meet it: over HTTP, deployed by a Serve config file."""

from __future__ import annotations

import asyncio
import io
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from huggingface_hub import InferenceClient
from PIL import Image
from tests.serving.conftest import Deployed, serve_config
from tests.unit.serving.samples import picture

from rayformers.errors import ConfigError, NotFoundError, ResourceError
from rayformers.serving import deploy


def scores(answer: Any) -> dict[str, float]:
    return {one["label"]: one["score"] for one in answer}


def series(url: str, name: str) -> float:
    """The sum of a metric over its labels."""
    text = httpx.get(f"{url}metrics", timeout=60).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if re.match(rf"{name}[{{ ]", line))


def test_the_served_answer_is_the_pipelines(deployed: Deployed, pipe: Any) -> None:
    data = picture(1)
    response = httpx.post(deployed.url, content=data)
    assert response.status_code == 200
    assert scores(response.json()) == pytest.approx(scores(pipe(Image.open(io.BytesIO(data)))), abs=1e-6)
    assert deployed.statuses[-1] == ("vit", "RUNNING")


@pytest.mark.parametrize("parameters", [{}, {"top_k": 2}, {"top_k": 3, "function_to_apply": "sigmoid"}])
def test_the_hubs_client(deployed: Deployed, pipe: Any, parameters: dict[str, Any]) -> None:
    data = picture(2)
    answer = InferenceClient(model=deployed.url).image_classification(data, **parameters)
    expected = pipe(Image.open(io.BytesIO(data)), **parameters)
    assert [one.label for one in answer] == [one["label"] for one in expected]
    assert [one.score for one in answer] == pytest.approx([one["score"] for one in expected], abs=1e-6)


def test_requests_at_once_share_batches_and_keep_their_answers(deployed: Deployed, pipe: Any) -> None:
    pictures = [picture(seed, 12 + seed % 7, 9 + seed % 5) for seed in range(48)]
    before = series(deployed.url, "rayformers_batch_size_count")

    async def ask_all() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=60) as client:
            return await asyncio.gather(*(client.post(deployed.url, content=data) for data in pictures))

    for data, response in zip(pictures, asyncio.run(ask_all()), strict=True):
        assert scores(response.json()) == pytest.approx(scores(pipe(Image.open(io.BytesIO(data)))), abs=1e-6)
    assert series(deployed.url, "rayformers_batch_size_count") - before < 48


def test_bad_input_beside_good_input(deployed: Deployed) -> None:
    bodies = [picture(3), b"no picture", b"", picture(4), b"x" * (17 * 1024 * 1024)]

    async def ask_all() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=60) as client:
            return await asyncio.gather(*(client.post(deployed.url, content=data) for data in bodies))

    responses = asyncio.run(ask_all())
    assert [response.status_code for response in responses] == [200, 415, 400, 200, 413]
    assert all("error" in response.json() for response in responses if response.status_code != 200)


def test_a_bomb_of_sixty_megapixels(deployed: Deployed) -> None:
    buffer = io.BytesIO()
    Image.new("1", (10_000, 6_000)).save(buffer, format="PNG")
    assert len(buffer.getvalue()) < 100_000
    response = httpx.post(deployed.url, content=buffer.getvalue())
    assert response.status_code == 413
    assert "60,000,000 pixels" in response.json()["error"]


def test_health_info_and_metrics(deployed: Deployed) -> None:
    assert httpx.get(f"{deployed.url}health").json() == {"status": "ok"}
    info = httpx.get(f"{deployed.url}info").json()
    assert info["task"] == "image-classification" and len(info["labels"]) == 10
    assert info["batching"]["max_batch_rows"] == 4
    httpx.post(deployed.url, content=picture(1))
    assert series(deployed.url, "rayformers_requests_total") >= 1


def test_a_client_that_leaves_is_dropped_and_harms_nobody(deployed: Deployed) -> None:
    for _ in range(5):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(deployed.url, content=picture(1), timeout=httpx.Timeout(10, read=0.0001))
    assert httpx.post(deployed.url, content=picture(1), timeout=60).status_code == 200
    deadline_s = time.monotonic() + 10
    while series(deployed.url, "rayformers_requests_in_flight") and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert series(deployed.url, "rayformers_requests_in_flight") == 0


def wait_for_batch_rows(url: str, rows: int) -> None:
    deadline_s = time.monotonic() + 60
    while httpx.get(f"{url}info", timeout=60).json()["batching"]["max_batch_rows"] != rows:
        assert time.monotonic() < deadline_s, "the new batching never came"
        time.sleep(0.2)


def test_new_batching_needs_no_restart(deployed: Deployed) -> None:
    config = yaml.safe_load(deployed.file.read_text())
    config["applications"][0]["deployments"] = [{"name": "vit", "user_config": {"batching": {"max_batch_rows": 6}}}]
    changed = deployed.file.with_name("changed.yaml")
    changed.write_text(yaml.safe_dump(config))
    before = re.findall(r'replica="(\w+)"', httpx.get(f"{deployed.url}metrics", timeout=60).text)[0]
    deploy(changed, timeout_s=120)
    wait_for_batch_rows(deployed.url, 6)
    assert re.findall(r'replica="(\w+)"', httpx.get(f"{deployed.url}metrics", timeout=60).text)[0] == before


def test_rays_own_command_takes_the_file(deployed: Deployed) -> None:
    command = [str(Path(sys.executable).with_name("serve")), "deploy", str(deployed.file)]
    done = subprocess.run([*command, "-a", deployed.dashboard_url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    wait_for_batch_rows(deployed.url, 4)
    assert httpx.post(deployed.url, content=picture(1), timeout=60).status_code == 200


def test_too_many_requests_are_sent_away_and_told_when_to_come_back(
    deployed: Deployed, vit_folder: Path, tmp_path: Path
) -> None:
    config = yaml.safe_load(deployed.file.read_text())
    crowded = serve_config(
        vit_folder, 0, batching={"max_batch_rows": 1}, limits={"max_queued_requests": 1}, replicas={"num_cpus": 0.1}
    )["applications"][0]
    config["applications"].append({**crowded, "name": "crowded", "route_prefix": "/crowded"})
    file = tmp_path / "two.yaml"
    file.write_text(yaml.safe_dump(config))
    _, url = deploy(file, timeout_s=120)
    assert url == f"{deployed.url}crowded/"

    async def ask_all() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=60) as client:
            return await asyncio.gather(*(client.post(url, content=picture(1)) for _ in range(80)))

    responses = asyncio.run(ask_all())
    statuses = {response.status_code for response in responses}
    assert statuses == {200, 503}
    assert all(response.headers["retry-after"] == "1" for response in responses if response.status_code == 503)


def test_a_model_that_does_not_exist_is_told(deployed: Deployed, tmp_path: Path) -> None:
    config = yaml.safe_load(deployed.file.read_text())
    broken = {**config["applications"][0], "name": "broken", "route_prefix": "/broken"}
    broken["args"] = {**broken["args"], "model": str(tmp_path / "nothing")}
    config["applications"].append(broken)
    file = tmp_path / "broken.yaml"
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(ResourceError, match=r"'broken' does not run.*nothing"):
        deploy(file, timeout_s=120)
    assert httpx.post(deployed.url, content=picture(1), timeout=60).status_code == 200


def test_a_wrong_file_is_told_before_anything_is_deployed(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("applications:\n  - name: a\n    import_path: rayformers.serving:app\n    args: {modle: x}\n")
    with pytest.raises(ConfigError, match=r"wrong.yaml: applications\[0\].args.*'modle'.*Did you mean 'model'"):
        deploy(file)
    with pytest.raises(NotFoundError):
        deploy(tmp_path / "no.yaml")


def test_no_cluster_is_told(tmp_path: Path, vit_folder: Path) -> None:
    file = tmp_path / "vit.yaml"
    file.write_text(yaml.safe_dump(serve_config(vit_folder, 8000)))
    with pytest.raises(ResourceError, match=r"No Ray cluster answers at http://127.0.0.1:9"):
        deploy(file, address="http://127.0.0.1:9")
