"""``text/csv``: one row a line; numbers in the order of the input, or one text a line."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain
from typing import Any

import numpy as np
import orjson

from onnx_server.checks import misfit
from onnx_server.codecs import _decoded, _json
from onnx_server.codecs._decoded import Decoded, Feed
from onnx_server.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from onnx_server.manifest import Manifest, Tensor
from onnx_server.preprocess import Preprocessor

MEDIA = ("text/csv",)

Line = tuple[int, list[str]]

COMMA, NEWLINE = b",\n"
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
        found = _plain(rest if header.strip() == tensor.name.encode() else body)
        if found is not None:
            values, width = found
            table = _decoded.array(values, tensor).reshape(-1, width)
            return _decoded.from_arrays({tensor.name: _shaped(table, tensor)}, "rows")
    lines = _lines(_decoded.utf8(body))
    first = next(lines, None)
    cells = [] if first is None else [cell.strip() for cell in first[1]]
    if preprocessor is not None and preprocessor.kind == "text":
        if first is not None and [c.lower() for c in cells] not in (["text"], ["text", "pair"]):
            lines = chain([first], lines)
        return _decoded.from_samples([_text(n, row) for n, row in lines], "rows", preprocessor)
    if preprocessor is not None and preprocessor.kind == "bytes":
        raise UnsupportedMediaType("The model reads file contents, which CSV cannot carry.")
    order = names = [tensor.name for tensor in manifest.inputs]
    if sorted(cells) == sorted(names):
        order, first = cells, next(lines, None)
    if first is None:
        raise BadRequest("The body holds no row.")
    by_name = {tensor.name: tensor for tensor in manifest.inputs}
    columns = _columns(len(first[1]), [by_name[name] for name in order])
    feed = _numbers(chain([first], lines), len(first[1]), columns, b"_" in body)
    return _decoded.from_arrays(feed, "rows")


def _plain(body: bytes) -> tuple[list[Any], int] | None:
    """Plain numbers, read as JSON, which takes a fraction of time and memory, and how many a row.

    None where they are anything but plain; they are then read with care, and refused with a reason.
    """
    body = body.strip()
    if body.translate(None, PLAIN) or body.count(b"\r") != body.count(b"\r\n"):
        return None
    try:
        values: list[Any] = orjson.loads(b"[" + body.replace(b"\n", b",") + b"]")
    except orjson.JSONDecodeError:
        return None
    width = body.partition(b"\n")[0].count(b",") + 1
    marks = np.frombuffer(body + b"\n", np.uint8)
    ends = marks[(marks == COMMA) | (marks == NEWLINE)] == NEWLINE
    if not values or len(values) % width:
        return None
    even = not ends.reshape(-1, width)[:, :-1].any() and ends[width - 1 :: width].all()
    return (values, width) if even else None


def _columns(width: int, tensors: list[Tensor]) -> list[tuple[Tensor, int, int]]:
    """Consecutive columns for one input after another, as many as a row of it has values."""
    if len(tensors) == 1:
        return [(tensors[0], 0, width)]
    free = [t.name for t in tensors if any(isinstance(size, str) for size in t.shape[1:])]
    if free:
        raise UnsupportedMediaType(
            f"CSV cannot carry several inputs, of which '{free[0]}' has no fixed size."
        )
    widths = [math.prod(size for size in t.shape[1:] if isinstance(size, int)) for t in tensors]
    if sum(widths) != width:
        wanted = ", ".join(f"{t.name} ({w})" for t, w in zip(tensors, widths, strict=True))
        raise BadRequest(f"A row has {width} values, but the model wants {wanted}.")
    ends = list(accumulate(widths))
    return [(t, end - own, end) for t, own, end in zip(tensors, widths, ends, strict=True)]


def _numbers(
    lines: Iterable[Line], width: int, columns: list[tuple[Tensor, int, int]], underscores: bool
) -> Feed:
    """Row by row, so that only the numbers are held: lists of texts take forty times as much."""
    rows = 0
    flat: list[list[Any]] = [[] for _ in columns]
    for number, row in lines:
        if len(row) != width:
            raise BadRequest(f"Line {number} has {len(row)} values, others {width}.",
                             field=str(number))  # fmt: skip
        if underscores:
            _refuse_underscores(number, row)
        for (tensor, start, end), values in zip(columns, flat, strict=True):
            read = _whole if tensor.dtype.kind in "iub" else _floats
            values += read(number, row[start:end])
        rows += 1
    return {
        tensor.name: _shaped(_decoded.array(values, tensor).reshape(rows, end - start), tensor)
        for (tensor, start, end), values in zip(columns, flat, strict=True)
    }


def _lines(text: str) -> Iterator[Line]:
    """Cells of each line that is not blank, with its number."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise BadRequest(f"Line {reader.line_num} is not CSV: {error}.") from None


def _text(number: int, row: list[str]) -> Any:
    if len(row) > 2:
        raise BadRequest(
            f"Line {number} has {len(row)} columns; a text with commas needs quotes.",
            field=str(number),
        )
    return row[0] if len(row) == 1 else (row[0], row[1])


def _whole(number: int, row: list[str]) -> list[Any]:
    """Integers as they are: through floats, those beyond 2^53 would change."""
    try:
        return list(map(int, row))
    except ValueError:
        return _floats(number, row)


def _floats(number: int, row: list[str]) -> list[Any]:
    try:
        values = list(map(float, row))
    except ValueError:
        raise BadRequest(f"Line {number} holds something that is no number.",
                         field=str(number)) from None  # fmt: skip
    if not all(map(math.isfinite, values)):
        raise BadRequest(f"Line {number} holds a number that is not finite.", field=str(number))
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
        rows = orjson.dumps(_json.plain_array(flat), option=orjson.OPT_SERIALIZE_NUMPY)
        return rows[2:-2].replace(b"],[", b"\n") + b"\n"
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(flat.tolist())
    return text.getvalue().encode()
