"""Requests and responses as the routes see them, apart from the HTTP server that carries them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from onnx_server.errors import BadRequest, RequestTimeout, ServerError, TooLarge

JSON = ("content-type", "application/json")
ERROR_CHARACTERS = 2048
"""The hosting platform cuts an error's message there."""
CUT_OFF = "The body ends before its end, is chunked in a wrong way, or has trailers."


class Headers(Protocol):
    """Headers of a request, names in lower case."""

    def get(self, key: str, default: Any = None) -> Any:
        """The first value of a header."""


@dataclass(slots=True)
class Request:
    """One request; ``body`` is read by ``read_body`` once a route wants it."""

    method: str
    path: str
    query: str
    headers: Headers
    protocol: Any
    id: str


@dataclass(slots=True)
class Response:
    """Status, headers and the whole body."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


def json_response(value: Any, status: int = 200) -> Response:
    """A JSON response."""
    return Response(status, [JSON], orjson.dumps(value))


def error_response(error: ServerError, request_id: str) -> Response:
    """A short JSON body that says what is wrong, in which field, and the id to look up in logs."""
    value = {"error": error.message[: ERROR_CHARACTERS - 512], "request_id": request_id}
    if error.field is not None:
        value["field"] = error.field[:200]
    response = json_response(value, error.status)
    if error.retry_after_s is not None:
        response.headers.append(("retry-after", str(max(1, round(error.retry_after_s)))))
    return response


def whole(text: str) -> int | None:
    """The whole number that a header or a query gives; none where it is none, or is beyond use."""
    # Python takes minutes to read millions of digits, and by default raises after 4300.
    return int(text) if text.isdecimal() and len(text) <= 18 else None


async def read_body(request: Request, limit: int, timeout_s: float) -> bytes:
    """The body, of at most ``limit`` bytes, which must arrive within ``timeout_s``.

    Raises:
        BadRequest: a content length that is no number, or a body that ends before its end.
        TooLarge: more was declared or sent; refused before it is read.
        RequestTimeout: it did not arrive in time.
    """
    declared = request.headers.get("content-length")
    if declared is not None:
        size = whole(declared)
        if size is None:
            raise BadRequest("Content-Length is not a number.", field="Content-Length")
        if size > limit:
            raise TooLarge(f"The body has {declared} bytes; at most {limit} are taken.")
    try:
        async with asyncio.timeout(timeout_s):
            if declared is not None:
                return await _at_once(request.protocol)
            return await _chunks(request.protocol, limit)
    except TimeoutError:
        raise RequestTimeout(f"The body did not arrive within {timeout_s:g} s.") from None


async def _at_once(protocol: Any) -> bytes:
    try:
        return bytes(await protocol())
    except RuntimeError:  # Granian's stream error
        raise BadRequest(CUT_OFF) from None


async def _chunks(protocol: Any, limit: int) -> bytes:
    """The chunks together. Granian gives an empty one at the end, and one more for a failure.

    (And for trailers, which nobody sends who asks a model.)
    """
    parts: list[bytes] = []
    size = empty = 0
    async for chunk in protocol:
        size += len(chunk)
        empty += not chunk
        if size > limit:
            raise TooLarge(f"The body has more than {limit} bytes.")
        parts.append(chunk)
    if empty > 1:
        raise BadRequest(CUT_OFF)
    return b"".join(parts)
