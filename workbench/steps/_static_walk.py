"""A model run on feeds layer by layer, each node once, so that values can be changed between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.steps._graph import Graph, reads
from workbench.steps._observe import watched, watching_session

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, np.dtype[Any]]
    Feed = dict[str, Array]


class Walk:
    """The values of a graph on feeds, as far as it was walked; what is not read again is let go.

    Nodes that read constants only (dequantized weights) are run where they are read.
    """

    def __init__(self, graph: Graph, feeds: Sequence[Feed]) -> None:
        self.graph = graph
        self.values = [dict(feed) for feed in feeds]
        self.fixed = {
            name: node
            for node in graph.nodes
            if node.input and all(graph.is_constant(one) for one in reads(node))
            for name in node.output
        }
        self.left = [node for node in graph.nodes if node.output[0] not in self.fixed]

    def to(self, node: onnx.NodeProto) -> list[Array]:
        """Run up to a node that was not reached yet; its first output on each feed.

        What is written into these arrays is what the nodes behind it read.

        Raises:
            StepError: the model cannot be run on the feeds.
        """
        stop = self.left.index(node) + 1
        part, self.left = self.left[:stop], self.left[stop:]
        later = {name for one in self.left for name in reads(one)}
        made = {name for one in part for name in one.output if name}
        wanted = [*dict.fromkeys([node.output[0], *sorted(made & later)])]
        needed = {name for one in part for name in reads(one)} - made
        inputs = [name for name in self.values[0] if name in needed]
        session = watching_session(self._part(part, needed, inputs, wanted), ())
        for held in self.values:
            found = watched(session, wanted, {name: held[name] for name in inputs})
            held |= dict(zip(wanted, found, strict=True))
            for name in held.keys() - later - {node.output[0]}:
                del held[name]
        return [held[node.output[0]] for held in self.values]

    def _part(
        self, nodes: list[onnx.NodeProto], needed: set[str], inputs: list[str], wanted: list[str]
    ) -> Graph:
        from onnx import ValueInfoProto, helper

        fixed = {self.fixed[name].name: self.fixed[name] for name in needed if name in self.fixed}
        used = needed | {name for one in fixed.values() for name in reads(one)}
        graph = helper.make_graph(
            [*fixed.values(), *nodes],
            "part",
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(self.values[0][name].dtype), None
                )
                for name in inputs
            ],
            [ValueInfoProto(name=name) for name in wanted],
            [self.graph.tensor(name) for name in sorted(used) if self.graph.is_constant(name)],
        )
        model = self.graph.model
        return Graph(
            helper.make_model(
                graph, opset_imports=list(model.opset_import), ir_version=model.ir_version
            )
        )
