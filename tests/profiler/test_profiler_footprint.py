"""Size, parameters, sparsity and multiply-accumulates of graphs whose figures are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from workbench.artifact import seal
from workbench.errors import ModelError
from workbench.profiler import measure_footprint, measure_macs, read_signature
from workbench.profiler.footprint import files_of
from workbench.profiler.graph import read_model
from workbench.profiler.weights import constants, sparsity
from workbench.records import Manifest

Save = Callable[..., Path]
MS = "com.microsoft"


def counted(path: Path) -> tuple[int, float]:
    """Parameters and sparsity, without running the model."""
    weights = [c for c in constants(read_model(path)) if c.weight]
    return sum(w.elements for w in weights), sparsity(weights, path.parent)


def macs(path: Path, **sizes: int) -> int | None:
    return measure_macs(path, sizes=sizes)


def test_a_chain_of_products_is_counted_exactly(chain: Save) -> None:
    path = chain("a", 3, 64)
    footprint = measure_footprint(path, sizes={"batch": 8})
    assert footprint.macs == 3 * 64 * 64  # of one sample
    assert footprint.parameters == 3 * 64 * 64
    assert footprint.sparsity == 0
    assert footprint.size_bytes == footprint.model_bytes == path.stat().st_size
    assert footprint.load_ms is not None
    assert footprint.load_ms.n >= 5
    assert footprint.load_ms.low > 0


def test_the_peak_grows_with_the_weights(chain: Save) -> None:
    path = chain("large", 2, 2048)  # 33.6 MB
    peak = measure_footprint(path, sizes={}).peak_memory_bytes
    if not Path("/proc/self/clear_refs").exists():
        assert peak is None
        return
    assert peak is not None
    assert 30e6 < peak < 200e6


def test_weights_in_another_file_count(chain: Save) -> None:
    path = chain("a", 2, 64, external=True)
    footprint = measure_footprint(path, sizes={})
    assert footprint.model_bytes == path.stat().st_size + (path.parent / "a.bin").stat().st_size
    assert footprint.parameters == 2 * 64 * 64


def test_missing_weights_are_named(chain: Save) -> None:
    path = chain("a", 2, 64, external=True)
    (path.parent / "a.bin").unlink()
    with pytest.raises(ModelError, match=r"keeps weights in 'a\.bin', which is missing"):
        measure_footprint(path, sizes={})


def test_an_artifact_counts_all_its_files(chain: Save) -> None:
    path = chain("model", 1, 64)
    (path.parent / "tokenizer.json").write_text("x" * 5000)
    manifest = Manifest(
        name="m", format="onnx", model_file="model.onnx", signature=read_signature(path)
    )
    artifact = seal(path.parent, manifest)
    whole = path.stat().st_size + 5000
    assert [files_of(given) for given in (artifact, path.parent, path)] == [(path, whole)] * 3
    footprint = measure_footprint(artifact, sizes={})
    assert (footprint.model_bytes, footprint.size_bytes) == (whole - 5000, whole)


def test_convolutions_are_counted_exactly(save: Save) -> None:
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], group=2, strides=[2, 2], pads=[1] * 4)
    weights = {"w": np.ones((8, 2, 3, 3), np.float32), "b": np.zeros(8, np.float32)}
    path = save("conv", [node], {"x": ["batch", 4, 16, 16]}, weights)
    assert macs(path) == 8 * 8 * 8 * (2 * 3 * 3)
    assert counted(path) == (8 * 2 * 9 + 8, 8 / (8 * 2 * 9 + 8))


def test_gemm_is_counted_exactly_whichever_way_it_is_turned(save: Save) -> None:
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)
    weights = {"w": np.ones((10, 32), np.float32), "b": np.ones(10, np.float32)}
    assert macs(save("gemm", [node], {"x": ["batch", 32]}, weights)) == 320


def test_sequences_and_batched_products_are_counted_at_the_given_sizes(save: Save) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "t"], ["y"]),
    ]
    path = save("scores", nodes, {"x": ["batch", "sequence", 16]}, {})
    assert macs(path, batch=4, sequence=10) == 10 * 10 * 16


def test_recurrent_layers_are_counted_by_steps(save: Save) -> None:
    node = helper.make_node("LSTM", ["x", "w", "r"], ["", "y"], hidden_size=5)
    weights = {"w": np.ones((1, 20, 3), np.float32), "r": np.ones((1, 20, 5), np.float32)}
    path = save("lstm", [node], {"x": [7, 1, 3]}, weights)
    assert macs(path) == 7 * (20 * 3 + 20 * 5)


def test_fused_attention_is_counted_with_its_projection(save: Save) -> None:
    node = helper.make_node("Attention", ["x", "w", "b"], ["y"], domain=MS, num_heads=2)
    weights = {"w": np.ones((8, 24), np.float32), "b": np.ones(24, np.float32)}
    path = save("attention", [node], {"x": ["batch", "sequence", 8]}, weights)
    assert macs(path, sequence=6) == 6 * 8 * 24 + 2 * 6 * 6 * 8


def test_a_loop_counts_every_turn(save: Save) -> None:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still"]),
            helper.make_node("MatMul", ["h", "w"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("h", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
        [numpy_helper.from_array(np.ones((4, 4), np.float32), "w")],
    )
    node = helper.make_node("Loop", ["turns", "yes", "x"], ["y"], body=body)
    given = {"turns": np.array(5), "yes": np.array(True)}
    path = save("loop", [node], {"x": ["batch", 4]}, given)
    assert macs(path) == 5 * 16
    assert counted(path)[0] == 16


def test_of_given_inputs_the_first_sample_is_counted(save: Save) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "t"], ["y"]),
    ]
    path = save("given", nodes, {"x": ["batch", "sequence", 16]}, {})
    feed = {"x": np.zeros((3, 5, 16), np.float32)}
    assert measure_macs(path, sizes={}, feed=feed) == 5 * 5 * 16


def test_an_operator_without_a_rule_makes_the_count_none(save: Save) -> None:
    nodes = [helper.make_node("Inverse", ["x"], ["y"], domain=MS)]
    assert macs(save("inverse", nodes, {"x": [4, 4]}, {})) is None


def quantized(zero: Any, dtype: Any = np.uint8, axis: int = 1) -> dict[str, Any]:
    values = np.array([[3, 5, 3], [5, 5, 7]], dtype)
    return {"w": values, "s": np.ones(np.shape(zero), np.float32), "z": np.array(zero, dtype)}


def dequantized(save: Save, given: dict[str, Any], **attributes: Any) -> Path:
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["f"], **attributes),
        helper.make_node("MatMul", ["x", "f"], ["y"]),
    ]
    return save("q", nodes, {"x": ["batch", 2]}, given)


def test_a_quantized_weight_is_zero_where_it_equals_its_zero_point(save: Save) -> None:
    assert counted(dequantized(save, quantized(5))) == (6, 3 / 6)


def test_zero_points_follow_the_axis_of_their_channels(save: Save) -> None:
    assert counted(dequantized(save, quantized([3, 5, 7]), axis=1)) == (6, 4 / 6)
    assert counted(dequantized(save, quantized([3, 7]), axis=0)) == (6, 3 / 6)


def test_four_bit_weights_count_as_what_they_stand_for(save: Save) -> None:
    packed = helper.make_tensor("w", TensorProto.INT4, (2, 3), [0, 1, 0, 2, 0, -8])
    given = {"w": packed, "s": np.ones(3, np.float32)}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["f"], axis=1),
        helper.make_node("MatMul", ["x", "f"], ["y"]),
    ]
    assert counted(save("int4", nodes, {"x": ["batch", 2]}, given, opset=21)) == (6, 3 / 6)


@pytest.mark.parametrize("points", [False, True])
def test_packed_weights_of_matmulnbits_are_unpacked(save: Save, points: bool) -> None:
    # 2 columns of 24 rows in blocks of 16: the second block is half padding
    values = np.full((2, 2, 16), 8, np.uint8)  # 8 is zero where no zero point is given
    values[0, 0, :5] = 3
    packed = values[..., ::2] | (values[..., 1::2] << 4)
    given = {"w": packed, "s": np.ones(4, np.float32)}
    if points:
        given["z"] = np.array([[0x83], [0x88]], np.uint8)  # 3 for the first block, else 8
    node = helper.make_node(
        "MatMulNBits", ["x", *given], ["y"], domain=MS, K=24, N=2, bits=4, block_size=16
    )
    path = save("nbits", [node], {"x": ["batch", 24]}, given)
    zero = 48 - 5 if not points else 48 - 16 + 5
    assert counted(path) == (48, zero / 48)
    assert macs(path) == 48


def test_weights_that_are_cast_and_scaled_count_without_their_scale(save: Save) -> None:
    nodes = [
        helper.make_node("Cast", ["w"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "s"], ["g"]),
        helper.make_node("MatMul", ["x", "g"], ["y"]),
    ]
    given = {"w": np.array([[0, 1, 2], [3, 0, 0]], np.int8), "s": np.ones(3, np.float32)}
    assert counted(save("w8", nodes, {"x": ["batch", 2]}, given)) == (6, 3 / 6)


def test_dynamic_quantization_counts_weights_and_neither_scales_nor_zero_points(
    save: Save,
) -> None:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"]),
        helper.make_node("MatMulInteger", ["q", "w", "qz", "z"], ["i"]),
        helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["qs", "s"], ["scale"]),
        helper.make_node("Mul", ["f", "scale"], ["y"]),
    ]
    path = save("dynamic", nodes, {"x": ["batch", 2]}, quantized([3, 5, 7]))
    assert counted(path) == (6, 4 / 6)
    assert macs(path) == 6


def test_shapes_bounds_and_numbers_are_no_parameters(save: Save) -> None:
    given = {
        "w": np.ones((4, 4), np.float32),
        "shape": np.array([-1, 4]),
        "half": np.array(0.5, np.float32),
        "pads": np.zeros(4, np.int64),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Reshape", ["a", "shape"], ["b"]),
        helper.make_node("Pad", ["b", "pads"], ["c"]),
        helper.make_node("Mul", ["c", "half"], ["y"]),
    ]
    assert counted(save("m", nodes, {"x": ["batch", 4]}, given))[0] == 16


def test_weights_in_constant_nodes_count_once(save: Save) -> None:
    value = numpy_helper.from_array(np.eye(4, dtype=np.float32))
    nodes = [
        helper.make_node("Constant", [], ["w"], value=value),
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("MatMul", ["h", "w"], ["y"]),
    ]
    assert counted(save("constant", nodes, {"x": ["batch", 4]}, {})) == (16, 12 / 16)


def test_a_signature_read_from_the_file_is_that_of_the_runtime(save: Save) -> None:
    from workbench.runtime import open_session, signature_of

    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    path = save("s", nodes, {"x": ["batch", None, 3]}, {})
    assert read_signature(path).inputs == signature_of(open_session(path)).inputs
