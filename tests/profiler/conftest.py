"""Tiny ONNX graphs whose figures are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a graph of nodes, inputs (name → shape), outputs and constants as an ONNX file."""

    def write(
        name: str,
        nodes: list[Any],
        inputs: dict[str, list[Any]],
        constants: dict[str, Any],
        *,
        outputs: tuple[str, ...] = ("y",),
        dtypes: dict[str, int] | None = None,
        external: bool = False,
        opset: int = 17,
    ) -> Path:
        kinds = dtypes or {}
        graph = helper.make_graph(
            nodes,
            "g",
            [
                helper.make_tensor_value_info(k, kinds.get(k, TensorProto.FLOAT), shape)
                for k, shape in inputs.items()
            ],
            [
                helper.make_tensor_value_info(o, kinds.get(o, TensorProto.FLOAT), None)
                for o in outputs
            ],
            [
                c if isinstance(c, onnx.TensorProto) else numpy_helper.from_array(c, k)
                for k, c in constants.items()
            ],
        )
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        path = tmp_path / f"{name}.onnx"
        if external:
            onnx.save(
                model, path, save_as_external_data=True, location=f"{name}.bin", size_threshold=0
            )
        else:
            onnx.save(model, path)
        return path

    return write


@pytest.fixture
def chain(save: Save) -> Callable[..., Path]:
    """A model of so many square matrix products, [batch, width] → [batch, width]."""

    def write(name: str, layers: int, width: int = 64, **options: Any) -> Path:
        random = np.random.default_rng(0)
        weights = {
            f"w{i}": (random.standard_normal((width, width)) / width**0.5).astype(np.float32)
            for i in range(layers)
        }
        names = ["x", *(f"h{i}" for i in range(1, layers)), "y"]
        nodes = [
            helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]], name=f"m{i}")
            for i in range(layers)
        ]
        return save(name, nodes, {"x": ["batch", width]}, weights, **options)

    return write
