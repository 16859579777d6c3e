"""``text/csv``: one row a line; numbers in the order of the input, or one text a line."""

from __future__ import annotations

import csv
import io
import math
from itertools import accumulate
from typing import Any

import numpy as np
import orjson

from onnx_server.checks import misfit
from onnx_server.codecs import _decoded, json_body
from onnx_server.codecs._decoded import Decoded, Feed
from onnx_server.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from onnx_server.manifest import Manifest, Tensor
from onnx_server.preprocess import Preprocessor

MEDIA = ("text/csv",)

PLAIN = b"0123456789+-.eE,\r\n \t"

csv.field_size_limit(1 << 30)  # of one text; the body's own limit is the one that counts


def decode(body: bytes, manifest: Manifest, preprocessor: Preprocessor | None) -> Decoded:
    """A first line of the names of the inputs (or ``text``, ``text,pair``) is taken for a header.

    Rows of an input of several axes are given row-major; several inputs stand one after another,
    in the order of the header or of the signature; two columns of texts are pairs.
    """
    if preprocessor is None and len(manifest.inputs) == 1:
        tensor = manifest.inputs[0]
        header, _, rest = body.partition(b"\n")
        rows = _plain(rest if header.strip() == tensor.name.encode() else body)
        if rows is not None:
            feed = {tensor.name: _shaped(_decoded.array(rows, tensor), tensor)}
            return _decoded.from_arrays(feed, "rows")
    lines = _lines(_decoded.utf8(body))
    if preprocessor is not None and preprocessor.kind == "text":
        if lines and [cell.strip().lower() for cell in lines[0][1]] in (["text"], ["text", "pair"]):
            lines = lines[1:]
        return _decoded.from_samples([_text(n, row) for n, row in lines], "rows", preprocessor)
    if preprocessor is not None and preprocessor.kind == "bytes":
        raise UnsupportedMediaType("The model reads file contents, which CSV cannot carry.")
    names = [tensor.name for tensor in manifest.inputs]
    order = names
    if lines and sorted(cell.strip() for cell in lines[0][1]) == sorted(names):
        order = [cell.strip() for cell in lines[0][1]]
        lines = lines[1:]
    if not lines:
        raise BadRequest("The body holds no row.")
    by_name = {tensor.name: tensor for tensor in manifest.inputs}
    return _decoded.from_arrays(_columns(_even(lines), [by_name[n] for n in order]), "rows")


def _plain(body: bytes) -> list[Any] | None:
    """Rows of plain numbers, read as JSON, which takes a quarter of the time and memory.

    None where they are anything but plain; they are then read with care, and refused with a reason.
    """
    if body.translate(None, PLAIN) or body.count(b"\r") != body.count(b"\r\n"):
        return None
    try:
        rows: list[Any] = orjson.loads(b"[[" + body.strip().replace(b"\n", b"],[") + b"]]")
    except orjson.JSONDecodeError:
        return None
    widths = set(map(len, rows))
    return rows if len(widths) == 1 and widths != {0} else None


def _columns(lines: list[tuple[int, list[str]]], tensors: list[Tensor]) -> Feed:
    """Consecutive columns for one input after another, as many as a row of it has values."""
    if len(tensors) == 1:
        return {tensors[0].name: _values(lines, tensors[0], 0, len(lines[0][1]))}
    free = [t.name for t in tensors if any(isinstance(size, str) for size in t.shape[1:])]
    if free:
        raise UnsupportedMediaType(
            f"CSV cannot carry several inputs, of which '{free[0]}' has no fixed size."
        )
    widths = [math.prod(size for size in t.shape[1:] if isinstance(size, int)) for t in tensors]
    if sum(widths) != len(lines[0][1]):
        wanted = ", ".join(f"{t.name} ({w})" for t, w in zip(tensors, widths, strict=True))
        raise BadRequest(f"A row has {len(lines[0][1])} values, but the model wants {wanted}.")
    ends = list(accumulate(widths))
    return {
        t.name: _values(lines, t, end - width, end)
        for t, width, end in zip(tensors, widths, ends, strict=True)
    }


def _values(lines: list[tuple[int, list[str]]], tensor: Tensor, start: int, end: int) -> Any:
    read = _whole if tensor.dtype.kind in "iub" else _floats
    rows = [read(number, row[start:end]) for number, row in lines]
    return _shaped(_decoded.array(rows, tensor), tensor)


def _lines(text: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise BadRequest(f"Line {reader.line_num} is not CSV: {error}.") from None


def _text(number: int, row: list[str]) -> Any:
    if len(row) > 2:
        raise BadRequest(
            f"Line {number} has {len(row)} columns; a text with commas needs quotes.",
            field=str(number),
        )
    return row[0] if len(row) == 1 else (row[0], row[1])


def _even(lines: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    width = len(lines[0][1])
    for number, row in lines:
        if len(row) != width:
            raise BadRequest(f"Line {number} has {len(row)} values, others {width}.",
                             field=str(number))  # fmt: skip
    return lines


def _whole(number: int, row: list[str]) -> list[Any]:
    """Integers as they are: through floats, those beyond 2^53 would change."""
    try:
        values = list(map(int, row))
    except ValueError:
        return _floats(number, row)
    _refuse_underscores(number, row)
    return values


def _floats(number: int, row: list[str]) -> list[Any]:
    try:
        values = list(map(float, row))
    except ValueError:
        raise BadRequest(f"Line {number} holds something that is no number.",
                         field=str(number)) from None  # fmt: skip
    if not all(map(math.isfinite, values)):
        raise BadRequest(f"Line {number} holds a number that is not finite.", field=str(number))
    _refuse_underscores(number, row)
    return values


def _refuse_underscores(number: int, row: list[str]) -> None:
    """Python reads 1_000 as a number; nobody who writes CSV means one."""
    if "_" in "".join(row):
        raise BadRequest(f"Line {number} holds something that is no number.", field=str(number))


def _shaped(values: Any, tensor: Tensor) -> Any:
    sizes = tensor.shape[1:]
    if not sizes:
        return values[:, 0] if values.shape[1] == 1 else values
    fixed = math.prod(d for d in sizes if isinstance(d, int))
    free = sum(isinstance(d, str) for d in sizes)
    if free > 1 or fixed == 0 or values.shape[1] % fixed or (not free and values.shape[1] != fixed):
        raise misfit(tensor, f"{values.shape[1]} values a row")
    return values.reshape(len(values), *(-1 if isinstance(d, str) else d for d in sizes))


def encode(outputs: Feed, form: str, manifest: Manifest) -> bytes:
    """One line a row: the values of the one output, row-major, without a header."""
    if len(outputs) != 1:
        raise NotAcceptable("CSV carries one output, but the model has several.")
    values = next(iter(outputs.values()))
    if not values.ndim:
        raise NotAcceptable("CSV needs an output with a row for each row; ask for JSON.")
    flat = values.reshape(len(values), math.prod(values.shape[1:]))
    if flat.size and flat.dtype.kind in "iuf" and np.isfinite(flat).all():
        rows = orjson.dumps(json_body.plain_array(flat), option=orjson.OPT_SERIALIZE_NUMPY)
        return rows[2:-2].replace(b"],[", b"\n") + b"\n"
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(flat.tolist())
    return text.getvalue().encode()
