"""JSON Lines of which some are bad: the good are answered, each bad one gets a placeholder.

Batch transform wants exactly one record out for each record in, and gives up a whole file for one
error otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from onnx_server.checks import check_feed
from onnx_server.codecs import json_lines
from onnx_server.codecs._decoded import Feed
from onnx_server.errors import BadRequest
from onnx_server.manifest import Manifest
from onnx_server.preprocess import Preprocessor

TOGETHER = 32
"""Records that wait for the model at a time, so that one request does not fill the queue."""

Submit = Callable[[Feed, int], Awaitable[Feed]]


async def answer(
    body: bytes, manifest: Manifest, preprocessor: Preprocessor | None, submit: Submit
) -> bytes:
    """One line for each line of the body that is not blank, in order.

    A bad record becomes ``{"error": "..."}``. ``submit`` runs a checked feed of so many rows.

    Raises:
        ServerError: the model failed or is overloaded; that is no fault of a record.
    """
    lines = [(i, line) for i, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    answers: list[bytes] = []
    for start in range(0, len(lines), TOGETHER):
        chosen = lines[start : start + TOGETHER]
        answers += await asyncio.gather(
            *(_record(*numbered, manifest, preprocessor, submit) for numbered in chosen)
        )
    return b"".join(answers)


async def _record(
    number: int,
    line: bytes,
    manifest: Manifest,
    preprocessor: Preprocessor | None,
    submit: Submit,
) -> bytes:
    try:
        decoded = json_lines.decode(line, manifest, preprocessor, first=number)
        feed, rows = check_feed(decoded.feed, manifest.inputs)
        outputs = await submit(feed, rows)
    except BadRequest as error:
        return orjson.dumps(placeholder(error), option=orjson.OPT_APPEND_NEWLINE)
    return json_lines.encode(outputs, "instances", manifest)


def placeholder(error: BadRequest) -> dict[str, Any]:
    """What stands for a record that cannot be answered."""
    value: dict[str, Any] = {"error": error.message}
    if error.field is not None:
        value["field"] = error.field
    return value
