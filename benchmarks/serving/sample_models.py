"""The models of the benchmark, and one sample for each."""

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
LONG_TEXT = " ".join([TEXT] * 20)
"""More than the 256 tokens that MiniLM reads: the slowest single text there is."""
FEATURES, CLASSES = 4, 3
ROW = [5.1, 3.5, 1.4, 0.2]


@dataclass(frozen=True)
class Model:
    """A folder with ``manifest.json``, and a sample; ``slow`` is one that takes long."""

    folder: Path
    sample: Any
    slow: Any = None


def tiny(folder: Path, seed: int = 0) -> Model:
    """float32 ``[batch, 4]`` → Gemm → Softmax → float32 ``[batch, 3]``: negligible compute."""
    folder.mkdir(parents=True)
    weight, bias = _weights(seed)
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
    manifest = {
        "schema_version": 1,
        "name": f"tiny-{seed}",
        "format": "onnx",
        "model_file": "model.onnx",
        "signature": {
            "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", FEATURES]}],
            "outputs": [{"name": "probabilities", "dtype": "float32", "shape": ["batch", CLASSES]}],
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Model(folder, ROW)


def tiny_answer(seed: int) -> np.ndarray:
    """What the tiny model of a seed must answer to its sample, computed without onnxruntime."""
    weight, bias = _weights(seed)
    logits = np.array(ROW) @ weight.astype(np.float64) + bias
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def text_model(artifact: Path, folder: Path) -> Model:
    """A copy of a text artifact of the workbench, asked for one sentence of 16 tokens."""
    if not (artifact / "manifest.json").is_file():
        raise SystemExit(f"{artifact} is no artifact; give the folder of MiniLM int8 as --minilm.")
    shutil.copytree(artifact, folder)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    if (manifest.get("preprocess") or {}).get("kind") != "text":
        raise SystemExit(f"{artifact} is not a text model's artifact.")
    return Model(folder, TEXT, LONG_TEXT)


def _weights(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    weight = random.standard_normal((FEATURES, CLASSES)).astype(np.float32)
    return weight, random.standard_normal(CLASSES).astype(np.float32)
