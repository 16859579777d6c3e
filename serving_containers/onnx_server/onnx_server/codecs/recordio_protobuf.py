"""``application/x-recordio-protobuf``: SageMaker's records, one a row.

RecordIO frames a record as the magic number, its length and its bytes, padded to four. The record
is a small protobuf message (``aialgs.data.Record``)::

    Record         { map<string, Value> features = 1; }        (label and the rest are skipped)
    Value          { Float32Tensor = 2; Float64Tensor = 3; Int32Tensor = 7; }
    ...Tensor      { repeated values = 1; repeated uint64 keys = 2; repeated uint64 shape = 3; }

It is decoded by hand: the wire format is a few rules, and every length is checked against what is
there. The feature ``values`` is the one input; other features are inputs by name. Sparse tensors
(``keys``) are refused.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from onnx_server.checks import check_names, misfit, shown
from onnx_server.codecs import _decoded
from onnx_server.codecs._decoded import Array, Decoded
from onnx_server.errors import BadRequest
from onnx_server.manifest import Manifest, Tensor
from onnx_server.preprocess import Preprocessor

MEDIA = ("application/x-recordio-protobuf",)

MAGIC = 0xCED7230A
LENGTH_BITS = (1 << 29) - 1  # the three bits above say whether a record goes on in the next frame
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
DTYPES: dict[int, np.dtype[Any]] = {2: np.dtype("<f4"), 3: np.dtype("<f8"), 7: np.dtype("<i4")}


def decode(body: bytes, manifest: Manifest, preprocessor: Preprocessor | None) -> Decoded:
    """Each record is a row, flattened row-major where the input has several axes."""
    rows = [_features(record) for record in _records(memoryview(body))]
    if not rows:
        raise BadRequest("The body holds no record.")
    if len(manifest.inputs) == 1:
        name = manifest.inputs[0].name
        rows = [{name: row["values"]} if list(row) == ["values"] else row for row in rows]
    for row in rows:
        check_names(row, manifest.inputs)
    feed = {t.name: _stacked([row[t.name] for row in rows], t) for t in manifest.inputs}
    return _decoded.from_arrays(feed, "rows")


def _records(body: memoryview) -> Iterator[memoryview]:
    at = 0
    while at < len(body):
        if len(body) - at < 8:
            raise BadRequest("The last record is cut off.")
        magic, length = struct.unpack_from("<II", body, at)
        if magic != MAGIC:
            raise BadRequest(f"There is no record at byte {at}.")
        if length > LENGTH_BITS:
            raise BadRequest("Records in several parts are not read.")
        if length > len(body) - at - 8:
            raise BadRequest("The last record is cut off.")
        yield body[at + 8 : at + 8 + length]
        at += 8 + length + -length % 4


def _features(record: memoryview) -> dict[str, Array]:
    features: dict[str, Array] = {}
    for number, entry in _fields(record):
        if number != 1 or not isinstance(entry, memoryview):
            continue
        parts = dict(_fields(entry))
        key, value = parts.get(1, memoryview(b"")), parts.get(2)
        if not isinstance(key, memoryview) or not isinstance(value, memoryview):
            raise BadRequest("A feature of a record is malformed.")
        features[_decoded.utf8(bytes(key))] = _tensor(value)
    return features


def _tensor(value: memoryview) -> Array:
    """The values of a dense tensor, in its own shape where it states one."""
    for number, tensor in _fields(value):
        if number in DTYPES and isinstance(tensor, memoryview):
            return _values(tensor, number)
    raise BadRequest("A feature must be a tensor of float32, float64 or int32.")


def _values(tensor: memoryview, kind: int) -> Array:
    dtype = DTYPES[kind]
    values: list[Array] = []
    shape: list[int] = []
    for number, part in _fields(tensor):
        if number == 1 and dtype.kind == "f":
            content = bytes(part) if isinstance(part, memoryview) else part
            if not isinstance(content, bytes) or len(content) % dtype.itemsize:
                raise BadRequest("The values of a tensor are cut off.")
            values.append(np.frombuffer(content, dtype))
        elif number == 1:
            values.append(np.array([_signed(v) for v in _varints(part)], dtype))
        elif number == 2:
            raise BadRequest("Sparse tensors (with keys) are not read.")
        elif number == 3:
            shape += _varints(part)
    joined = np.concatenate(values) if values else np.empty(0, dtype)
    if not shape:
        return joined
    # The number of axes first: a product of millions of them has no end.
    if len(shape) > _decoded.MAX_AXES or 0 in shape or math.prod(shape) != joined.size:
        raise BadRequest(f"A tensor of {joined.size} values says shape {shown(shape[:9])}.")
    return joined.reshape(shape)


def _stacked(rows: list[Array], tensor: Tensor) -> Array:
    if len({row.shape for row in rows}) > 1:
        raise misfit(tensor, "records of differing lengths")
    stacked = np.stack(rows)
    fixed = [size for size in tensor.shape[1:] if isinstance(size, int)]
    if stacked.ndim != len(tensor.shape) and len(fixed) == len(tensor.shape) - 1:
        count = int(np.prod(fixed)) if fixed else 1
        if stacked.size == count * len(rows):
            return stacked.reshape(len(rows), *fixed)
    return stacked


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | bytes | int]]:
    """Number and content of each field: a view, the bytes of a fixed number, or a varint."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == BYTES:
            size, at = _varint(message, at)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            raise BadRequest("A record is malformed: unknown kind of field.")
        if size > len(message) - at:
            raise BadRequest("A record is malformed: a field is cut off.")
        part = message[at : at + size]
        yield number, part if wire == BYTES else bytes(part)
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise BadRequest("A record is malformed: a number is cut off.")


def _varints(part: memoryview | bytes | int) -> list[int]:
    if isinstance(part, int):
        return [part]
    if isinstance(part, bytes):
        raise BadRequest("A record is malformed: a number of the wrong kind.")
    found: list[int] = []
    at = 0
    while at < len(part):
        value, at = _varint(part, at)
        found.append(value)
    return found


def _signed(value: int) -> int:
    """An int32 as protobuf writes it: negative numbers in 64 bits of two's complement."""
    value &= (1 << 32) - 1
    return value - (1 << 32) if value >> 31 else value
