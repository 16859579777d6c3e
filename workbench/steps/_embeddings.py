"""Embedding tables in 8 bits: rows are gathered as integers and scaled, or scaled at load."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from workbench.steps._graph import Graph, attribute
from workbench.steps._products import SMALL, Result
from workbench.steps._rounding import Rounded, round_weight

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, np.dtype[Any]]


def round_table(table: Array) -> tuple[Rounded, bool]:
    """A table of shape (rows, width) in 8 bits, and whether its rows (not columns) have scales.

    A scale per row follows rare tokens; one per column follows channels that are large in every
    row, as in position embeddings. The one with the smaller error is taken. Values come in the
    shape that :func:`round_weight` has, with the scaled axis last.
    """
    import numpy as np

    by_row, by_column = round_weight(table.T, top=127), round_weight(table, top=127)
    error_row = np.square(by_row.restore().T - table).mean()
    error_column = np.square(by_column.restore() - table).mean()
    return (by_row, True) if error_row <= error_column else (by_column, False)


def table_lookups(graph: Graph) -> dict[str, list[onnx.NodeProto]]:
    """Float32 tables that are read by Gather along rows, with those nodes."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.nodes:
        if node.op_type != "Gather" or attribute(node, "axis", 0) != 0:
            continue
        if graph.weight(node.input[0], rank=2) is not None:
            found.setdefault(node.input[0], []).append(node)
    return found


def shrink_tables(graph: Graph, excluded: Collection[str], result: Result) -> None:
    """Replace lookups in float tables by lookups in int8 tables, in place.

    The table stays small in memory too: for MiniLM this loads faster than a table that is scaled
    at load, and one lookup of (32, 128) tokens takes 1.7 ms more out of 490.
    """
    consumers = graph.consumers()
    replaced: dict[int, list[onnx.NodeProto]] = {}
    for name, lookups in table_lookups(graph).items():
        table = graph.array(name)
        if any(node.name in excluded for node in lookups):
            result.skip(name, "excluded")
        elif table.size < SMALL:
            result.skip(name, f"{table.size} values are too few to gain")
        elif len(consumers[name]) > len(lookups):
            result.skip(name, "the table is used by other nodes too")
        else:
            rounded, by_row = round_table(table)
            for node in lookups:
                replaced[id(node)] = _lookup(graph, node, rounded, by_row)
                result.count("Gather")
    graph.nodes = [new for node in graph.nodes for new in replaced.get(id(node), [node])]


def _lookup(
    graph: Graph, node: onnx.NodeProto, rounded: Rounded, by_row: bool
) -> list[onnx.NodeProto]:
    from onnx import TensorProto, helper

    name, index = node.input
    output = node.output[0]
    values = rounded.values.T if by_row else rounded.values
    stored = graph.add(f"{name}_int8", values)
    nodes = [
        helper.make_node("Gather", [stored, index], [f"{output}_int8"], name=node.name),
        helper.make_node("Cast", [f"{output}_int8"], [f"{output}_cast"], to=TensorProto.FLOAT),
    ]
    if by_row:
        scale = f"{output}_scale"
        rows = graph.add(f"{name}_scale", rounded.scales.T)
        nodes.append(helper.make_node("Gather", [rows, index], [scale]))
    else:
        scale = graph.add(f"{name}_scale", rounded.scales[0])
    nodes.append(helper.make_node("Mul", [f"{output}_cast", scale], [output]))
    for extra in nodes[1:]:
        extra.name = f"{extra.output[0]}_{extra.op_type}"
    return nodes
