"""Hugging Face inference payloads: a raw body, or JSON {"inputs": ..., "parameters": {...}}.

What `huggingface_hub.InferenceClient` sends to a URL: raw bytes without a content type when there are no parameters,
else JSON with the file as base64 text (read from huggingface_hub 2.4).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ...config import Origin
from ...errors import ConfigError, InputError, InputTooLargeError, UnsupportedMediaError, did_you_mean
from ..media import decode_base64
from .schemas import TaskSchema

# `options` (wait_for_model, use_cache) are of the hosted service; clients still send them and they change no answer.
ROOT_KEYS = ("inputs", "parameters", "options")

# Media types under which a body is JSON whatever it looks like. Others say little (curl claims a form for every
# --data-binary, many clients say nothing), so the body itself is looked at.
_JSON_TYPES = ("application/json", "text/json")


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A request, parsed.

    Args:
        inputs: the bytes of every input.
        parameters: what the request set, validated.
        several: whether the answer is a list of answers, as the inputs were a list.
    """

    inputs: tuple[bytes, ...]
    parameters: dict[str, Any]
    several: bool = False


def parse(body: bytes, content_type: str, schema: TaskSchema, *, max_inputs: int) -> Payload:
    """The request in `body`.

    Raises:
        InputError: the body is empty, not the JSON that it claims to be, or misses or misspells a key.
        UnsupportedMediaError: the body is a multipart form.
        InputTooLargeError: the request has more than `max_inputs` inputs.
        ConfigError: a parameter is unknown or has a wrong value.
    """
    if not body:
        raise InputError(f"The request's body is empty. Send {_expected(schema)}.")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith("multipart/"):
        raise UnsupportedMediaError(f"A form ({media_type}) cannot be read here. Send {_expected(schema)}.")
    if media_type in _JSON_TYPES or media_type.endswith("+json") or body.lstrip()[:1] == b"{":
        return _parse_json(body, schema, max_inputs)
    return Payload(inputs=(body,), parameters={})


def _expected(schema: TaskSchema) -> str:
    return f'the {schema.input}\'s bytes, or JSON {{"inputs": "<base64>", "parameters": {{...}}}}'


def _parse_json(body: bytes, schema: TaskSchema, max_inputs: int) -> Payload:
    values = _load_json(body)
    if not isinstance(values, dict):
        raise InputError(f"The JSON body is a {_json_name(values)}; expected an object. Send {_expected(schema)}.")
    for key in values:
        if key not in ROOT_KEYS:
            hint = (
                f"Put {key!r} into 'parameters'."
                if key in schema.parameters.__dataclass_fields__
                else did_you_mean(key, ROOT_KEYS)
            )
            raise InputError(f"{key!r} is not a key of the request. {hint}")
    if values.get("inputs") is None:
        raise InputError(f"The request lacks 'inputs'. Send {_expected(schema)}.")
    return _with_inputs(values["inputs"], parse_parameters(values.get("parameters"), schema), max_inputs)


def _with_inputs(inputs: Any, parameters: dict[str, Any], max_inputs: int) -> Payload:
    if not isinstance(inputs, list):
        return Payload(inputs=(_decode(inputs, "inputs"),), parameters=parameters)
    if not inputs:
        raise InputError("'inputs' is an empty list. Send at least one input.")
    if len(inputs) > max_inputs:
        raise InputTooLargeError(
            f"'inputs' holds {len(inputs)} inputs; at most {max_inputs} are allowed in one request."
        )
    decoded = tuple(_decode(value, f"inputs[{index}]") for index, value in enumerate(inputs))
    return Payload(inputs=decoded, parameters=parameters, several=True)


def _decode(value: Any, where: str) -> bytes:
    # Text is only ever base64. Handed to a pipeline it would be a path or a URL, which the server would open.
    if not isinstance(value, str):
        raise InputError(f"{where!r} is a {_json_name(value)}; expected base64 text.")
    return decode_base64(value, where)


def parse_parameters(values: Any, schema: TaskSchema) -> dict[str, Any]:
    """The parameters that a request set, validated against the task's schema."""
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"'parameters' is a {_json_name(values)}; expected an object.")
    return schema.parameters.from_dict(values, Origin("parameters")).to_dict()


def _load_json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise InputError("The JSON body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise InputError("The JSON body is not UTF-8 text.") from None
    except ValueError as error:
        raise InputError(f"The body is not valid JSON: {error}.") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _json_name(value: Any) -> str:
    names = {dict: "object", list: "list", str: "text", bool: "boolean", int: "number", float: "number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
