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
MAX_FEATURES, MAX_FIELDS = 256, 65_536
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
DTYPES: dict[int, np.dtype[Any]] = {2: np.dtype("<f4"), 3: np.dtype("<f8"), 7: np.dtype("<i4")}


def decode(body: bytes, manifest: Manifest, preprocessor: Preprocessor | None) -> Decoded:
    """Each record is a row, flattened row-major where the input has several axes."""
    rows = []
    for record in _records(memoryview(body)):
        row = _features(record)
        if len(manifest.inputs) == 1 and list(row) == ["values"]:
            row = {manifest.inputs[0].name: row["values"]}
        check_names(row, manifest.inputs)
        rows.append(row)
    if not rows:
        raise BadRequest("The body holds no record.")
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
        name = _decoded.utf8(bytes(key))
        if name in features:
            raise BadRequest(f"A record has '{shown(name)}' twice.", field=shown(name))
        features[name] = _tensor(value)
        if len(features) > MAX_FEATURES:
            raise BadRequest(f"A record has more than {MAX_FEATURES} features.")
    return features


def _tensor(value: memoryview) -> Array:
    """The values of a dense tensor, in its own shape where it states one."""
    for number, tensor in _fields(value):
        if number in DTYPES and isinstance(tensor, memoryview):
            return _values(tensor, number)
    raise BadRequest("A feature must be a tensor of float32, float64 or int32.")


def _values(tensor: memoryview, kind: int) -> Array:
    dtype = DTYPES[kind]
    values: list[memoryview | bytes] = []
    shape: list[int] = []
    for number, part in _fields(tensor):
        if number == 1:
            values.append(_packed(part, dtype))
        elif number == 2:
            raise BadRequest("Sparse tensors (with keys) are not read.")
        elif number == 3:
            shape += _varints(_packed(part, None)).tolist()
        # Before their product, which has no end for millions of axes.
        if len(shape) > _decoded.MAX_AXES:
            raise BadRequest("A tensor has too many axes.")
    content = b"".join(values)
    if dtype.kind == "f":
        joined = np.frombuffer(content, dtype)
    else:  # negative numbers are written in 64 bits of two's complement
        joined = _varints(content).astype(np.uint32).view(dtype)
    if not shape:
        return joined
    if 0 in shape or math.prod(shape) != joined.size:
        raise BadRequest(f"A tensor of {joined.size} values says shape {shown(shape)}.")
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
    at = count = 0
    while at < len(message):
        count += 1
        if count > MAX_FIELDS:
            raise BadRequest("A record has too many fields; values must be packed.")
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


def _packed(part: memoryview | bytes | int, dtype: np.dtype[Any] | None) -> memoryview | bytes:
    """The bytes of packed values, or of one that stands alone; varints where there is no dtype."""
    if dtype is not None and dtype.kind == "f":
        if isinstance(part, int) or len(part) % dtype.itemsize:
            raise BadRequest("The values of a tensor are cut off.")
        return part
    if isinstance(part, bytes):
        raise BadRequest("A record is malformed: a number of the wrong kind.")
    if isinstance(part, int):
        return _written(part)
    if len(part) and part[-1] >= 0x80:
        raise BadRequest("A record is malformed: a number is cut off.")
    return part


def _written(value: int) -> bytes:
    """A varint as it came."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _varints(content: memoryview | bytes) -> Array:
    """All numbers at once, as there may be millions; the last is whole."""
    data = np.frombuffer(content, np.uint8)
    last = np.flatnonzero(data < 0x80)
    lengths = np.diff(last, prepend=-1)
    if lengths.max(initial=0) > 10:
        raise BadRequest("A record is malformed: a number is cut off.")
    first = last - lengths + 1
    values = np.zeros(len(last), np.uint64)
    for index in range(lengths.max(initial=0)):
        there = lengths > index
        bits = (data[first[there] + index] & 0x7F).astype(np.uint64)
        values[there] |= bits << np.uint64(7 * index)
    return values
