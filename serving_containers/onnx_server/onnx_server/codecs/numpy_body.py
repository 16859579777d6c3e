"""``application/x-npy``: one array as numpy writes it; never a pickle."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np

from onnx_server.checks import shown
from onnx_server.codecs import _decoded
from onnx_server.codecs._decoded import Decoded, Feed
from onnx_server.errors import BadRequest, NotAcceptable
from onnx_server.manifest import Manifest
from onnx_server.preprocess import Preprocessor

MEDIA = ("application/x-npy",)

MAGIC = b"\x93NUMPY"
MAX_HEADER = 4096
HEADER = re.compile(
    rb"\s*\{\s*'descr':\s*'([<>|=]?[biuf]\d{1,2})',\s*'fortran_order':\s*(True|False),"
    rb"\s*'shape':\s*\(([\d,\s]*)\),?\s*\}\s*"
)


def decode(body: bytes, manifest: Manifest, preprocessor: Preprocessor | None) -> Decoded:
    """The array for the one input, which it views without a copy."""
    tensor = _decoded.only_input(manifest, "A .npy file")
    return _decoded.from_arrays({tensor.name: read_array(body, tensor.name)}, "inputs")


def read_array(body: bytes, name: str) -> Any:
    """The array of a ``.npy`` file for an input, its header checked against its size first.

    The header is matched, not evaluated: numpy's own reader parses it as Python, and warns.

    Raises:
        BadRequest: it is malformed, truncated, or holds anything but numbers.
    """
    size = {1: 2, 2: 4, 3: 4}.get(body[6] if body.startswith(MAGIC) and len(body) > 12 else 0)
    if size is None:
        raise BadRequest(f"'{shown(name)}' is no .npy file.", field=shown(name))
    start = 8 + size
    end = start + int.from_bytes(body[8:start], "little")
    match = HEADER.fullmatch(body[start : min(end, start + MAX_HEADER)])
    if match is None:
        raise BadRequest(
            f"The .npy header of '{shown(name)}' is malformed, or says something other than "
            "numbers; Python objects are never read.",
            field=shown(name),
        )
    try:
        dtype = np.dtype(match[1].decode())
        shape = [int(axis) for axis in match[3].split(b",") if axis.strip()]
    except (TypeError, ValueError):
        raise BadRequest(f"The .npy header of '{shown(name)}' is malformed.") from None
    held = len(body) - end
    if len(shape) > _decoded.MAX_AXES or 0 in shape or math.prod(shape) * dtype.itemsize != held:
        raise BadRequest(
            f"The .npy header of '{shown(name)}' says {dtype}{shown(shape)}, which its "
            f"{max(held, 0)} bytes are not.",
            field=shown(name),
        )
    values = _decoded.from_buffer(body, dtype, end, shown(name))
    return values.reshape(shape, order="F" if match[2] == b"True" else "C")


def encode(outputs: Feed, form: str, manifest: Manifest) -> bytes:
    """A ``.npy`` file of the one output."""
    if len(outputs) != 1:
        raise NotAcceptable("A .npy file carries one output; ask for application/x-npz.")
    return file(next(iter(outputs.values())))


def file(values: Any) -> bytes:
    """A ``.npy`` file of an array.

    Raises:
        NotAcceptable: it holds texts, which numpy can only pickle.
    """
    if values.dtype.kind == "O":
        raise NotAcceptable("Texts do not fit into a .npy file; ask for JSON.")
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    return stream.getvalue()
