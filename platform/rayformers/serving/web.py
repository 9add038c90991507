"""The HTTP side of an endpoint: routes, body limits, deadlines, errors as JSON. It knows no Ray."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from fastapi import FastAPI, Request, Response
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ..errors import InputError, InputTooLargeError, RayformersError
from .metrics import CONTENT_TYPE, EndpointMetrics
from .protocols.huggingface import Payload, parse
from .protocols.schemas import TaskSchema
from .settings import Limits

logger = logging.getLogger("rayformers.serving")

RETRY_AFTER_S = 1
LARGE_BODY_BYTES = 64 * 1024
MAX_MESSAGE_CHARACTERS = 600
CLIENT_CLOSED_REQUEST = 499


class Served(Protocol):
    """What the web side needs of the model side."""

    async def predict(self, items: list[bytes], parameters: dict[str, Any]) -> list[Any]:
        """An answer for every item; an exception stands where one failed."""

    def announce(self) -> Any:
        """A context manager: while entered, an input is on its way."""

    def info(self) -> dict[str, Any]:
        """What is served."""


def build_web(served: Served, schema: TaskSchema, limits: Limits, metrics: EndpointMetrics) -> FastAPI:
    """The ASGI application of one endpoint.

    Args:
        served: the model side.
        schema: the served task's schema.
        limits: of a request.
        metrics: where requests are counted.
    """
    web = FastAPI(title=f"rayformers: {schema.task}", openapi_url="/openapi.json", redoc_url=None)
    _add_error_handlers(web)

    async def predict(request: Request) -> Response:
        start_s = time.perf_counter()
        status = CLIENT_CLOSED_REQUEST
        try:
            with metrics.in_flight():
                response = await _answer(request, served, schema, limits)
            status = response.status_code
            return response
        finally:
            metrics.answered(status, time.perf_counter() - start_s)

    async def health() -> Response:
        return json_response({"status": "ok"})

    async def info() -> Response:
        return json_response(served.info())

    async def series() -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    web.add_api_route(
        "/", predict, methods=["POST"], summary=f"Run {schema.task}", openapi_extra=_request_schema(schema)
    )
    web.add_api_route("/health", health, methods=["GET"], summary="200 when requests are answered")
    web.add_api_route("/info", info, methods=["GET"], summary="The model, its task, labels and limits")
    web.add_api_route("/metrics", series, methods=["GET"], summary="Prometheus series of the replica that answers")
    return web


async def _answer(request: Request, served: Served, schema: TaskSchema, limits: Limits) -> Response:
    """The response to one prediction request, errors included. Only cancellation passes through."""
    try:
        async with asyncio.timeout(limits.deadline_s):
            with served.announce():
                payload = await _read_payload(request, schema, limits)
            return json_response(await _predict(served, payload))
    except TimeoutError:
        return error_response(
            504, f"No answer within the deadline of {limits.deadline_s:g} s. Ask again, or ask for less."
        )
    except RayformersError as error:
        return error_response(min(error.status, 500), str(error))
    except ClientDisconnect:
        return error_response(CLIENT_CLOSED_REQUEST, "The client closed the connection before its request was read.")
    except Exception:
        # The cause is the operator's to read, in the log; a stranger learns nothing about the inside.
        logger.exception("a request failed")
        return error_response(500, "The endpoint failed on this request; its log says why.")


async def _read_payload(request: Request, schema: TaskSchema, limits: Limits) -> Payload:
    if encoding := request.headers.get("content-encoding", "").replace("identity", ""):
        raise InputError(f"The body is encoded as {encoding!r}, which is not read here. Send it without an encoding.")
    body = await read_body(request, limits.max_body_bytes)
    content_type = request.headers.get("content-type", "")
    if len(body) < LARGE_BODY_BYTES:
        return parse(body, content_type, schema, max_inputs=limits.max_inputs)
    # Large JSON takes milliseconds to parse, in which nobody else would be answered.
    return await asyncio.to_thread(parse, body, content_type, schema, max_inputs=limits.max_inputs)


async def read_body(request: Request, max_body_bytes: int) -> bytes:
    """The request's body.

    Raises:
        InputTooLargeError: it is larger than `max_body_bytes`; at most that much of it was read.
    """
    announced = request.headers.get("content-length", "")
    too_large = InputTooLargeError(
        f"The body is larger than {max_body_bytes:,} bytes, the limit here. Send a smaller one."
    )
    if announced.isdecimal() and int(announced[:20]) > max_body_bytes:
        raise too_large
    chunks: list[bytes] = []
    read_bytes = 0
    async for chunk in request.stream():
        read_bytes += len(chunk)
        if read_bytes > max_body_bytes:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


async def _predict(served: Served, payload: Payload) -> Any:
    answers = await served.predict(list(payload.inputs), payload.parameters)
    for index, answer in enumerate(answers):
        if isinstance(answer, RayformersError) and payload.several:
            raise _at_index(answer, index)
        if isinstance(answer, BaseException):
            raise answer
    return answers if payload.several else answers[0]


def _at_index(error: RayformersError, index: int) -> RayformersError:
    """`error` with the place of the input that caused it."""
    located = InputError(f"inputs[{index}]: {error}")
    located.status = error.status  # type: ignore[misc]
    return located


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`value` as JSON in ASCII, as text from a request may hold halves of characters that UTF-8 cannot carry."""
    return Response(json.dumps(value, allow_nan=False), status, headers, media_type="application/json")


def error_response(status: int, message: str) -> Response:
    """{"error": message}, with Retry-After where asking again helps."""
    if len(message) > MAX_MESSAGE_CHARACTERS:
        message = message[: MAX_MESSAGE_CHARACTERS - 4] + " ..."
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else None
    return json_response({"error": message}, status, headers)


def _add_error_handlers(web: FastAPI) -> None:
    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = request.url.path
        messages = {
            404: f"There is nothing at {path!r}. POST / predicts; GET /health, /info, /metrics and /docs inform.",
            405: f"{request.method} is not allowed at {path!r}. POST / predicts; the other addresses take GET.",
        }
        response = error_response(error.status_code, messages.get(error.status_code, str(error.detail)))
        response.headers.update(error.headers or {})
        return response

    handler: Callable[[Request, Exception], Awaitable[Response]] = on_http_error
    web.add_exception_handler(HTTPException, handler)


def _request_schema(schema: TaskSchema) -> dict[str, Any]:
    """The request's part of the OpenAPI document."""
    parameters = TypeAdapter(schema.parameters).json_schema()
    parameters["additionalProperties"] = False
    text = {"type": "string", "format": "byte", "description": f"The {schema.input} as base64 text."}
    body = {
        "type": "object",
        "required": ["inputs"],
        "additionalProperties": False,
        "properties": {
            "inputs": {"anyOf": [text, {"type": "array", "items": text, "minItems": 1}]},
            "parameters": {"anyOf": [parameters, {"type": "null"}]},
            "options": {"type": "object", "description": "Accepted and without effect."},
        },
    }
    content = {
        "application/json": {"schema": body, "example": {"inputs": schema.example_text, "parameters": {}}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    }
    return {"requestBody": {"required": True, "content": content}}
