"""Multiply-accumulates, counted from the shapes that the runtime saw when it ran each node.

A run shows the shapes of every node, inside loops and branches too, with no guess about dynamic
axes. Products of matrices, convolutions, recurrent layers and attention are counted; element-wise
operations, normalisations and activations are not. An operator that multiplies and has no rule
here makes the count none, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from workbench.profiler.graph import attribute, scopes
from workbench.profiler.tracing import NodeRun

if TYPE_CHECKING:
    import onnx

Shape = tuple[int, ...]


class Unknown(Exception):  # noqa: N818 - an answer, not an error
    """The multiply-accumulates of a node cannot be told."""


class Seen(NamedTuple):
    """What a run showed of a node."""

    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    node: onnx.NodeProto | None


def count_macs(model: onnx.ModelProto, runs: list[NodeRun]) -> int | None:
    """Multiply-accumulates of one run; none where an operator has no rule."""
    named = {node.name: node for scope in scopes(model) for node in scope.nodes if node.name}
    foreign = {
        node.op_type
        for scope in scopes(model)
        for node in scope.nodes
        if node.domain not in ("", "ai.onnx", "ai.onnx.ml")
        and (node.domain, node.op_type) not in {(f.domain, f.name) for f in model.functions}
    }
    if UNCOUNTED & {run.op for run in runs} or foreign - FREE - set(RULES):
        return None
    total = 0
    try:
        for run in runs:
            if run.op in RULES:
                total += RULES[run.op](Seen(run.inputs, run.outputs, named.get(run.name)))
    except (Unknown, IndexError):
        return None
    return total


def _matmul(seen: Seen) -> int:
    return prod(seen.outputs[0]) * seen.inputs[0][-1]


def _fused_matmul(seen: Seen) -> int:
    if seen.node is None or any(attribute(seen.node, f"transBatch{x}", 0) for x in "AB"):
        raise Unknown
    inner = -2 if attribute(seen.node, "transA", 0) else -1
    return prod(seen.outputs[0]) * seen.inputs[0][inner]


def _gemm(seen: Seen) -> int:
    rows = seen.outputs[0][0]
    return prod(seen.outputs[0]) * (prod(seen.inputs[0]) // rows) if rows else 0


def _convolution(weight: int) -> Callable[[Seen], int]:
    return lambda seen: prod(seen.outputs[0]) * prod(seen.inputs[weight][1:])


def _transposed_convolution(seen: Seen) -> int:
    return prod(seen.inputs[0]) * prod(seen.inputs[1][1:])


def _recurrent(seen: Seen) -> int:
    steps, weights = prod(seen.inputs[0][:2]), seen.inputs[1:3]
    return steps * sum(map(prod, weights))


def _attention(seen: Seen) -> int:
    """Both operators of this name: with the projection inside (Microsoft's), and without."""
    if len(seen.outputs) > 1:  # a past makes the keys longer than the shapes of inputs say
        raise Unknown
    first, second = seen.inputs[0], seen.inputs[1]
    if len(second) == 2:
        batch, steps, _ = first
        hidden = seen.outputs[0][-1]
        queries = (second[1] - hidden) // 2
        return batch * steps * prod(second) + batch * steps * steps * (queries + hidden)
    return _query_key_value(seen)


def _query_key_value(seen: Seen) -> int:
    if len(seen.outputs) > 1 or len(seen.inputs) < 3:
        raise Unknown
    query, key, value = seen.inputs[:3]
    if len(query) == len(key) == len(value) == 3:
        return query[0] * query[1] * key[1] * (query[2] + seen.outputs[0][-1])
    if len(query) == len(key) == len(value) == 4:
        return prod(query[:3]) * key[2] * (query[3] + value[3])
    raise Unknown


def _einsum(seen: Seen) -> int:
    if seen.node is None:
        raise Unknown
    equation = attribute(seen.node, "equation", b"").decode().replace(" ", "")
    terms = equation.split("->")[0].split(",")
    if len(terms) > 2 or "." in equation:
        raise Unknown
    sizes = {
        label: size
        for term, shape in zip(terms, seen.inputs, strict=True)
        for label, size in zip(term, shape, strict=True)
    }
    return prod(sizes.values()) if len(terms) == 2 else 0


RULES: dict[str, Callable[[Seen], int]] = {
    **dict.fromkeys(
        (
            *("MatMul", "MatMulInteger", "MatMulIntegerToFloat", "QLinearMatMul"),
            *("DynamicQuantizeMatMul", "MatMulNBits", "MatMulBnb4"),
        ),
        _matmul,
    ),
    "FusedMatMul": _fused_matmul,
    **dict.fromkeys(("Gemm", "QGemm", "FusedGemm"), _gemm),
    **dict.fromkeys(("Conv", "ConvInteger", "FusedConv"), _convolution(1)),
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed_convolution,
    **dict.fromkeys(("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"), _recurrent),
    **dict.fromkeys(("Attention", "QAttention"), _attention),
    "MultiHeadAttention": _query_key_value,
    "Einsum": _einsum,
}

UNCOUNTED = {"DeformConv", "DFT", "STFT", "LinearClassifier", "LinearRegressor", "SVMClassifier"}
"""Operators of the standard that multiply and have no rule."""

FREE = {
    *("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "SimplifiedLayerNormalization"),
    *("EmbedLayerNormalization", "QEmbedLayerNormalization", "LayerNormalization", "GroupNorm"),
    *("BiasGelu", "FastGelu", "Gelu", "QuickGelu", "BiasAdd", "BiasSoftmax", "BiasSplitGelu"),
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "GatherBlockQuantized"),
    *("QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax"),
    *("QLinearConcat", "QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearReduceMean"),
    *("QLinearWhere", "RotaryEmbedding", "Range", "NhwcMaxPool"),
}
"""Operators of other domains that multiply no matrices."""
