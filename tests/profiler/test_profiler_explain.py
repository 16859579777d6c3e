"""Explanations: each rule on a graph to which it applies; every sentence carries a figure."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from workbench.errors import ModelError
from workbench.machine import machine
from workbench.profiler import Explanation, explain
from workbench.records import Machine, Setting

Save = Callable[..., Path]
MS = "com.microsoft"
RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.integers(-9, 9, (128, 128)).astype(np.int8)
SMALL = Setting(batch=32, threads=1)


def explained(path: Path, here: Machine | None = None, against: Path | None = None) -> Explanation:
    found = explain(path, here or machine(), against, setting=SMALL, seconds=0.05)
    assert all(re.search(r"\d", paragraph) for paragraph in found.paragraphs)
    assert Explanation.model_validate_json(found.model_dump_json()) == found
    return found


def sentence(found: Explanation, rule: str) -> str:
    return next((f.text for f in found.findings if f.rule == rule), "")


@pytest.fixture
def lookup(save: Save) -> Path:
    """An embedding table that is dequantized as a whole at each call."""
    nodes = [
        helper.make_node("DequantizeLinear", ["table", "s", "z"], ["f"], axis=0, name="back"),
        helper.make_node("Gather", ["f", "ids"], ["y"], name="look"),
    ]
    given = {
        "table": RANDOM.integers(0, 255, (1000, 64)).astype(np.uint8),
        "s": np.ones(1000, np.float32),
        "z": np.full(1000, 128, np.uint8),
    }
    return save("lookup", nodes, {"ids": ["batch", 4]}, given, dtypes={"ids": TensorProto.INT64})


@pytest.fixture
def dynamic(save: Save) -> Path:
    """One int8 product, and one that stayed in float."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"], name="quantize"),
        helper.make_node("MatMulInteger", ["q", "w", "qz"], ["i"], name="int8"),
        helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT, name="cast"),
        helper.make_node("Mul", ["qs", "s"], ["scale"], name="scales"),
        helper.make_node("Mul", ["f", "scale"], ["h"], name="rescale"),
        helper.make_node("MatMul", ["h", "wf"], ["y"], name="float"),
    ]
    given = {"w": WEIGHT, "s": np.ones(1, np.float32), "wf": WEIGHT.astype(np.float32)}
    return save("dynamic", nodes, {"x": ["batch", 128]}, given)


def test_weights_dequantized_at_each_call_are_named(lookup: Path) -> None:
    text = sentence(explained(lookup), "dequantized-at-each-call")
    assert "1 DequantizeLinear" in text
    assert "at each call" in text
    assert re.search(r"69\.0 kB .* \d+\.\d\d ms, .* % of a run", text)  # 64 + 4 + 1 kB


def test_an_embedding_that_is_most_of_the_file_is_named(lookup: Path) -> None:
    text = sentence(explained(lookup), "embedding-share")
    assert re.match(r"Embedding tables are 64\.0 kB \(uint8\), 9\d % of the model", text)


def test_int8_without_a_dot_product_is_named_only_where_the_cpu_lacks_it(dynamic: Path) -> None:
    here = machine()
    without = here.model_copy(update={"isa": ("avx2",), "cpu": "Old"})
    having = here.model_copy(update={"isa": ("avx2", "avx512_vnni")})
    assert "(Old) has no int8 dot product" in sentence(explained(dynamic, without), "no-int8-dot")
    assert not sentence(explained(dynamic, having), "no-int8-dot")


def test_products_that_stayed_in_float_are_named(dynamic: Path) -> None:
    text = sentence(explained(dynamic), "stayed-float")
    assert re.match(r"1 operator with weights \(1 MatMul\) stayed in float beside 1 int8", text)


def test_weights_stored_small_and_made_float_on_loading_are_named(save: Save) -> None:
    nodes = [
        helper.make_node("Cast", ["w"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "s"], ["g"]),
        helper.make_node("MatMul", ["x", "g"], ["y"], name="product"),
    ]
    given = {"w": WEIGHT, "s": np.ones(128, np.float32)}
    found = explained(save("w8", nodes, {"x": ["batch", 128]}, given))
    assert "1 weight (16.4 kB)" in sentence(found, "stored-small-computed-in-float")
    assert "stored as int8" in sentence(found, "stored-small-computed-in-float")
    assert not sentence(found, "dequantized-at-each-call")
    assert (found.bytes[0].consumer, found.bytes[0].dtype) == ("MatMul", "int8")


def test_packed_weights_with_many_rows_are_named(save: Save) -> None:
    given = {"w": np.zeros((64, 4, 16), np.uint8), "s": np.ones(256, np.float32)}
    node = helper.make_node(
        "MatMulNBits", ["x", "w", "s"], ["y"], domain=MS, K=128, N=64, bits=4, block_size=32
    )
    found = explained(save("nbits", [node], {"x": ["batch", 128]}, given))
    assert "with 32 rows" in sentence(found, "nbits-many-rows")


def test_pairs_that_were_not_fused_are_named(save: Save) -> None:
    scale = {"s": np.array(0.1, np.float32), "z": np.array(0, np.int8)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["f"]),
        helper.make_node("Erf", ["f"], ["y"]),
    ]
    found = explained(save("pairs", nodes, {"x": ["batch", 128]}, scale))
    assert "1 QuantizeLinear and 1 DequantizeLinear" in sentence(found, "unfused-pairs")


def test_constants_that_nothing_uses_are_named(save: Save) -> None:
    given = {"w": np.ones((64, 64), np.float32), "idle": np.ones((64, 64), np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    found = explained(save("idle", nodes, {"x": ["batch", 64]}, given))
    assert "1 constant that nothing uses take 16.4 kB" in sentence(found, "unused-constants")


def test_several_outputs_are_named(save: Save) -> None:
    nodes = [helper.make_node("Neg", ["x"], ["y"]), helper.make_node("Abs", ["x"], ["more"])]
    path = save("two", nodes, {"x": ["batch", 8]}, {}, outputs=("y", "more"))
    assert "2 outputs" in sentence(explained(path), "several-outputs")


def test_casts_of_float16_are_named(save: Save) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["h"], ["y"], to=TensorProto.FLOAT),
    ]
    path = save("half", nodes, {"x": ["batch", 8]}, {})
    text = sentence(explained(path), "float16-casts")
    assert not text or "between float16" in text  # the runtime may fuse the pair away


def test_a_plain_float_model_has_no_finding_about_weights(chain: Save) -> None:
    found = explained(chain("plain", 4, 128))
    rules = {finding.rule for finding in found.findings}
    assert not rules & {"dequantized-at-each-call", "no-int8-dot", "stayed-float", "unfused-pairs"}
    assert found.ops[0].op == "MatMul"
    assert found.ops[0].nodes == 4
    assert 0 < sum(op.share for op in found.ops) <= 1.001


def test_two_models_are_compared_by_groups_of_operators(chain: Save) -> None:
    small, large = chain("small", 2, 256), chain("large", 8, 256)
    found = explained(small, against=large)
    assert found.against == str(large)
    products = found.changes[0]
    assert products.group == "matrix products and attention"
    assert products.ms < products.against_ms
    text = found.paragraphs[2]
    assert text.startswith("Beside ")
    assert "/large.onnx: 2.1 MB → " in text
    assert "Faster: matrix products and attention" in text


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no file"):
        explain(tmp_path / "none.onnx", machine())
