"""The models of the benchmark, one sample for each, and the right answer to it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TEXT = "A quick brown fox jumps over the lazy dog near the river bank."
FEATURES, CLASSES = 4, 3


@dataclass(frozen=True)
class Model:
    """A folder with ``manifest.json``, a sample, and the size of its ONNX file in bytes."""

    folder: Path
    sample: Any
    size_bytes: int


def tiny(folder: Path) -> Model:
    """float32 ``[batch, 4]`` → Gemm → Softmax → float32 ``[batch, 3]``: negligible compute."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    weight = random.standard_normal((FEATURES, CLASSES)).astype(np.float32)
    bias = random.standard_normal(CLASSES).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "weight", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", FEATURES])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    size = (folder / "model.onnx").stat().st_size
    manifest = {
        "schema_version": 1,
        "name": "tiny",
        "format": "onnx",
        "model_file": "model.onnx",
        "signature": {
            "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", FEATURES]}],
            "outputs": [{"name": "probabilities", "dtype": "float32", "shape": ["batch", CLASSES]}],
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Model(folder, [5.1, 3.5, 1.4, 0.2], size)


def text_model(artifact: Path, folder: Path) -> Model:
    """A copy of a text artifact of the workbench, asked for one sentence of 16 tokens."""
    shutil.copytree(artifact, folder)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    if (manifest.get("preprocess") or {}).get("kind") != "text":
        raise SystemExit(f"{artifact} is not a text model's artifact.")
    return Model(folder, TEXT, (folder / manifest["model_file"]).stat().st_size)
