"""Small models whose answers tell which of them answered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from workbench.artifact import Artifact, seal
from workbench.records import Manifest, Signature, TensorSpec
from workbench.serving import pack_artifact


def make_artifact(folder: Path, constant: float) -> Artifact:
    """``y = x + constant``; x is float32[batch, 2]. 4 MB of weights make memory matter."""
    folder.mkdir(parents=True)
    ballast = np.full(1024 * 1024, constant, np.float32)
    nodes = [
        # The index depends on x, so that the weights are not folded away on loading.
        helper.make_node("Sub", ["x", "x"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["zero"], keepdims=0),
        helper.make_node("Cast", ["zero"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["ballast", "index"], ["top"]),
        helper.make_node("Add", ["x", "top"], ["y"]),
    ]
    shape = ["batch", 2]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(ballast, "ballast")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    signature = Signature(
        inputs=(TensorSpec(name="x", dtype="float32", shape=("batch", 2)),),
        outputs=(TensorSpec(name="y", dtype="float32", shape=("batch", 2)),),
    )
    name = f"plus-{constant:g}"
    manifest = Manifest(name=name, format="onnx", model_file="model.onnx", signature=signature)
    return seal(folder, manifest)


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six archives, ``plus-0.tar.gz`` to ``plus-5.tar.gz``."""
    root = tmp_path_factory.mktemp("portfolio")
    (root / "archives").mkdir()
    for number in range(6):
        artifact = make_artifact(root / "models" / str(number), float(number))
        pack_artifact(artifact, root / "archives" / f"plus-{number}.tar.gz")
    return root / "archives"
