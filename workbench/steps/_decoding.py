"""Weights that are stored small and decoded once, when the session loads.

The nodes are plain ONNX on constants, which onnxruntime folds at its lowest optimisation level:
after loading, the session holds the float weight and runs as fast as the float model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.steps._graph import Graph
from workbench.steps._rounding import Rounded, pack_nibbles

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, np.dtype[Any]]


class Decoder:
    """Writes the nodes that decode one initializer; its name becomes their output."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        graph.drop(name)

    def integers(
        self, rounded: Rounded, bits: int, order: Sequence[int], shape: Sequence[int]
    ) -> list[onnx.NodeProto]:
        """Decode a rounded matrix (inputs, outputs) into the tensor of ``shape``.

        ``order`` are the axes of ``shape`` as the matrix has them: the tensor was transposed by
        it and reshaped to get the matrix, and this is undone here.
        """
        import numpy as np
        from onnx import TensorProto

        rows, columns = rounded.values.shape
        if bits == 4:
            at = self._unpacked(pack_nibbles(rounded.values), rows)
        else:
            at = self.graph.add(f"{self.name}_int8", rounded.values)
        at = self._node("Cast", [at], "float", to=TensorProto.FLOAT)
        if bits == 4:
            at = self._node("Sub", [at, self.graph.add("decode_eight", np.float32(8))], "signed")
        blocks = len(rounded.scales)
        scales = rounded.scales
        if blocks > 1:
            at = self._reshaped(at, (blocks, rows // blocks, columns), "blocks")
            scales = scales[:, None, :]
        elif not np.ptp(scales):
            scales = scales[:1, :1]
        at = self._node("Mul", [at, self.graph.add(f"{self.name}_scale", scales)], "scaled")
        arranged = [shape[axis] for axis in order]
        if blocks > 1 or arranged != [rows, columns]:
            at = self._reshaped(at, arranged, "arranged")
        if list(order) != sorted(order):
            back = [int(axis) for axis in np.argsort(order)]
            at = self._node("Transpose", [at], "ordered", perm=back)
        return self._named()

    def bfloat16(self, values: Array) -> list[onnx.NodeProto]:
        """Decode a tensor that is stored as bfloat16."""
        from onnx import TensorProto, helper, numpy_helper

        dtype = helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16)
        stored = f"{self.name}_bfloat16"
        self.graph.put(numpy_helper.from_array(values.astype(dtype), stored))
        self._node("Cast", [stored], "float", to=TensorProto.FLOAT)
        return self._named()

    def _unpacked(self, packed: Array, rows: int) -> str:
        """Nibbles to bytes with shifts: INT4 tensors would need opset 21."""
        import numpy as np

        four = self.graph.add("decode_four", np.uint8(4))
        stored = self.graph.add(f"{self.name}_int4", packed)
        high = self._node("BitShift", [stored, four], "high", direction="RIGHT")
        left = self._node("BitShift", [stored, four], "left", direction="LEFT")
        low = self._node("BitShift", [left, four], "low", direction="RIGHT")
        both = self._node("Concat", [low, high], "nibbles", axis=0)
        if 2 * len(packed) == rows:
            return both
        start = self.graph.add("decode_start", np.array([0], np.int64))
        stop = self.graph.add(f"{self.name}_rows", np.array([rows], np.int64))
        return self._node("Slice", [both, start, stop], "rows")

    def _reshaped(self, at: str, shape: Sequence[int], what: str) -> str:
        import numpy as np

        target = self.graph.add(f"{self.name}_{what}_shape", np.array(shape, np.int64))
        return self._node("Reshape", [at, target], what)

    def _node(self, operator: str, arguments: list[str], what: str, **attributes: Any) -> str:
        from onnx import helper

        output = f"{self.name}_{what}"
        self.nodes.append(
            helper.make_node(
                operator, arguments, [output], name=f"{output}_{operator}", **attributes
            )
        )
        return output

    def _named(self) -> list[onnx.NodeProto]:
        self.nodes[-1].output[0] = self.name
        return self.nodes
