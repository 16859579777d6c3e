"""A small model of each kind that the server knows, with a request that it answers rightly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.server.models import write_linear
from tests.server.test_preprocess import png, words

TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
    "object": TensorProto.STRING,
}
PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)

Tensors = dict[str, tuple[str, list[Any]]]


@dataclass(frozen=True)
class Good:
    """A request whose answer is known."""

    body: bytes
    media: str
    answer: Any


def numbers(folder: Path) -> Good:
    """y = 3 x, float32[batch, 4]."""
    write_linear(folder, factor=3.0)
    body = b'{"instances": [[1, 2, 3, 4]]}'
    return Good(body, "application/json", {"predictions": [[3.0, 6.0, 9.0, 12.0]]})


def fixed(folder: Path) -> Good:
    """The same for exactly two rows at a time."""
    write_linear(folder, factor=3.0, rows=2)
    body = b'{"instances": [[1, 2, 3, 4], [0, 0, 0, 1]]}'
    rows = [[3.0, 6.0, 9.0, 12.0], [0.0, 0.0, 0.0, 3.0]]
    return Good(body, "application/json", {"predictions": rows})


def ids(folder: Path) -> Good:
    """Token ids, of which the vocabulary has six; no tokenizer."""
    table = np.arange(12, dtype=np.float32).reshape(6, 2)
    write(
        folder,
        [_node("Gather", "w ids", "e"), _node("ReduceSum", "e axis", "y", keepdims=0)],
        {"w": table, "axis": np.array([1])},
        {"ids": ("int64", ["batch", "sequence"])},
        {"y": ("float32", ["batch", 2])},
    )
    return Good(b'{"instances": [[1, 5]]}', "application/json", {"predictions": [[12.0, 14.0]]})


def text(folder: Path) -> Good:
    """A tokenizer of a few words, and the sum of their rows in a table."""
    folder.mkdir(parents=True)
    words(folder)
    table = np.arange(12, dtype=np.float32).reshape(6, 2)
    write(
        folder,
        [
            _node("Gather", "w input_ids", "e"),
            _node("Unsqueeze", "attention_mask last", "m"),
            _node("Cast", "m", "f", to=TensorProto.FLOAT),
            _node("Mul", "e f", "k"),
            _node("ReduceSum", "k axis", "y", keepdims=0),
        ],
        {"w": table, "axis": np.array([1]), "last": np.array([-1])},
        {name: ("int64", ["batch", "sequence"]) for name in ("input_ids", "attention_mask")},
        {"y": ("float32", ["batch", 2])},
        {"kind": "text", "max_length": 16},
    )
    # a, b and [SEP] are 3, 4 and 2
    return Good(b"a b", "text/plain", {"predictions": [[18.0, 21.0]]})


def image(folder: Path) -> Good:
    """Grey images of 4 × 4 after resizing to 4; the mean of a constant one is known."""
    write(
        folder,
        [_node("ReduceMean", "image", "y", axes=[2, 3], keepdims=0)],
        {},
        {"image": ("float32", ["batch", 1, 4, 4])},
        {"y": ("float32", ["batch", 1])},
        {"kind": "image", "size": [4, 4], "resize": 4, "mean": [10.0], "std": [2.0],
         "channels": "L"},
    )  # fmt: skip
    body = png(np.full((8, 8), 30, np.uint8))
    return Good(body, "image/png", {"predictions": [[10.0]]})


def contents(folder: Path) -> Good:
    """The first and last four bytes of a file, added up."""
    write(
        folder,
        [
            _node("Cast", "bytes", "f", to=TensorProto.FLOAT),
            _node("ReduceSum", "f axis", "y", keepdims=1),
        ],
        {"axis": np.array([1])},
        {"bytes": ("int32", ["batch", 8])},
        {"y": ("float32", ["batch", 1])},
        {"kind": "bytes", "begin": 4, "end": 4, "block": 16, "padding": 256},
    )
    return Good(b"\1\2\3\4", "application/octet-stream", {"predictions": [[1044 - 1024 + 0.0]]})


def mixed(folder: Path) -> Good:
    """Inputs of many types, and outputs of them that have no row for each row."""
    write(
        folder,
        [
            _node("Identity", "whole", "same"),
            _node("Identity", "word", "words"),
            _node("NonZero", "flag", "where"),
            _node("Identity", "half", "halves"),
            _node("Not", "flag", "flags"),
        ],
        {},
        {
            "whole": ("int64", ["batch"]),
            "half": ("float16", ["batch", "width"]),
            "flag": ("bool", ["batch"]),
            "word": ("object", ["batch"]),
        },
        {
            "same": ("int64", ["batch"]),
            "words": ("object", ["batch"]),
            "where": ("int64", [1, "found"]),
            "halves": ("float16", ["batch", "width"]),
            "flags": ("bool", ["batch"]),
        },
    )
    feed = {"whole": [7], "half": [[1, 2]], "flag": [True], "word": ["a"]}
    answer = {"same": [7], "words": ["a"], "where": [[0]], "halves": [[1.0, 2.0]],
              "flags": [False]}  # fmt: skip
    return Good(json.dumps({"inputs": feed}).encode(), "application/json", {"outputs": answer})


def scalar(folder: Path) -> Good:
    """One number in, one number out, with no axis at all."""
    write(
        folder,
        [_node("Add", "x x", "y")],
        {},
        {"x": ("float32", [])},
        {"y": ("float32", [])},
    )
    return Good(b'{"inputs": {"x": 4}}', "application/json", {"outputs": {"y": 8.0}})


def write(
    folder: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    inputs: Tensors,
    outputs: Tensors,
    preprocess: dict[str, Any] | None = None,
) -> None:
    """A model of these nodes with its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, TYPES[t], s) for n, (t, s) in inputs.items()],
        [helper.make_tensor_value_info(n, TYPES[t], s) for n, (t, s) in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, folder / "model.onnx")
    manifest = {
        "schema_version": 1,
        "name": folder.name,
        "format": "onnx",
        "model_file": "model.onnx",
        "signature": {"inputs": _signature(inputs), "outputs": _signature(outputs)},
        "files": {},
        "preprocess": preprocess,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _signature(tensors: Tensors) -> list[dict[str, Any]]:
    return [{"name": n, "dtype": t, "shape": s} for n, (t, s) in tensors.items()]


def _node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], **attributes)
