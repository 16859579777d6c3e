"""Small real ONNX models with a manifest, built in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_linear(folder: Path, *, factor: float = 1.0, width: int = 4, rows: int | str = "batch"):
    """y = factor * x for float32[rows, width]; the answer tells which model gave it."""
    weight = numpy_helper.from_array(np.eye(width, dtype=np.float32) * factor, "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    return _write(folder, nodes, [weight], rows, width)


def write_whole_batch_scaled(folder: Path, *, width: int = 4):
    """Rows are divided by the batch's largest value: a row's answer depends on its neighbours."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Div", ["x", "m"], ["y"]),
    ]
    return _write(folder, nodes, [], "batch", width)


def write_heavy(folder: Path, *, width: int = 1024, depth: int = 24):
    """A chain of products that takes tens of milliseconds a row."""
    draw = np.random.default_rng(0)
    names = ["x", *(f"h{i}" for i in range(depth - 1)), "y"]
    nodes, weights = [], []
    for i in range(depth):
        value = (draw.standard_normal((width, width)) / np.sqrt(width)).astype(np.float32)
        weights.append(numpy_helper.from_array(value, f"w{i}"))
        nodes.append(helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]]))
    return _write(folder, nodes, weights, "batch", width)


def _write(folder: Path, nodes, weights, rows: int | str, width: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, width])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, width])
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, folder / "model.onnx")
    manifest = {
        "schema_version": 1,
        "name": folder.name,
        "format": "onnx",
        "model_file": "model.onnx",
        "signature": {
            "inputs": [{"name": "x", "dtype": "float32", "shape": [rows, width]}],
            "outputs": [{"name": "y", "dtype": "float32", "shape": [rows, width]}],
        },
        "files": {},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
