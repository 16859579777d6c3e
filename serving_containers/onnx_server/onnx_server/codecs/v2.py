"""The Open Inference Protocol, version 2: JSON tensors and its binary tensor extension.

Source: https://github.com/kserve/open-inference-protocol (inference_rest.md) and the extension
``binary_tensor_data`` (little-endian tensors after the JSON header, whose length the header
``Inference-Header-Content-Length`` gives; BYTES elements have a 4-byte length before each).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from onnx_server.checks import shown
from onnx_server.codecs import _decoded, _json
from onnx_server.codecs._decoded import Decoded, Feed
from onnx_server.errors import BadRequest
from onnx_server.exchange import Headers, whole
from onnx_server.manifest import Manifest, Tensor
from onnx_server.preprocess import Preprocessor

LENGTH = "inference-header-content-length"

NAMES = {
    "bool": "BOOL", "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "float16": "FP16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip
DTYPES = {name: np.dtype(dtype).newbyteorder("<") for dtype, name in NAMES.items()}


@dataclass(slots=True)
class Asked:
    """What the client wants back: its id, and outputs by name (none: all), and which as binary."""

    id: str | None = None
    outputs: dict[str, bool] = field(default_factory=dict)
    binary: bool = False


@dataclass(slots=True)
class Elements:
    """A tensor of BYTES: texts from JSON, bytes from the binary part."""

    values: list[Any]
    shape: list[int]


def tensor_metadata(tensor: Tensor) -> dict[str, Any]:
    """Name, datatype and shape of a tensor; a dynamic axis is -1."""
    shape = [-1 if isinstance(d, str) else d for d in tensor.shape]
    datatype = NAMES.get(str(tensor.dtype), "BYTES")
    return {"name": tensor.name, "datatype": datatype, "shape": shape}


def decode_v2(
    body: bytes, headers: Headers, manifest: Manifest, preprocessor: Preprocessor | None
) -> tuple[Decoded, Asked]:
    """The feed of a request, and what is asked back.

    Raises:
        BadRequest: a malformed request; ``field`` names the input.
    """
    length = headers.get(LENGTH)
    if length is None:
        value, binary = _json.loads(body), memoryview(b"")
    else:
        size = whole(length)
        if size is None or size > len(body):
            raise BadRequest("Inference-Header-Content-Length is wrong.", field=LENGTH)
        value, binary = _json.loads(body[:size]), memoryview(body)[size:]
    if not isinstance(value, dict) or not isinstance(value.get("inputs"), list):
        raise BadRequest("The request must be an object with a list 'inputs'.", field="inputs")
    return decode_tensors(value["inputs"], binary, manifest, preprocessor), _asked(value)


def decode_tensors(
    tensors: list[Any], binary: memoryview, manifest: Manifest, preprocessor: Preprocessor | None
) -> Decoded:
    """The feed in a list of V2 tensors; one of BYTES is read by the model's preprocessing."""
    feed: dict[str, Any] = {}
    for item in tensors:
        name, values, binary = _tensor(item, binary)
        if name in feed:
            raise BadRequest(f"The input '{shown(name)}' is given twice.", field=shown(name))
        feed[name] = values
    if len(binary):
        raise BadRequest(f"{len(binary)} bytes follow the last binary tensor.")
    if preprocessor is not None and len(feed) == 1:
        only = next(iter(feed.values()))
        if isinstance(only, Elements):
            return _decoded.from_samples(_samples(only, preprocessor), "inputs", preprocessor)
    for name, values in feed.items():
        if isinstance(values, Elements):
            feed[name] = _texts(values, name, manifest, preprocessor)
    return _decoded.from_arrays(feed, "inputs")


def _texts(
    values: Elements, name: str, manifest: Manifest, preprocessor: Preprocessor | None
) -> Any:
    """BYTES as they are, for a model that has an input of texts."""
    if preprocessor is not None:
        raise BadRequest("BYTES must be the only input.", field=shown(name))
    if not any(t.name == name and t.dtype.kind in "OUS" for t in manifest.inputs):
        raise BadRequest("The model does not read BYTES.", field=shown(name))
    texts = [v if isinstance(v, str) else _decoded.utf8(v) for v in values.values]
    return np.array(texts, object).reshape(values.shape)


def _tensor(item: Any, binary: memoryview) -> tuple[str, Any, memoryview]:
    """Name, values (``Elements`` for BYTES, else an array) and what is left of the binary part."""
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise BadRequest("An input must be an object with a name.", field="inputs")
    name, shape, datatype = item["name"], item.get("shape"), item.get("datatype")
    where = shown(name)
    if (
        not isinstance(shape, list)
        or len(shape) > 32
        or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in shape)
    ):
        raise BadRequest("'shape' must be a list of positive whole numbers.", field=where)
    if datatype != "BYTES" and (not isinstance(datatype, str) or datatype not in DTYPES):
        raise BadRequest(f"'datatype' must be BYTES or one of {', '.join(DTYPES)}.", field=where)
    parameters = item.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None:
        return name, _from_json(item.get("data"), shape, datatype, where), binary
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(binary):
        raise BadRequest("'binary_data_size' is not what follows.", field=where)
    return name, _from_binary(binary[:size], shape, datatype, where), binary[size:]


