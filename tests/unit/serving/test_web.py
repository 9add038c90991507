"""The web side and the model side together, in this process, with a real model."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.unit.serving.samples import picture

from rayformers.serving.metrics import EndpointMetrics
from rayformers.serving.model import ServedModel
from rayformers.serving.settings import parse_arguments
from rayformers.serving.web import build_web

Ask = Callable[..., list[httpx.Response]]


@pytest.fixture
def ask(pipe: Any, vit_folder: Any) -> Ask:
    def send(*requests: dict[str, Any], **arguments: Any) -> list[httpx.Response]:
        """The responses to `requests`, all sent at once to a fresh endpoint with these arguments."""
        parsed = parse_arguments({"model": str(vit_folder), **arguments})

        async def main() -> list[httpx.Response]:
            metrics = EndpointMetrics(model="vit")
            model = ServedModel(pipe, parsed, metrics)
            transport = httpx.ASGITransport(build_web(model, model.schema, parsed.limits, metrics))
            async with httpx.AsyncClient(transport=transport, base_url="http://endpoint") as client:
                calls = [client.request(**{"method": "POST", "url": "/", **request}) for request in requests]
                responses = await asyncio.gather(*calls)
                series = await client.get("/metrics")
            await model.close()
            return [*responses, series]

        return asyncio.run(main())

    return send


def as_json(data: bytes | list[bytes], **parameters: Any) -> dict[str, Any]:
    several = isinstance(data, list)
    texts = [base64.b64encode(one).decode() for one in (data if isinstance(data, list) else [data])]
    return {"json": {"inputs": texts if several else texts[0], "parameters": parameters}}


def close_to(answer: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    return [one["label"] for one in answer] == [one["label"] for one in expected] and [
        one["score"] for one in answer
    ] == pytest.approx([one["score"] for one in expected], abs=1e-6)


def test_the_answer_is_the_pipelines(ask: Ask, pipe: Any) -> None:
    data = picture(1)
    expected = pipe(Image.open(io.BytesIO(data)))
    raw, coded, _ = ask({"content": data}, as_json(data))
    assert raw.status_code == coded.status_code == 200
    assert len(expected) == 5
    assert close_to(raw.json(), expected) and close_to(coded.json(), expected)


@pytest.mark.parametrize(
    "parameters", [{"top_k": 2}, {"top_k": 100}, {"function_to_apply": "sigmoid"}, {"function_to_apply": "none"}]
)
def test_parameters_are_the_pipelines(ask: Ask, pipe: Any, parameters: dict[str, Any]) -> None:
    data = picture(2)
    response, _ = ask(as_json(data, **parameters))
    assert close_to(response.json(), pipe(Image.open(io.BytesIO(data)), **parameters))


def test_batched_requests_are_answered_as_if_alone(ask: Ask, pipe: Any) -> None:
    pictures = [picture(seed, 10 + seed, 30 - seed, kind) for seed, kind in enumerate(["PNG", "JPEG", "BMP"] * 6)]
    *responses, series = ask(*({"content": data} for data in pictures), batching={"max_wait_ms": 200})
    for data, response in zip(pictures, responses, strict=True):
        assert close_to(response.json(), pipe(Image.open(io.BytesIO(data))))
    assert 'rayformers_requests_total{model="vit",replica="local",status="200"} 18.0' in series.text
    assert 'rayformers_batch_size_sum{model="vit",replica="local"} 18.0' in series.text
    batches = next(line for line in series.text.splitlines() if line.startswith("rayformers_batch_size_count"))
    assert float(batches.split()[-1]) < 18


def test_several_inputs_in_one_request(ask: Ask, pipe: Any) -> None:
    pictures = [picture(seed) for seed in range(4)]
    response, _ = ask(as_json(pictures, top_k=1))
    expected = [pipe(Image.open(io.BytesIO(data)), top_k=1) for data in pictures]
    assert all(close_to(one, other) for one, other in zip(response.json(), expected, strict=True))


def test_a_bad_input_fails_alone(ask: Ask) -> None:
    good, bad = picture(5), b"no picture"
    *responses, _ = ask({"content": good}, {"content": bad}, {"content": good}, batching={"max_wait_ms": 100})
    assert [response.status_code for response in responses] == [200, 415, 200]
    listed, _ = ask(as_json([good, bad]))
    assert listed.status_code == 415
    assert listed.json()["error"].startswith("inputs[1]: ")


def one_pixel_less(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"content": b""}, 400, "empty"),
        ({"content": b"plain text"}, 415, "no picture"),
        ({"content": one_pixel_less(picture(1, kind="BMP"))}, 400, "corrupt or truncated"),
        ({"content": picture(0, 300, 200)}, 413, "300 x 200 = 60,000 pixels"),
        ({"content": b"x" * 200_001}, 413, "200,000 bytes"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "not valid JSON"),
        ({"json": {"inputs": "https://example.com/cat.png"}}, 400, "is a URL"),
        ({"content": b'{"inputs": "\\ud800"}'}, 400, "not base64"),
        ({"files": {"file": b"x"}}, 415, "form"),
        ({"content": b"x", "headers": {"content-encoding": "gzip"}}, 400, "gzip"),
        (as_json(picture(1), topk=1), 400, "Did you mean 'top_k'"),
        (as_json(picture(1), top_k=-1), 400, "at least 1"),
        ({"url": "/predict"}, 404, "'/predict'"),
        ({"method": "PUT"}, 405, "PUT is not allowed"),
    ],
)
def test_bad_requests_get_one_clear_error(ask: Ask, request_: dict[str, Any], status: int, message: str) -> None:
    response, _ = ask(request_, limits={"max_body_bytes": 200_000, "max_pixels": 50_000})
    assert response.status_code == status
    assert message in response.json()["error"]
    assert "Traceback" not in response.text


def test_a_body_without_a_length_stops_being_read_at_the_limit(ask: Ask) -> None:
    sent: list[int] = []

    async def endless() -> Any:
        while True:
            sent.append(1)
            yield b"x" * 1000

    response, _ = ask({"content": endless()}, limits={"max_body_bytes": 10_000})
    assert response.status_code == 413
    assert len(sent) <= 12


def test_the_deadline_is_kept(ask: Ask) -> None:
    async def slow() -> Any:
        yield b"\x89PNG"
        await asyncio.sleep(30)

    response, series = ask({"content": slow()}, limits={"deadline_s": 0.1})
    assert response.status_code == 504
    assert "0.1 s" in response.json()["error"]
    assert 'status="504"} 1.0' in series.text


def test_info_and_health(ask: Ask) -> None:
    info, health, openapi, _ = ask(
        {"method": "GET", "url": "/info"},
        {"method": "GET", "url": "/health"},
        {"method": "GET", "url": "/openapi.json"},
    )
    assert info.json()["task"] == "image-classification"
    assert info.json()["labels"] == [f"class {index}" for index in range(10)]
    assert info.json()["limits"]["deadline_s"] == 60
    assert health.json() == {"status": "ok"}
    body = openapi.json()["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]
    assert body["example"]["inputs"]
    assert "top_k" in json.dumps(body["schema"])


def test_the_example_of_the_docs_is_answered(ask: Ask) -> None:
    (openapi, _) = ask({"method": "GET", "url": "/openapi.json"})
    content = openapi.json()["paths"]["/"]["post"]["requestBody"]["content"]
    response, _ = ask({"json": content["application/json"]["example"]})
    assert response.status_code == 200


def test_every_phase_is_measured(ask: Ask) -> None:
    *_, series = ask({"content": picture(1)})
    for phase in ("queue", "preprocess", "compute", "postprocess"):
        assert f'rayformers_phase_seconds_count{{model="vit",phase="{phase}",replica="local"}} 1.0' in series.text
    assert 'rayformers_request_latency_seconds_count{model="vit",replica="local"} 1.0' in series.text
    assert "rayformers_queue_length" in series.text


def test_mutated_bodies_never_are_the_servers_fault(ask: Ask) -> None:
    chance = random.Random(11)
    wholes = [picture(1, kind=kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")]
    wholes += [json.dumps(as_json(one, top_k=2)["json"]).encode() for one in wholes[:3]]
    bodies = []
    for _ in range(300):
        body = bytearray(chance.choice(wholes))
        for _ in range(chance.randint(1, 8)):
            place = chance.randrange(len(body))
            body[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        bodies.append(bytes(body[: chance.choice([len(body), chance.randrange(len(body))])]))
    *responses, _ = ask(*({"content": body} for body in bodies), limits={"max_pixels": 100_000})
    assert {response.status_code for response in responses} <= {200, 400, 413, 415}
    assert all("error" in response.json() for response in responses if response.status_code != 200)
