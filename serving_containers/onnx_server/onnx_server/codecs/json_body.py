"""``application/json``: ``{"instances": [...]}``, ``{"inputs": {...}}``, columns, or a bare list.

- ``instances``: one entry a row: a value or list, an object by input name, a text or a pair of
  texts for text models, ``{"b64": "..."}`` for models that read images or file contents. Answered
  as ``{"predictions": [...]}``.
- ``inputs``: arrays by input name, each with the rows along the first axis; for text models a text
  or a list of texts. Answered as ``{"outputs": {name: [...]}}``.
- ``columns`` and ``data``: names and rows, as pandas writes with ``orient="split"``.
- NaN and infinity in an answer become ``null``: JSON has no name for them.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from onnx_server.checks import check_names
from onnx_server.codecs import _decoded, _json, v2
from onnx_server.codecs._decoded import Decoded, Feed
from onnx_server.errors import BadRequest
from onnx_server.manifest import Manifest
from onnx_server.preprocess import Preprocessor

MEDIA = ("application/json",)


def decode(body: bytes, manifest: Manifest, preprocessor: Preprocessor | None) -> Decoded:
    """See the module."""
    return decode_value(_json.loads(body), manifest, preprocessor)


def decode_value(value: Any, manifest: Manifest, preprocessor: Preprocessor | None) -> Decoded:
    """The feed in a JSON value."""
    if isinstance(value, list):
        value = {"instances": value}
    if not isinstance(value, dict):
        raise BadRequest('The body must be a list or an object such as {"instances": [...]}.')
    if "instances" in value:
        return _instances(value["instances"], manifest, preprocessor, "instances")
    if "inputs" in value:
        return _inputs(value["inputs"], manifest, preprocessor)
    if "columns" in value and "data" in value:
        return _columns(value["columns"], value["data"], manifest)
    raise BadRequest("The body has neither 'instances' nor 'inputs' nor 'columns' and 'data'.")


def _instances(
    value: Any, manifest: Manifest, preprocessor: Preprocessor | None, form: str
) -> Decoded:
    if not isinstance(value, list):
        raise BadRequest("'instances' must be a list.", field="instances")
    if preprocessor is not None and not _ready_made(value, manifest):
        samples = [_sample(item, preprocessor, index) for index, item in enumerate(value)]
        return _decoded.from_samples(samples, form, preprocessor)
    return _decoded.from_arrays(_decoded.rows_of(value, manifest), form)


def _ready_made(value: list[Any], manifest: Manifest) -> bool:
    """Whether the rows are arrays already, although the model has preprocessing."""
    if not value:
        return False
    first = value[0]
    if isinstance(first, dict):
        return bool({tensor.name for tensor in manifest.inputs} & set(first))
    while isinstance(first, list) and first:
        first = first[0]
    return isinstance(first, int | float) and not isinstance(first, bool)


def _sample(item: Any, preprocessor: Preprocessor, index: int) -> Any:
    if preprocessor.kind == "text":
        if isinstance(item, str):
            return item
        if isinstance(item, list) and len(item) == 2 and all(isinstance(x, str) for x in item):
            return (item[0], item[1])
        raise BadRequest(f"Instance {index} must be a text or a pair of texts.", field=str(index))
    if isinstance(item, dict) and isinstance(item.get("b64"), str):
        try:
            return base64.b64decode(item["b64"], validate=True)
        except (binascii.Error, ValueError):
            raise BadRequest(f"Instance {index} is not base64.", field=str(index)) from None
    if preprocessor.kind == "bytes" and isinstance(item, str):
        return item.encode()
    raise BadRequest(f'Instance {index} must be {{"b64": "..."}}.', field=str(index))


def _inputs(value: Any, manifest: Manifest, preprocessor: Preprocessor | None) -> Decoded:
    if _decoded.wants_text(preprocessor) and isinstance(value, str):
        value = [value]
    if isinstance(value, dict):
        check_names(value, manifest.inputs)
        feed = {t.name: _decoded.array(value[t.name], t) for t in manifest.inputs}
        return _decoded.from_arrays(feed, "inputs")
    if isinstance(value, list) and value and isinstance(value[0], dict) and "datatype" in value[0]:
        return v2.decode_tensors(value, memoryview(b""), manifest, preprocessor)
    if isinstance(value, list):
        return _instances(value, manifest, preprocessor, "inputs")
    raise BadRequest("'inputs' must be an object by input name, or a list.", field="inputs")


def _columns(columns: Any, data: Any, manifest: Manifest) -> Decoded:
    if not isinstance(columns, list) or not all(isinstance(c, str) for c in columns):
        raise BadRequest("'columns' must be a list of names.", field="columns")
    if not isinstance(data, list) or not data or not all(isinstance(row, list) for row in data):
        raise BadRequest("'data' must be a list of rows.", field="data")
    wrong = next((i for i, row in enumerate(data) if len(row) != len(columns)), None)
    if wrong is not None:
        raise BadRequest(f"Row {wrong} has {len(data[wrong])} values for {len(columns)} columns.",
                         field="data")  # fmt: skip
    if set(columns) == {tensor.name for tensor in manifest.inputs}:
        rows = [dict(zip(columns, row, strict=True)) for row in data]
        return _decoded.from_arrays(_decoded.rows_of(rows, manifest), "instances")
    return _decoded.from_arrays(_decoded.rows_of(data, manifest), "instances")


def encode(outputs: Feed, form: str, manifest: Manifest) -> bytes:
    """Row by row for rows that came so, else by output name; labels of a classifier beside them.

    Outputs that do not have a row each for each row are given by name however the rows came.
    """
    option = orjson.OPT_SERIALIZE_NUMPY
    if form == "inputs" or not _json.has_rows(outputs):
        plain = {name: _json.plain_array(array) for name, array in outputs.items()}
        parts = [b'{"outputs":', orjson.dumps(plain, option=option)]
    elif len(outputs) == 1:
        only = _json.plain_array(next(iter(outputs.values())))
        parts = [b'{"predictions":', orjson.dumps(only, option=option)]
    else:
        parts = [b'{"predictions":[', b",".join(_json.rows(outputs)), b"]"]
    if (labels := best_labels(outputs, manifest)) is not None:
        parts += [b',"labels":', orjson.dumps(labels)]
    return b"".join([*parts, b"}"])


def best_labels(outputs: Feed, manifest: Manifest) -> list[str] | None:
    """The label of each row's largest value, for a classifier with one output of scores."""
    if manifest.labels is None or len(outputs) != 1:
        return None
    scores = next(iter(outputs.values()))
    if scores.ndim != 2 or scores.shape[1] != len(manifest.labels):
        return None
    return [manifest.labels[index] for index in scores.argmax(1)]
