"""Reading an ONNX file without running it: signature, files, nodes and who consumes what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ModelError
from workbench.onnx_file import external_names
from workbench.records import Signature, TensorSpec

if TYPE_CHECKING:
    import onnx


def read_model(path: Path) -> onnx.ModelProto:
    """The graph of an ONNX file; weights that lie in other files are not read.

    Raises:
        ModelError: there is no such file, or it is no ONNX model.
    """
    import onnx

    if not path.is_file():
        raise ModelError(f"{path} is no file.")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf raises several unrelated types
        raise ModelError(f"{path} is not an ONNX model, or is cut short.") from error
    if not model.HasField("graph") or not model.graph.node:
        raise ModelError(f"{path} is not an ONNX model: it has no graph.")
    return model


def read_signature(path: Path) -> Signature:
    """Inputs and outputs of an ONNX file, with the names that ``runtime.signature_of`` gives."""
    return signature_of_graph(read_model(path).graph)


def signature_of_graph(graph: onnx.GraphProto) -> Signature:
    """Inputs (without those that are weights) and outputs of a graph."""
    import onnx

    weights = {tensor.name for tensor in graph.initializer}

    def spec(value: onnx.ValueInfoProto) -> TensorSpec:
        if not value.type.HasField("tensor_type"):
            raise ModelError(f"'{value.name}' is no tensor; only tensors are supported.")
        kind = value.type.tensor_type
        dtype = onnx.TensorProto.DataType.Name(kind.elem_type).lower()
        shape = tuple(
            dim.dim_value
            if dim.HasField("dim_value")
            else dim.dim_param or ("batch" if axis == 0 else f"dim_{axis}")
            for axis, dim in enumerate(kind.shape.dim)
        )
        named = {"float": "float32", "double": "float64", "string": "str"}.get(dtype, dtype)
        return TensorSpec(name=value.name, dtype=named, shape=shape)

    return Signature(
        inputs=tuple(spec(value) for value in graph.input if value.name not in weights),
        outputs=tuple(spec(value) for value in graph.output),
    )


def model_bytes(path: Path, model: onnx.ModelProto | None = None) -> int:
    """Size of an ONNX file and of the files that hold its weights.

    Raises:
        ModelError: a file of weights is missing.
    """
    model = model or read_model(path)
    total = path.stat().st_size
    for name in external_names(model):
        file = path.parent / name
        if not file.is_file():
            raise ModelError(f"{path} keeps weights in '{name}', which is missing.")
        total += file.stat().st_size
    return total


@dataclass
class Scope:
    """A graph with its subgraphs, or a function: names mean one thing within it."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: dict[str, onnx.TensorProto] = field(default_factory=dict)
    producers: dict[str, onnx.NodeProto] = field(default_factory=dict)
    consumers: dict[str, list[tuple[onnx.NodeProto, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    results: set[str] = field(default_factory=set)

    def add(self, nodes: Any) -> None:
        """Take in nodes with their subgraphs; a Constant counts as a tensor, not as a node."""
        for node in nodes:
            for attribute in node.attribute:
                for graph in (*attribute.graphs, *([attribute.g] if attribute.g.node else [])):
                    self.add_graph(graph)
            if node.op_type == "Constant":
                for attribute in node.attribute:
                    if attribute.name == "value":
                        self.tensors[node.output[0]] = attribute.t
                continue
            self.nodes.append(node)
            self.producers.update(dict.fromkeys(node.output, node))
            for position, name in enumerate(node.input):
                if name:
                    self.consumers[name].append((node, position))

    def add_graph(self, graph: onnx.GraphProto) -> None:
        """Take in a graph."""
        self.tensors.update({tensor.name: tensor for tensor in graph.initializer})
        self.results.update(value.name for value in graph.output)
        self.add(graph.node)


def scopes(model: onnx.ModelProto) -> Iterator[Scope]:
    """The graph of a model, then each of its functions."""
    main = Scope()
    main.add_graph(model.graph)
    yield main
    for function in model.functions:
        scope = Scope(results=set(function.output))
        scope.add(function.node)
        yield scope


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Value of a node's attribute."""
    import onnx

    for item in node.attribute:
        if item.name == name:
            return onnx.helper.get_attribute_value(item)
    return default
