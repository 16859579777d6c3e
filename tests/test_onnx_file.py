"""External data of an ONNX file, wherever in the model it is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from workbench.errors import ModelError
from workbench.onnx_file import external_locations, external_names


def outside(name: str, location: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def graph(name: str, tensor: TensorProto) -> onnx.GraphProto:
    y = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, [4])
    node = helper.make_node("Identity", [tensor.name], [f"{name}_y"])
    return helper.make_graph([node], name, [], [y], [tensor])


def model(*places: str) -> onnx.ModelProto:
    """Weights in the graph, in a Constant, in a branch of an If, and in a function."""
    top, constant, branch, function = places
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    nodes = [
        helper.make_node("Constant", [], ["k"], value=outside("k", constant)),
        helper.make_node(
            "If", ["c"], ["y"],
            then_branch=graph("then", outside("t", branch)),
            else_branch=graph("else", numpy_helper.from_array(np.zeros(4, np.float32), "e")),
        ),
    ]  # fmt: skip
    made = helper.make_graph(nodes, "g", [condition], [y], [outside("w", top)])
    body = [helper.make_node("Constant", [], ["o"], value=outside("f", function))]
    own = helper.make_function("mine", "F", [], ["o"], body, [helper.make_opsetid("", 18)])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], functions=[own])


def test_every_place_is_found_once() -> None:
    assert external_names(model("w.bin", "k.bin", "t.bin", "w.bin")) == ["k.bin", "t.bin", "w.bin"]


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("location", ["../secret", "/etc/passwd"])
def test_a_file_outside_the_folder_is_refused_wherever_it_is_named(
    tmp_path: Path, place: int, location: str
) -> None:
    names = ["w.bin"] * 4
    (tmp_path / "w.bin").write_bytes(bytes(16))
    names[place] = location
    path = tmp_path / "model.onnx"
    path.write_bytes(model(*names).SerializeToString())
    with pytest.raises(ModelError, match="outside its folder"):
        external_locations(path)
