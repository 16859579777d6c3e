"""Where the bytes of a model lie: embedding, attention, feed-forward, convolution, rest."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from workbench.steps._graph import Graph, tensor_bytes

if TYPE_CHECKING:
    import onnx

LOOKUPS = frozenset({"Gather", "GatherBlockQuantized", "EmbedLayerNormalization"})
PRODUCTS = frozenset(
    {"MatMul", "Gemm", "FusedMatMul", "MatMulNBits", "MatMulInteger", "MatMulIntegerToFloat"}
)
ATTENTIONS = frozenset({"MultiHeadAttention", "Attention", "GroupQueryAttention", "QAttention"})
CONVOLUTIONS = frozenset({"Conv", "ConvTranspose", "FusedConv", "ConvInteger", "QLinearConv"})
PASSING = frozenset(
    {
        *("Reshape", "Transpose", "Split", "Squeeze", "Unsqueeze", "Identity", "Cast", "Add"),
        *("Mul", "Div", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),
    }
)
"""What may stand between a projection and its attention."""

REACH = 8


def bytes_by_part(graph: Graph) -> dict[str, int]:
    """Bytes of all initializers by the part of the model that reads them; zeros are left out."""
    graph.prune()
    part_of = _Parts(graph).part_of
    sizes: dict[str, int] = defaultdict(int)
    for tensor in graph.tensors():
        sizes[part_of(tensor.name)] += tensor_bytes(tensor)
    return {part: size for part, size in sorted(sizes.items()) if size}


class _Parts:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.consumers = graph.consumers()
        self.producers = graph.producers()
        self.fixed = {tensor.name for tensor in graph.tensors()}
        for node in graph.nodes:  # what is computed from constants alone counts as a constant
            if node.input and all(name in self.fixed for name in node.input if name):
                self.fixed.update(node.output)
        self.products = {
            id(node): "attention" if self._near_attention(node) else "feed-forward"
            for node in graph.nodes
            if node.op_type in PRODUCTS
        }
        self.transformer = any(map(self._is_attention, graph.nodes))

    def part_of(self, name: str) -> str:
        """The part of an initializer: that of the first node that mixes it with activations."""
        seen, queue = {name}, [name]
        while queue:
            current = queue.pop(0)
            for node in self.consumers.get(current, []):
                if node.output and node.output[0] in self.fixed:
                    queue.extend(set(node.output) - seen)
                    seen.update(node.output)
                    continue
                part = self._part_of_reader(node, current)
                if part:
                    return part
        return "rest"

    def _part_of_reader(self, node: onnx.NodeProto, name: str) -> str | None:
        if node.op_type in LOOKUPS:
            table = node.op_type == "EmbedLayerNormalization" or node.input[0] == name
            return "embedding" if table or node.op_type == "GatherBlockQuantized" else None
        if node.op_type in CONVOLUTIONS:
            return "convolution"
        if node.op_type in ATTENTIONS:
            return "attention"
        if node.op_type in PRODUCTS:
            return self.products[id(node)] if self.transformer else "matmul"
        return None

    def _is_attention(self, node: onnx.NodeProto) -> bool:
        if node.op_type in ATTENTIONS:
            return True
        mixes = node.op_type in ("MatMul", "FusedMatMul")
        return mixes and not any(name in self.fixed for name in node.input)

    def _near_attention(self, product: onnx.NodeProto) -> bool:
        return self._reaches(product, forward=True) or self._reaches(product, forward=False)

    def _reaches(self, start: onnx.NodeProto, *, forward: bool) -> bool:
        frontier = [start]
        for _ in range(REACH):
            following: list[onnx.NodeProto] = []
            for node in frontier:
                for name in node.output if forward else node.input:
                    near = self.consumers.get(name, []) if forward else [self.producers.get(name)]
                    following.extend(other for other in near if other is not None)
            if any(map(self._is_attention, following)):
                return True
            frontier = [node for node in following if node.op_type in PASSING]
        return False
