from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from rayformers.errors import InputError, RayformersError, UnsupportedMediaError
from rayformers.serving.protocols.huggingface import Payload, parse
from rayformers.serving.protocols.schemas import SCHEMAS

SCHEMA = SCHEMAS.get("image-classification")
TEXT = base64.b64encode(b"\x89PNG...").decode()


def parsed(body: bytes | Any, content_type: str = "application/json") -> Payload:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse(data, content_type, SCHEMA, max_inputs=3)


@pytest.mark.parametrize(
    "content_type", ["", "image/png", "application/octet-stream", "application/x-www-form-urlencoded", "text/plain"]
)
def test_raw_bytes_under_any_type(content_type: str) -> None:
    assert parsed(b"\x89PNG...", content_type) == Payload(inputs=(b"\x89PNG...",), parameters={})


@pytest.mark.parametrize("content_type", ["", "application/json", "application/json; charset=utf-8", "text/plain"])
def test_json_with_parameters(content_type: str) -> None:
    body = {"inputs": TEXT, "parameters": {"top_k": 2, "function_to_apply": "sigmoid"}, "options": {"use_cache": False}}
    payload = parsed(json.dumps(body).encode(), content_type)
    assert payload.inputs == (b"\x89PNG...",)
    assert payload.parameters == {"top_k": 2, "function_to_apply": "sigmoid"}
    assert not payload.several


def test_null_parameters_are_not_set() -> None:
    assert parsed({"inputs": TEXT, "parameters": {"top_k": None}}).parameters == {}
    assert parsed({"inputs": TEXT, "parameters": None}).parameters == {}


def test_a_list_of_inputs() -> None:
    payload = parsed({"inputs": [TEXT, TEXT]})
    assert payload.several and len(payload.inputs) == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty"),
        (b"{", "not valid JSON"),
        (b'{"inputs": NaN}', "NaN is not a JSON number"),
        (b'{"inputs": "\xff\xfe"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"inputs": ' + b"9" * 5000 + b"}", "not valid JSON"),
        ([TEXT], "is a list; expected an object"),
        ({"input": TEXT}, "Did you mean 'inputs'"),
        ({"inputs": TEXT, "top_k": 1}, "Put 'top_k' into 'parameters'"),
        ({"parameters": {}}, "lacks 'inputs'"),
        ({"inputs": None}, "lacks 'inputs'"),
        ({"inputs": 3}, "'inputs' is a number; expected base64 text"),
        ({"inputs": {"image": TEXT}}, "'inputs' is a object"),
        ({"inputs": []}, "empty list"),
        ({"inputs": [TEXT] * 4}, "at most 3"),
        ({"inputs": [TEXT, 1]}, "inputs[1]"),
        ({"inputs": "http://example.com/cat.png"}, "is a URL"),
        ({"inputs": TEXT, "parameters": []}, "'parameters' is a list"),
        ({"inputs": TEXT, "parameters": {"topk": 1}}, "Did you mean 'top_k'"),
        ({"inputs": TEXT, "parameters": {"top_k": "5"}}, "top_k is '5'; expected a whole number or null"),
        ({"inputs": TEXT, "parameters": {"top_k": True}}, "top_k"),
        ({"inputs": TEXT, "parameters": {"top_k": 0}}, "at least 1"),
        ({"inputs": TEXT, "parameters": {"function_to_apply": "tanh"}}, "'softmax', 'sigmoid', 'none'"),
    ],
)
def test_bad_requests_name_what_is_wrong(body: Any, message: str) -> None:
    with pytest.raises(RayformersError) as caught:
        parsed(body)
    assert message in str(caught.value)
    assert caught.value.status in (400, 413)


def test_forms_are_not_read() -> None:
    with pytest.raises(UnsupportedMediaError, match="form"):
        parsed(b"--x", "multipart/form-data; boundary=x")


def test_text_that_could_be_a_path_never_reaches_a_pipeline() -> None:
    with pytest.raises(InputError):
        parsed({"inputs": "/etc/hostname"})
