"""JSON as all codecs read and write it."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from onnx_server.codecs._decoded import Feed
from onnx_server.errors import BadRequest


def loads(body: bytes) -> Any:
    """The JSON value of a body.

    Raises:
        BadRequest: it is no JSON; with the place.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {str(error)[:120]}.") from None


def has_rows(outputs: Feed) -> bool:
    """Whether the outputs have rows, and as many each."""
    return all(a.ndim for a in outputs.values()) and len({len(a) for a in outputs.values()}) == 1


def rows(outputs: Feed) -> list[bytes]:
    """The JSON text of each row: its value where there is one output, else an object by name."""
    texts = [_row_texts(array) for array in outputs.values()]
    if len(texts) == 1:
        return texts[0]
    names = (orjson.dumps(name).replace(b"%", b"%%") for name in outputs)
    template = b"{" + b",".join(name + b":%b" for name in names) + b"}"
    return [template % row for row in zip(*texts, strict=True)]


def _row_texts(array: Any) -> list[bytes]:
    """All rows are written at once and then cut: row by row takes fifty times as long."""
    plain = plain_array(array)
    option = orjson.OPT_SERIALIZE_NUMPY
    if isinstance(plain, list) or not plain.size:
        return [orjson.dumps(row, option=option) for row in plain]
    closing, opening = b"]" * (plain.ndim - 1), b"[" * (plain.ndim - 1)
    text = orjson.dumps(plain, option=option)[1:-1]
    return text.replace(closing + b"," + opening, closing + b"\n" + opening).split(b"\n")


def plain_array(value: Any) -> Any:
    """What orjson can write: a contiguous array of a native number type; a list or one value."""
    if value.dtype.kind == "f" and value.dtype.itemsize not in (4, 8):
        value = value.astype(np.float32)
    if value.dtype.kind in "OUS" or not value.ndim:
        return value.tolist()
    # onnxruntime's int64 is C's "long long", whose scalars orjson does not know.
    return np.ascontiguousarray(value).view(value.dtype.str)