def _from_json(data: Any, shape: list[int], datatype: str, where: str) -> Any:
    if not isinstance(data, list):
        raise BadRequest("'data' must be a list.", field=where)
    if datatype == "BYTES":
        if len(data) != math.prod(shape) or not all(isinstance(text, str) for text in data):
            raise BadRequest("'data' must be texts, as many as 'shape' says.", field=where)
        return Elements(data, shape)
    values = _decoded.array(data, Tensor(where, DTYPES[datatype], tuple(shape)))
    if values.size != math.prod(shape):
        raise BadRequest(f"'data' has {values.size} values, 'shape' says {math.prod(shape)}.",
                         field=where)  # fmt: skip
    return values.reshape(shape)


def _from_binary(data: memoryview, shape: list[int], datatype: str, where: str) -> Any:
    if datatype == "BYTES":
        return Elements(_elements(data, math.prod(shape), where), shape)
    dtype = DTYPES[datatype]
    if math.prod(shape) * dtype.itemsize != len(data):
        raise BadRequest(f"'shape' wants {math.prod(shape) * dtype.itemsize} bytes, "
                         f"'binary_data_size' is {len(data)}.", field=where)  # fmt: skip
    values = _decoded.from_buffer(data, dtype, 0, where).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _elements(data: memoryview, count: int, where: str) -> list[bytes]:
    found: list[bytes] = []
    while len(data) >= 4:
        (size,) = struct.unpack_from("<I", data)
        if size > len(data) - 4:
            raise BadRequest("A BYTES element is longer than its tensor.", field=where)
        found.append(bytes(data[4 : 4 + size]))
        data = data[4 + size :]
    if len(data) or len(found) != count:
        raise BadRequest(f"The tensor has {len(found)} elements, 'shape' says {count}.",
                         field=where)  # fmt: skip
    return found


def _samples(elements: Elements, preprocessor: Preprocessor) -> list[Any]:
    if preprocessor.kind == "text":
        return [v if isinstance(v, str) else _decoded.utf8(v) for v in elements.values]
    return [v.encode() if isinstance(v, str) else v for v in elements.values]


def _asked(value: dict[str, Any]) -> Asked:
    outputs = value.get("outputs") or []
    identifier = value.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise BadRequest("'id' must be a text.", field="id")
    if not isinstance(outputs, list) or not all(
        isinstance(o, dict) and isinstance(o.get("name"), str) for o in outputs
    ):
        raise BadRequest("'outputs' must be a list of objects with a name.", field="outputs")
    binary = _flag(value, "binary_data_output")
    wanted = {o["name"]: _flag(o, "binary_data") for o in outputs}
    return Asked(identifier, wanted, binary)


def _flag(item: dict[str, Any], name: str) -> bool:
    parameters = item.get("parameters")
    return isinstance(parameters, dict) and parameters.get(name) is True


def check_asked(asked: Asked, manifest: Manifest) -> None:
    """Refuse outputs that the model does not have, before it runs.

    Raises:
        BadRequest: an unknown output.
    """
    names = [tensor.name for tensor in manifest.outputs]
    for name in asked.outputs:
        if name not in names:
            raise BadRequest(f"The model has no output '{shown(name)}'; it has {', '.join(names)}.",
                             field=shown(name))  # fmt: skip


def encode_v2(outputs: Feed, asked: Asked, model: str) -> tuple[bytes, list[tuple[str, str]]]:
    """Body and headers of the answer: JSON, followed by the tensors that were asked as binary."""
    wanted = asked.outputs or dict.fromkeys(outputs, asked.binary)
    tensors, parts = [], []
    for name, binary in wanted.items():
        values = outputs[name]
        tensor: dict[str, Any] = {
            "name": name,
            "datatype": NAMES.get(str(values.dtype), "BYTES"),
            "shape": list(values.shape),
        }
        if binary and values.dtype.kind in "biuf":
            content = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
            tensor["parameters"] = {"binary_data_size": len(content)}
            parts.append(content)
        else:
            tensor["data"] = _json.plain_array(values.ravel())
        tensors.append(tensor)
    answer: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": tensors}
    if asked.id is not None:
        answer["id"] = asked.id
    head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if not parts:
        return head, [("content-type", "application/json")]
    headers = [
        ("content-type", "application/octet-stream"),
        ("inference-header-content-length", str(len(head))),
    ]
    return head + b"".join(parts), headers
