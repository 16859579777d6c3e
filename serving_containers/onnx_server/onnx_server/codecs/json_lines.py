"""``application/jsonlines``: one instance a line in, one prediction a line out, in order."""

from __future__ import annotations

import orjson

from onnx_server.codecs import _json, json_body
from onnx_server.codecs._decoded import Decoded, Feed
from onnx_server.errors import BadRequest, NotAcceptable
from onnx_server.manifest import Manifest
from onnx_server.preprocess import Preprocessor

MEDIA = ("application/jsonlines", "application/x-ndjson", "application/jsonl")


def decode(
    body: bytes, manifest: Manifest, preprocessor: Preprocessor | None, *, first: int = 1
) -> Decoded:
    """Blank lines are skipped; a line may also be ``{"instances": [...]}`` with one instance.

    ``first`` is the number of the first line, for errors.
    """
    instances = []
    for number, line in enumerate(body.split(b"\n"), first):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise BadRequest(f"Line {number} is not JSON: {str(error)[:120]}.") from None
        if isinstance(value, dict) and isinstance(value.get("instances"), list):
            if len(value["instances"]) != 1:
                raise BadRequest(f"Line {number} must hold one instance.", field=str(number))
            value = value["instances"][0]
        instances.append(value)
    return json_body.decode_value({"instances": instances}, manifest, preprocessor)


def encode(outputs: Feed, form: str, manifest: Manifest) -> bytes:
    """One line a row."""
    if not _json.has_rows(outputs):
        raise NotAcceptable("JSON Lines need an output with a row for each row; ask for JSON.")
    return b"".join(row + b"\n" for row in _json.rows(outputs))
