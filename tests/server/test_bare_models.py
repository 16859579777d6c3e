"""A model without a manifest is served by what its graph says."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.server.models import write_linear


@pytest.fixture
def bare(tmp_path):
    folder = write_linear(tmp_path / "v1.2", factor=3)
    (folder / "manifest.json").unlink()
    return folder


def ask(server):
    return server.json("POST", "/invocations", {"instances": [[1, 2, 3, 4]]})


def test_a_folder_with_one_onnx_file_is_served(serve, bare):
    server = serve("--model", bare)
    assert ask(server) == (200, {"predictions": [[3, 6, 9, 12]]})
    status, said = server.json("GET", "/v2/models/v1.2")
    assert status == 200
    assert said["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert said["properties"]["batches"]


def test_an_onnx_file_is_served(serve, bare):
    assert ask(serve("--model", bare / "model.onnx"))[0] == 200


def test_a_wrong_body_is_refused_by_the_graphs_own_signature(serve, bare):
    server = serve("--model", bare)
    status, body = server.json("POST", "/invocations", {"instances": [[1, 2]]})
    assert status == 400
    assert "wants float32[batch, 4]" in body["error"]


def test_several_onnx_files_without_a_manifest_end_the_server_with_the_reason(serve, bare):
    shutil.copy(bare / "model.onnx", bare / "other.onnx")
    server = serve("--model", bare, wait=False)
    assert server.process.wait(20) == 3
    assert "several .onnx files" in server.log.read_text()


def test_unnamed_axes_are_free(serve, tmp_path):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        "g",
        [value("a", TensorProto.FLOAT, [None, None]), value("b", TensorProto.FLOAT, [None, None])],
        [value("y", TensorProto.FLOAT, [None, None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "add.onnx")
    server = serve("--model", tmp_path / "add.onnx")
    inputs = {"a": [[1, 2, 3]], "b": [[10, 20, 30]]}
    status, body = server.json("POST", "/invocations", {"inputs": inputs})
    assert status == 200
    assert np.array_equal(body["outputs"]["y"], [[11, 22, 33]])


def test_a_cuda_provider_that_does_not_start_is_refused_and_not_replaced(bare, monkeypatch):
    import onnxruntime
    from onnx_server.errors import InvalidModel
    from onnx_server.manifest import read_manifest
    from onnx_server.model import load

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(InvalidModel, match="no CUDA provider"):
        load(read_manifest(bare), threads=1, device="cuda", max_batch=1)
    # As onnxruntime-gpu on a machine without a GPU: it has the provider, and goes on without it.
    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    with (
        pytest.warns(UserWarning, match="CUDA"),
        pytest.raises(InvalidModel, match="does not start here"),
    ):
        load(read_manifest(bare), threads=1, device="cuda", max_batch=1)
