"""Products of activations with constant weights: which there are, which to leave alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from workbench.errors import StepError
from workbench.plugins import nearest
from workbench.records import Skipped
from workbench.steps._graph import Graph, attribute

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, np.dtype[Any]]

SMALL = 1024
"""Weights with fewer values stay as they are: scales and extra nodes would eat the gain."""


@dataclass(frozen=True)
class Product:
    """``output = data @ matrix (+ bias)``: a MatMul or Gemm with a constant weight."""

    node: onnx.NodeProto
    data: str
    weight: str
    matrix: Array
    bias: Array | None = None

    @property
    def output(self) -> str:
        """The value that the node makes."""
        return str(self.node.output[0])


@dataclass
class Result:
    """What a scheme did to the graph: it fills the account."""

    changed: dict[str, int] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    choices: dict[str, Any] = field(default_factory=dict)

    def count(self, kind: str) -> None:
        """One more change of a kind."""
        self.changed[kind] = self.changed.get(kind, 0) + 1

    def skip(self, name: str, reason: str) -> None:
        """Something stays as it is; the first reason stands."""
        if all(item.name != name for item in self.skipped):
            self.skipped.append(Skipped(name=name, reason=reason))


def excluded_nodes(graph: Graph, exclude: Iterable[str]) -> set[str]:
    """Names of the nodes that the patterns name: by name, fnmatch pattern or operator type.

    Raises:
        StepError: a pattern matches nothing; the hint has the nearest name.
    """
    names: set[str] = set()
    types = {node.op_type for node in graph.nodes}
    for pattern in exclude:
        found = {
            node.name
            for node in graph.nodes
            if node.op_type == pattern or node.name == pattern or fnmatchcase(node.name, pattern)
        }
        if not found:
            close = nearest(pattern, [*types, *(node.name for node in graph.nodes)])
            hint = f"Did you mean '{close}'?" if close else f"Types: {', '.join(sorted(types))}."
            raise StepError(f"exclude: no node is called or is a '{pattern}'.", hint=hint)
        names |= found
    return names


def find_products(graph: Graph, excluded: Collection[str], result: Result) -> list[Product]:
    """All products that can be quantized; what cannot is put into the result with its reason."""
    found = []
    for node in graph.nodes:
        if node.op_type not in ("MatMul", "Gemm", "FusedMatMul"):
            continue
        constants = [name for name in list(node.input)[:2] if graph.is_constant(name)]
        if not constants:
            continue  # a product of two activations, as in attention
        product, reason = _product(graph, node)
        if node.name in excluded:
            reason = "excluded"
        if product is None or reason:
            result.skip(node.name, reason)
        else:
            found.append(product)
    return found


def _product(graph: Graph, node: onnx.NodeProto) -> tuple[Product | None, str]:
    import numpy as np

    data, name = node.input[0], node.input[1]
    if graph.is_constant(data) or not graph.is_constant(name):
        return None, "its weight is on the left"
    matrix = graph.weight(name)
    if matrix is None:
        return None, "its weight is not float32"
    if matrix.ndim != 2:
        return None, f"its weight has {matrix.ndim} axes, not 2"
    if not np.isfinite(matrix).all():
        raise StepError(f"The weight '{name}' holds values that are not finite.")
    if matrix.size < SMALL:
        return None, f"{matrix.size} weights are too few to gain"
    bias = None
    if node.op_type == "FusedMatMul":
        return None, "FusedMatMul has no quantized kernel"
    if node.op_type == "Gemm":
        if attribute(node, "transA", 0):
            return None, "Gemm with transA has no quantized kernel"
        if attribute(node, "transB", 0):
            matrix = matrix.T
        matrix = matrix * np.float32(attribute(node, "alpha", 1.0))
        if len(node.input) > 2 and node.input[2]:
            bias = graph.weight(node.input[2])
            if bias is None:
                return None, "its bias is not a float32 constant"
            bias = bias * np.float32(attribute(node, "beta", 1.0))
    return Product(node, data, name, matrix, bias), ""


def share_weights(products: Iterable[Product]) -> list[list[Product]]:
    """Products in groups that share a weight or an input, directly or through others.

    A group gets one treatment of its inputs, so that a weight that is used many times (ALBERT's
    layers) is stored once.
    """
    leader: dict[tuple[str, str], tuple[str, str]] = {}

    def root(key: tuple[str, str]) -> tuple[str, str]:
        while leader.setdefault(key, key) != key:
            key = leader[key]
        return key

    products = list(products)
    for product in products:
        leader[root(("weight", product.weight))] = root(("data", product.data))
    groups: dict[tuple[str, str], list[Product]] = {}
    for product in products:
        groups.setdefault(root(("data", product.data)), []).append(product)
    return list(groups.values())
