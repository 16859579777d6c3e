"""Where a static int8 graph rounds: no pair of Quantize and Dequantize stands where it only harms.

onnxruntime's writer puts a pair behind every layer, before the activation that follows and
before the graph's output too. Both cost accuracy and time for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.steps._graph import Graph

if TYPE_CHECKING:
    import onnx

LAYERS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
FLOAT_OUTPUTS = ("MatMul", "Gemm")
"""Layers whose int8 kernels give out float as well as int8."""

LEVELS = 255


def merge_activations(graph: Graph) -> int:
    """Round behind Relu and Clip, not before them as well; returns how many were merged.

    A layer's output before ReLU6 may reach from -100 to 100 where only 0 to 6 is left of it: a
    pair before it wastes four of eight bits, and keeps the runtime from computing the layer
    and its activation in one kernel. Where what follows has no pair of its own, the pair moves
    behind the activation and takes the range that the activation leaves.
    """
    made, readers = graph.producers(), graph.consumers()
    dropped: set[str] = set()
    moved: dict[str, list[onnx.NodeProto]] = {}
    merged = 0
    for node in graph.nodes:
        limits = _limits(graph, node)
        pair = _pair(made, node.input[0]) if limits else None
        if limits is None or pair is None or node.output[0] in graph.outputs:
            continue
        quantize, dequantize = pair
        layer = made.get(quantize.input[0])
        chain = (quantize.input[0], quantize.output[0], dequantize.output[0])
        alone = all(len(readers[name]) == 1 for name in chain)
        if layer is None or layer.op_type not in LAYERS or not alone:
            continue
        after = readers[node.output[0]]
        node.input[0] = quantize.input[0]
        dropped |= {quantize.name, dequantize.name}
        if not all(reader.op_type == "QuantizeLinear" for reader in after):
            moved[node.name] = _behind(graph, node, pair, limits, after)
        merged += 1
    graph.nodes = [
        one
        for node in graph.nodes
        if node.name not in dropped
        for one in (node, *moved.get(node.name, ()))
    ]
    return merged


def free_outputs(graph: Graph) -> int:
    """Leave outputs of the graph in float where the kernel can; returns how many.

    Rounded logits tie, and a tie goes to the class with the lower number.
    """
    made, readers = graph.producers(), graph.consumers()
    dropped: set[str] = set()
    for output in graph.outputs:
        pair = _pair(made, output)
        layer = made.get(pair[0].input[0]) if pair else None
        if pair is None or layer is None or layer.op_type not in FLOAT_OUTPUTS:
            continue
        if any(len(readers[name]) > 1 for name in (pair[0].input[0], pair[0].output[0])):
            continue
        layer.output[0] = output
        dropped |= {node.name for node in pair}
    graph.nodes = [node for node in graph.nodes if node.name not in dropped]
    return len(dropped) // 2


def _pair(
    made: dict[str, onnx.NodeProto], name: str
) -> tuple[onnx.NodeProto, onnx.NodeProto] | None:
    """The Quantize and Dequantize that a value comes out of."""
    dequantize = made.get(name)
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return None
    quantize = made.get(dequantize.input[0])
    if quantize is None or quantize.op_type != "QuantizeLinear":
        return None
    return quantize, dequantize


def _limits(graph: Graph, node: onnx.NodeProto) -> tuple[float, float] | None:
    """The least and the largest value that a Relu or a Clip with constant bounds lets through."""
    if node.op_type == "Relu":
        return 0.0, float("inf")
    if node.op_type != "Clip":
        return None
    bounds = [float("-inf"), float("inf")]
    for place, name in enumerate(node.input[1:3]):
        if not name:
            continue
        if not graph.is_constant(name):
            return None
        bounds[place] = float(graph.array(name))
    return bounds[0], bounds[1]


def _behind(
    graph: Graph,
    node: onnx.NodeProto,
    pair: tuple[onnx.NodeProto, onnx.NodeProto],
    limits: tuple[float, float],
    readers: list[onnx.NodeProto],
) -> list[onnx.NodeProto]:
    """The pair again, with the range that the activation leaves, and its readers reading it."""
    import numpy as np
    from onnx import helper, numpy_helper

    scale, zero = (graph.array(name) for name in pair[0].input[1:3])
    ends = np.clip((np.array([0, LEVELS]) - float(zero)) * float(scale), *limits)
    low, high = min(float(ends[0]), 0.0), max(float(ends[1]), 0.0)
    step = np.float32((high - low) / LEVELS or 1.0)
    value = node.output[0]
    rounded, result = f"{value}_quantized", f"{value}_dequantized"
    settings = [f"{rounded}_scale", f"{rounded}_zero_point"]
    for name, number in zip(settings, (step, np.uint8(np.rint(-low / step))), strict=True):
        graph.put(numpy_helper.from_array(np.asarray(number), name))  # scalars: kernels want them
    for reader in readers:
        for place, name in enumerate(reader.input):
            if name == value:
                reader.input[place] = result
    return [
        helper.make_node("QuantizeLinear", [value, *settings], [rounded], f"{rounded}_node"),
        helper.make_node("DequantizeLinear", [rounded, *settings], [result], f"{result}_node"),
    ]
