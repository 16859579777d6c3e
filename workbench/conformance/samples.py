"""Real requests: from files, from a model's manifest, or from what a server says of its model."""

from __future__ import annotations

import json
import math
import struct
import zlib
from pathlib import Path
from typing import Any

from workbench.conformance.client import Client
from workbench.conformance.subject import Sample
from workbench.errors import InputError

TEXT = "The delivery came a day late, but everything was in good order."
AXIS = {"sequence": 8}
"""Sizes of dynamic axes; any other is 1."""
V2_DTYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip


def sample_from_option(text: str) -> Sample:
    """``FILE:CONTENT_TYPE`` as given on the command line.

    Raises:
        InputError: no content type, or a file that cannot be read.
    """
    file, _, content_type = text.rpartition(":")
    if not file or "/" not in content_type:
        raise InputError(f"'{text}' is not FILE:CONTENT_TYPE.", hint="Such as x.csv:text/csv.")
    try:
        return Sample(content_type, Path(file).read_bytes())
    except OSError as error:
        raise InputError(f"The sample '{file}' cannot be read: {error.strerror}.") from None


def samples_from_manifest(manifest: dict[str, Any]) -> tuple[Sample, ...]:
    """Requests for the model that a ``manifest.json`` describes; empty when none can be told."""
    preprocess = manifest.get("preprocess") or {}
    match preprocess.get("kind"):
        case "text":
            return _records([TEXT])
        case "image":
            return (Sample("image/png", png(48, 64)),)
        case "bytes":
            return (Sample("application/octet-stream", b"import sys\n\nprint(sys.argv)\n" * 40),)
    inputs = manifest.get("signature", {}).get("inputs", [])
    return samples_from_tensors([(i["name"], i["dtype"], i["shape"]) for i in inputs])


def samples_from_server(client: Client, model: str) -> tuple[Sample, ...]:
    """Requests by the Open Inference Protocol's metadata of a model; empty where there is none."""
    answer = client.get(f"/v2/models/{model}")
    raw = answer.json() if answer.status == 200 else None
    if not isinstance(raw, dict) or not isinstance(raw.get("inputs"), list):
        return ()
    tensors = [
        (str(i.get("name")), V2_DTYPES.get(str(i.get("datatype")), ""), list(i.get("shape", ())))
        for i in raw["inputs"]
    ]
    return samples_from_tensors(tensors)


def samples_from_tensors(tensors: list[tuple[str, str, list[Any]]]) -> tuple[Sample, ...]:
    """Requests for inputs of name, numpy dtype and shape; the first axis counts the records."""
    if not tensors or any(not dtype or not shape for _, dtype, shape in tensors):
        return ()
    sizes = [[_size(d) for d in shape[1:]] for _, _, shape in tensors]
    values = [_values(dtype, size) for (_, dtype, _), size in zip(tensors, sizes, strict=True)]
    if len(tensors) > 1:
        names = [name for name, _, _ in tensors]
        return _records([dict(zip(names, values, strict=True))])
    samples = _records([values[0]])
    dtype, size = tensors[0][1], sizes[0]
    if dtype == "float32":
        samples += (Sample("application/x-npy", npy(size, _flat(values[0]))),)
    if len(size) == 1:
        line = ",".join(map(str, values[0])) + "\n"
        samples += (Sample("text/csv", line.encode()),)
    return samples


def npy(record_shape: list[int], flat: list[float]) -> bytes:
    """A ``.npy`` body of float32 with one record of the shape."""
    shape = (1, *record_shape)
    data = struct.pack(f"<{len(flat)}f", *flat)
    return npy_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape!r}, }}") + data


def npy_header(text: str) -> bytes:
    """Magic, version 1.0 and the padded header of a ``.npy`` file."""
    length = math.ceil((10 + len(text) + 1) / 64) * 64 - 10
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + f"{text:<{length - 1}}\n".encode()


def png(height: int, width: int) -> bytes:
    """A PNG of a colour gradient, RGB, 8 bits."""
    rows = b"".join(
        b"\0" + b"".join(bytes((x * 255 // width, y * 255 // height, 90)) for x in range(width))
        for y in range(height)
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _records(records: list[Any]) -> tuple[Sample, ...]:
    return (
        Sample("application/json", json.dumps({"instances": records}).encode()),
        Sample("application/jsonlines", "".join(json.dumps(r) + "\n" for r in records).encode()),
    )


def _size(dimension: Any) -> int:
    if isinstance(dimension, int) and dimension > 0:
        return dimension
    return AXIS.get(str(dimension), 1)


def _values(dtype: str, shape: list[int], start: int = 0) -> Any:
    """Nested lists: small numbers that differ from each other, the integers 0 and 1."""
    if shape:
        step = math.prod(shape[1:])
        return [_values(dtype, shape[1:], start + i * step) for i in range(shape[0])]
    if dtype == "bool":
        return bool(start % 2)
    return round(0.1 * (start % 10) + 0.05, 2) if dtype.startswith("float") else start % 2


def _flat(value: Any) -> list[float]:
    return [x for item in value for x in _flat(item)] if isinstance(value, list) else [value]
