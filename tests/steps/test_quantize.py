"""The quantize step on small graphs: what it makes, what it refuses, and that bytes add up."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.steps import graphs
from workbench.errors import InputError, StepError
from workbench.machine import machine
from workbench.steps import make_step

DYNAMIC = {"scheme": "dynamic-int8"}


def floats(*shape, seed=0):
    return graphs.random(seed).standard_normal(shape).astype(np.float32)


def outliers(count, width, seed):
    """Rows of which three channels are forty times larger, and which differ in size."""
    random = graphs.random(seed)
    rows = random.standard_normal((count, width)) * random.uniform(0.2, 5, (count, 1))
    rows[:, [3, 17, 40]] *= 40
    return rows.astype(np.float32)


@pytest.fixture
def mlp(tmp_path):
    return graphs.artifact(tmp_path / "mlp", graphs.mlp())


# --- dynamic-int8 ------------------------------------------------------------------------------


def test_dynamic_int8_shrinks_and_stays_close(mlp):
    quantized, account = graphs.step(mlp, "quantize", [{"x": floats(200, 64)}], **DYNAMIC)
    assert account.changed == {"MatMul": 1, "Gemm": 1}
    assert quantized.model_path.stat().st_size < 0.45 * mlp.model_path.stat().st_size
    feed = {"x": floats(32, 64, seed=5)}
    assert graphs.error(graphs.run(quantized, feed), graphs.run(mlp, feed)) < 0.02


def test_per_token_beats_per_tensor_on_inputs_with_outliers(tmp_path):
    source = graphs.artifact(tmp_path / "one", graphs.one_product(graphs.weight(64, 96)))
    feed = {"x": outliers(64, 64, seed=2)}
    exact = graphs.run(source, feed)
    options = {**DYNAMIC, "rounding": "nearest", "smooth": False}
    token, _ = graphs.step(source, "quantize", activations="per-token", **options)
    tensor, _ = graphs.step(source, "quantize", activations="per-tensor", **options)
    by_token, by_tensor = (
        graphs.error(
            graphs.run(one, feed) / feed["x"].std(1)[:, None], exact / feed["x"].std(1)[:, None]
        )
        for one in (token, tensor)
    )
    assert by_token < 0.5 * by_tensor


def test_smoothing_is_chosen_for_outlier_channels_and_helps(tmp_path):
    source = graphs.artifact(tmp_path / "one", graphs.one_product(graphs.weight(64, 96)))
    feeds = [{"x": outliers(256, 64, seed=1)}]
    feed = {"x": outliers(64, 64, seed=2)}
    exact = graphs.run(source, feed)
    smooth, account = graphs.step(source, "quantize", feeds, **DYNAMIC)
    plain, _ = graphs.step(source, "quantize", feeds, smooth=False, **DYNAMIC)
    assert "none" not in next(iter(account.choices["inputs"]))
    assert graphs.error(graphs.run(smooth, feed), exact) < 0.8 * graphs.error(
        graphs.run(plain, feed), exact
    )


def test_smoothing_is_left_out_where_it_does_not_pay(tmp_path):
    source = graphs.artifact(tmp_path / "one", graphs.one_product(graphs.weight(64, 96)))
    _, account = graphs.step(source, "quantize", [{"x": floats(256, 64)}], **DYNAMIC)
    assert account.choices["inputs"] == {"smoothing none, zero point 128": 1}


def test_one_sided_inputs_use_the_whole_of_uint8(mlp):
    _, account = graphs.step(mlp, "quantize", [{"x": floats(200, 64)}], **DYNAMIC)
    assert any(choice.endswith("zero point 0") for choice in account.choices["inputs"])


def test_compensated_rounding_beats_nearest_on_correlated_inputs(tmp_path):
    source = graphs.artifact(tmp_path / "one", graphs.one_product(graphs.weight(64, 96)))
    mixing = floats(8, 64, seed=3)

    def correlated(count, seed):
        return floats(count, 8, seed=seed) @ mixing + 0.1 * floats(count, 64, seed=seed + 1)

    feeds = [{"x": correlated(400, 10)}]
    feed = {"x": correlated(64, 20)}
    exact = graphs.run(source, feed)
    options = {"scheme": "weight-only", "bits": 4}
    compensated, account = graphs.step(source, "quantize", feeds, **options)
    nearest, _ = graphs.step(source, "quantize", feeds, rounding="nearest", **options)
    assert account.choices["rounding"] == "compensated"
    assert graphs.error(graphs.run(compensated, feed), exact) < 0.6 * graphs.error(
        graphs.run(nearest, feed), exact
    )


def test_without_calibration_data_rounding_falls_back_and_says_so(mlp):
    _, account = graphs.step(mlp, "quantize", **DYNAMIC)
    assert account.choices["rounding"] == "nearest"
    assert account.choices["calibration"] == "none"


def test_rows_of_zeros_give_zeros_and_no_nan(tmp_path):
    source = graphs.artifact(tmp_path / "one", graphs.one_product(graphs.weight(64, 96)))
    quantized, _ = graphs.step(source, "quantize", **DYNAMIC)
    assert np.array_equal(
        graphs.run(quantized, {"x": np.zeros((3, 64), np.float32)}), np.zeros((3, 96))
    )


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
def test_every_opset_gets_its_form_of_reduce_max(tmp_path, opset):
    source = graphs.artifact(tmp_path / "mlp", graphs.mlp(opset=opset))
    quantized, _ = graphs.step(source, "quantize", **DYNAMIC)
    feed = {"x": floats(8, 64)}
    assert graphs.error(graphs.run(quantized, feed), graphs.run(source, feed)) < 0.03


def test_cpu_without_vnni_gets_a_reduced_range_and_the_reason(mlp):
    old = machine().model_copy(update={"isa": ("avx", "avx2")})
    quantized, account = graphs.step(mlp, "quantize", on=old, **DYNAMIC)
    assert "saturate" in account.choices["weights_because"]
    weights = [
        onnx.numpy_helper.to_array(t)
        for t in onnx.load(str(quantized.model_path)).graph.initializer
        if t.name.endswith("_int8")
    ]
    assert max(np.abs(w.astype(int)).max() for w in weights) == 96
    assert make_step("quantize", "dynamic-int8").uses_machine
    assert not make_step("quantize", {**DYNAMIC, "reduce_range": False}).uses_machine


def test_cpu_with_vnni_gets_the_full_range(mlp):
    new = machine().model_copy(update={"isa": ("avx2", "avx512_vnni")})
    _, account = graphs.step(mlp, "quantize", on=new, **DYNAMIC)
    assert account.choices["weights"].startswith("int8, 127")


@pytest.mark.parametrize(
    "options",
    [{"weights": "uint8"}, {"reduce_range": True}, {"per_channel": False}],
    ids=lambda options: next(iter(options)),
)
def test_other_weight_formats_stay_close_too(mlp, options):
    quantized, _ = graphs.step(mlp, "quantize", **DYNAMIC, **options)
    feed = {"x": floats(8, 64)}
    assert graphs.error(graphs.run(quantized, feed), graphs.run(mlp, feed)) < 0.05


def test_a_weight_that_many_layers_share_is_stored_once(tmp_path):
    nodes = [
        helper.make_node("MatMul", [f"h{i}", "w"], [f"h{i + 1}"], name=f"layer{i}")
        for i in range(6)
    ]
    proto = graphs.model(
        nodes,
        {"h0": (TensorProto.FLOAT, ["batch", 64])},
        {"h6": ["batch", 64]},
        {"w": graphs.weight(64, 64)},
    )
    source = graphs.artifact(tmp_path / "shared", proto)
    quantized, account = graphs.step(source, "quantize", [{"h0": floats(64, 64)}], **DYNAMIC)
    assert account.changed == {"MatMul": 6}
    assert graphs.weight_bytes(quantized) < 0.4 * graphs.weight_bytes(source)


def test_convolutions_stay_float_in_dynamic_int8_and_are_listed(tmp_path):
    source = graphs.artifact(tmp_path / "cnn", graphs.cnn())
    _, account = graphs.step(source, "quantize", **DYNAMIC)
    assert account.changed == {"Gemm": 1}
    assert {item.name for item in account.skipped} >= {"conv1", "conv2"}


# --- embeddings --------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["dynamic-int8", "weight-only"])
def test_embedding_tables_are_stored_in_8_bits(tmp_path, scheme):
    source = graphs.artifact(tmp_path / "embedder", graphs.embedder())
    quantized, account = graphs.step(source, "quantize", scheme=scheme)
    assert account.changed["Gather"] == 1
    assert account.bytes_after["embedding"] < 0.3 * account.bytes_before["embedding"]
    feed = {"ids": graphs.random().integers(0, 500, (4, 9))}
    assert graphs.error(graphs.run(quantized, feed), graphs.run(source, feed)) < 0.02


def test_embedding_tables_can_be_left_alone(tmp_path):
    source = graphs.artifact(tmp_path / "embedder", graphs.embedder())
    _, account = graphs.step(source, "quantize", embeddings=False, **DYNAMIC)
    assert account.bytes_after["embedding"] == account.bytes_before["embedding"]


def test_a_table_that_is_the_output_layer_too_is_stored_once(tmp_path):
    source = graphs.artifact(tmp_path / "tied", graphs.embedder(tied=True))
    quantized, _ = graphs.step(source, "quantize", **DYNAMIC)
    assert graphs.weight_bytes(quantized) < 0.3 * graphs.weight_bytes(source)
    feed = {"ids": graphs.random().integers(0, 500, (4, 9))}
    assert graphs.error(graphs.run(quantized, feed), graphs.run(source, feed)) < 0.03


# --- weight-only -------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("graph", ["mlp", "embedder", "cnn", "tied"])
def test_weights_are_decoded_once_when_the_session_loads(tmp_path, bits, graph):
    proto = {
        "mlp": graphs.mlp,
        "embedder": graphs.embedder,
        "cnn": graphs.cnn,
        "tied": lambda: graphs.embedder(tied=True),
    }[graph]()
    source = graphs.artifact(tmp_path / graph, proto)
    quantized, _ = graphs.step(source, "quantize", scheme="weight-only", bits=bits)
    left = graphs.loaded_operators(quantized, tmp_path)
    assert not {"Cast", "Mul", "Sub", "BitShift", "DequantizeLinear"} & set(left)
    assert len(left) <= len(graphs.operators(source))
    name = next(iter(source.manifest.signature.inputs)).name
    feed = {
        "x": floats(2, 3, 16, 16) if graph == "cnn" else floats(8, 64),
        "ids": graphs.random().integers(0, 500, (4, 9)),
    }
    feed = {name: feed[name]}
    bound = 0.02 if bits == 8 else 0.2
    assert graphs.error(graphs.run(quantized, feed), graphs.run(source, feed)) < bound


@pytest.mark.parametrize("bits", [8, 4])
def test_kernels_compute_from_small_weights(tmp_path, bits):
    source = graphs.artifact(tmp_path / "embedder", graphs.embedder())
    quantized, account = graphs.step(
        source, "quantize", scheme="weight-only", bits=bits, compute="kernel"
    )
    held = graphs.operators(quantized)
    assert "MatMulNBits" in held
    assert ("GatherBlockQuantized" in held) == (bits == 4)
    assert account.changed == {"MatMul": 1, "Gather": 1}
    feed = {"ids": graphs.random().integers(0, 500, (4, 9))}
    bound = 0.03 if bits == 8 else 0.2
    assert graphs.error(graphs.run(quantized, feed), graphs.run(source, feed)) < bound


def test_kernel_takes_transposed_gemm_with_alpha_and_bias(mlp):
    quantized, account = graphs.step(
        mlp, "quantize", scheme="weight-only", compute="kernel", block=32
    )
    assert account.changed == {"MatMul": 1, "Gemm": 1}
    assert "Gemm" not in graphs.operators(quantized)
    feed = {"x": floats(8, 64)}
    assert graphs.error(graphs.run(quantized, feed), graphs.run(mlp, feed)) < 0.03


def test_kernel_pads_inputs_that_do_not_fill_a_block(tmp_path):
    source = graphs.artifact(tmp_path / "odd", graphs.one_product(graphs.weight(50, 64)))
    quantized, _ = graphs.step(source, "quantize", scheme="weight-only", compute="kernel", block=32)
    feed = {"x": floats(8, 50)}
    assert graphs.error(graphs.run(quantized, feed), graphs.run(source, feed)) < 0.03


def test_smaller_blocks_are_closer(tmp_path):
    source = graphs.artifact(tmp_path / "one", graphs.one_product(graphs.weight(128, 96)))
    feed = {"x": floats(16, 128)}
    exact = graphs.run(source, feed)
    errors = []
    for block in (64, 16):
        quantized, _ = graphs.step(source, "quantize", scheme="weight-only", bits=4, block=block)
        errors.append(graphs.error(graphs.run(quantized, feed), exact))
    assert errors[1] < errors[0]


def test_inputs_that_cannot_be_cut_into_blocks_stay_at_8_bits(tmp_path):
    source = graphs.artifact(tmp_path / "prime", graphs.one_product(graphs.weight(67, 64)))
    _, account = graphs.step(source, "quantize", scheme="weight-only", bits=4)
    assert "8 bits" in account.skipped[0].reason


# --- static-int8 and half precision ------------------------------------------------------------


@pytest.mark.parametrize("calibrate", ["minmax", "entropy", "percentile"])
def test_static_int8_quantizes_convolutions(tmp_path, calibrate):
    source = graphs.artifact(tmp_path / "cnn", graphs.cnn())
    feeds = [{"x": floats(8, 3, 16, 16, seed=seed)} for seed in range(3)]
    quantized, account = graphs.step(
        source, "quantize", feeds, scheme="static-int8", calibrate=calibrate
    )
    assert account.changed == {"Conv": 2, "Gemm": 1}
    assert "QuantizeLinear" in graphs.operators(quantized)
    feed = {"x": floats(4, 3, 16, 16, seed=9)}
    assert graphs.error(graphs.run(quantized, feed), graphs.run(source, feed)) < 0.15


def test_static_int8_leaves_excluded_nodes_alone(tmp_path):
    source = graphs.artifact(tmp_path / "cnn", graphs.cnn())
    feeds = [{"x": floats(8, 3, 16, 16)}]
    _, account = graphs.step(source, "quantize", feeds, scheme="static-int8", exclude=["conv1"])
    assert account.changed == {"Conv": 1, "Gemm": 1}
    assert "excluded" in account.skipped[0].reason


def test_static_int8_takes_a_bias_with_two_axes(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="product"),
        helper.make_node("Add", ["h", "b"], ["y"], name="bias"),
    ]
    proto = graphs.model(
        nodes,
        {"x": (TensorProto.FLOAT, ["batch", 64])},
        {"y": ["batch", 96]},
        {"w": graphs.weight(64, 96), "b": graphs.weight(1, 96)},
    )
    source = graphs.artifact(tmp_path / "biased", proto)
    quantized, _ = graphs.step(source, "quantize", [{"x": floats(64, 64)}], scheme="static-int8")
    feed = {"x": floats(8, 64, seed=3)}
    assert graphs.error(graphs.run(quantized, feed), graphs.run(source, feed)) < 0.05


def test_static_int8_without_data_says_what_to_use_instead(tmp_path):
    source = graphs.artifact(tmp_path / "cnn", graphs.cnn())
    with pytest.raises(StepError, match="calibration data") as caught:
        graphs.step(source, "quantize", scheme="static-int8")
    assert "weight-only" in str(caught.value)


@pytest.mark.parametrize("scheme", ["float16", "bfloat16"])
def test_half_precision_halves_the_file_and_keeps_the_signature(mlp, scheme):
    quantized, _ = graphs.step(mlp, "quantize", scheme=scheme)
    assert quantized.model_path.stat().st_size < 0.6 * mlp.model_path.stat().st_size
    feed = {"x": floats(8, 64)}
    result = graphs.run(quantized, feed)
    assert result.dtype == np.float32
    assert graphs.error(result, graphs.run(mlp, feed)) < (1e-3 if scheme == "float16" else 1e-2)


def test_bfloat16_weights_are_widened_at_load(mlp, tmp_path):
    quantized, _ = graphs.step(mlp, "quantize", scheme="bfloat16")
    assert "Cast" not in graphs.loaded_operators(quantized, tmp_path)


def test_float16_keeps_nodes_that_overflow_in_float32(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["large"], name="first"),
        helper.make_node("Mul", ["large", "small"], ["h"], name="down"),
        helper.make_node("MatMul", ["h", "w2"], ["y"], name="second"),
    ]
    weights = {
        "w1": graphs.weight(64, 32) * np.float32(3e4),
        "small": np.float32(1e-4).reshape(1),
        "w2": graphs.weight(32, 512),
    }
    inputs = {"x": (TensorProto.FLOAT, ["batch", 64])}
    proto = graphs.model(nodes, inputs, {"y": ["batch", 512]}, weights)
    source = graphs.artifact(tmp_path / "overflow", proto)
    quantized, account = graphs.step(source, "quantize", [{"x": floats(16, 64)}], scheme="float16")
    assert {item.name for item in account.skipped} == {"first", "down"}
    feed = {"x": floats(8, 64)}
    assert graphs.error(graphs.run(quantized, feed), graphs.run(source, feed)) < 1e-2


# --- what every scheme keeps, handles or refuses -------------------------------------------------

ALL = [
    {"scheme": "dynamic-int8"},
    {"scheme": "weight-only"},
    {"scheme": "weight-only", "bits": 4},
    {"scheme": "weight-only", "compute": "kernel"},
    {"scheme": "static-int8"},
    {"scheme": "float16"},
    {"scheme": "bfloat16"},
]


def label(options):
    return "-".join(map(str, options.values()))


@pytest.mark.parametrize("options", ALL, ids=label)
def test_bytes_by_part_sum_to_the_weights_in_the_file(mlp, options):
    feeds = [{"x": floats(64, 64)}]
    quantized, account = graphs.step(mlp, "quantize", feeds, **options)
    assert sum(account.bytes_before.values()) == graphs.weight_bytes(mlp)
    assert sum(account.bytes_after.values()) == graphs.weight_bytes(quantized)


@pytest.mark.parametrize("options", ALL, ids=label)
def test_signature_and_other_files_are_kept(mlp, options):
    quantized, _ = graphs.step(mlp, "quantize", [{"x": floats(64, 64)}], **options)
    assert quantized.manifest.signature == mlp.manifest.signature
    assert sorted(quantized.manifest.files) == ["model.onnx", "tokenizer.json"]


@pytest.mark.parametrize("options", ALL, ids=label)
def test_weights_in_constant_nodes_are_found(tmp_path, options):
    source = graphs.artifact(tmp_path / "constants", graphs.mlp(constants=True))
    quantized, account = graphs.step(source, "quantize", [{"x": floats(64, 64)}], **options)
    assert account.changed
    assert quantized.model_path.stat().st_size < 0.6 * source.model_path.stat().st_size


def test_external_data_is_read_and_not_carried_along(tmp_path):
    source = graphs.artifact(tmp_path / "external", graphs.mlp(), external=True)
    assert (source.path / "net.data").exists()
    quantized, _ = graphs.step(source, "quantize", scheme="weight-only")
    assert sorted(quantized.manifest.files) == ["model.onnx", "tokenizer.json"]
    feed = {"x": floats(8, 64)}
    assert graphs.error(graphs.run(quantized, feed), graphs.run(source, feed)) < 0.02


def test_missing_external_data_is_one_clear_error(tmp_path):
    source = graphs.artifact(tmp_path / "external", graphs.mlp(), external=True)
    (source.path / "net.data").unlink()
    with pytest.raises(StepError, match="cannot be read"):
        graphs.step(source, "quantize", scheme="weight-only")


def test_an_old_opset_is_converted(tmp_path):
    source = graphs.artifact(tmp_path / "old", graphs.mlp(opset=11))
    quantized, _ = graphs.step(source, "quantize", **DYNAMIC)
    opset = onnx.load(str(quantized.model_path)).opset_import[0].version
    assert opset >= 13
    feed = {"x": floats(8, 64)}
    assert graphs.error(graphs.run(quantized, feed), graphs.run(source, feed)) < 0.03


@pytest.mark.parametrize(
    "first",
    [
        {"scheme": "dynamic-int8"},
        {"scheme": "weight-only", "compute": "kernel"},
        {"scheme": "static-int8"},
    ],
    ids=label,
)
def test_a_quantized_model_is_refused(mlp, first):
    quantized, _ = graphs.step(mlp, "quantize", [{"x": floats(64, 64)}], **first)
    with pytest.raises(StepError, match="quantized already: it holds"):
        graphs.step(quantized, "quantize", scheme="weight-only")


def test_weights_that_were_stored_small_are_refused_too(mlp):
    quantized, _ = graphs.step(mlp, "quantize", scheme="weight-only")
    with pytest.raises(StepError, match="quantized already"):
        graphs.step(quantized, "quantize", **DYNAMIC)


def test_a_model_that_would_grow_is_refused_with_both_sizes(tmp_path):
    proto = graphs.one_product(graphs.weight(2, 512))
    source = graphs.artifact(tmp_path / "small", proto)
    with pytest.raises(StepError, match=r"larger: .* before, .* after"):
        graphs.step(source, "quantize", scheme="weight-only", compute="kernel")


def test_a_model_without_large_weights_is_refused(tmp_path):
    source = graphs.artifact(tmp_path / "tiny", graphs.one_product(graphs.weight(8, 8)))
    with pytest.raises(StepError, match="nothing to quantize dynamically") as caught:
        graphs.step(source, "quantize", **DYNAMIC)
    assert "static-int8" in str(caught.value)
    with pytest.raises(StepError, match="large enough"):
        graphs.step(source, "quantize", scheme="weight-only")


def test_an_unknown_exclude_names_the_nearest(mlp):
    with pytest.raises(StepError, match="secnd") as caught:
        graphs.step(mlp, "quantize", exclude=["secnd"], **DYNAMIC)
    assert "Did you mean 'second'?" in str(caught.value)


@pytest.mark.parametrize("pattern", ["second", "sec*", "Gemm"])
def test_nodes_are_excluded_by_name_pattern_or_type(mlp, pattern):
    _, account = graphs.step(mlp, "quantize", exclude=[pattern], **DYNAMIC)
    assert account.changed == {"MatMul": 1}
    assert account.skipped[0].name == "second"
    assert account.skipped[0].reason == "excluded"


def test_weights_that_are_not_finite_are_refused(tmp_path):
    matrix = graphs.weight(64, 96)
    matrix[5, 5] = np.nan
    source = graphs.artifact(tmp_path / "nan", graphs.one_product(matrix))
    for scheme in ("dynamic-int8", "weight-only"):
        with pytest.raises(StepError, match="not finite"):
            graphs.step(source, "quantize", scheme=scheme)


def test_the_same_input_gives_the_same_file(mlp):
    feeds = [{"x": floats(64, 64)}]
    first, _ = graphs.step(mlp, "quantize", feeds, **DYNAMIC)
    second, _ = graphs.step(mlp, "quantize", feeds, **DYNAMIC)
    assert first.digest == second.digest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "dynamic-int4"}, "scheme"),
        ({"scheme": "weight-only", "bits": 3}, "bits"),
        ({"scheme": "weight-only", "compute": "kernel", "block": 48}, "power of two"),
        ({"scheme": "weight-only", "blok": 32}, "Did you mean 'block'"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        make_step("quantize", options)


def test_a_plain_string_is_the_scheme():
    assert make_step("quantize", "weight-only").scheme == "weight-only"
