"""Taking a model apart into layers, and putting it together from layers of several schemes.

Each scheme is applied to the whole model once. What stands in its result between the activations
that the float model has too is a layer's piece: a mixed model is the float model with pieces in
the place of some nodes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.steps._graph import Graph, tensor_bytes
from workbench.steps._products import SMALL, Result, find_products, share_weights

if TYPE_CHECKING:
    import onnx

PRODUCTS = ("MatMul", "Gemm")
CONVOLUTIONS = ("Conv", "ConvTranspose", "FusedConv")
LOOKUPS = ("Gather", "EmbedLayerNormalization")
LAYERS = (*PRODUCTS, *CONVOLUTIONS, *LOOKUPS, "LSTM", "GRU")


@dataclass(frozen=True)
class Layer:
    """Nodes that are treated alike because they share a weight or an input.

    ``weight_bytes`` are those of their float weights.
    """

    nodes: tuple[str, ...]
    kind: str
    weight_bytes: int

    @property
    def name(self) -> str:
        """The first node's name, and how many more there are."""
        more = len(self.nodes) - 1
        return self.nodes[0] + (f" and {more} more" if more else "")


@dataclass(frozen=True)
class Piece:
    """What one node becomes under a scheme: nodes that make its output, and their constants.

    The order of the nodes is that in which they can run.
    """

    nodes: tuple[onnx.NodeProto, ...]
    tensors: dict[str, onnx.TensorProto]


@dataclass(frozen=True)
class Form:
    """The whole model under one scheme, and the pieces of the nodes that the scheme changed."""

    graph: Graph
    pieces: dict[str, Piece]

    def covers(self, layer: Layer) -> bool:
        """Whether the scheme changed the layer."""
        return any(node in self.pieces for node in layer.nodes)

    def bytes_of(self, layer: Layer) -> int:
        """Bytes of the layer's constants under the scheme; a shared one counts once."""
        tensors = {
            name: tensor_bytes(tensor)
            for node in layer.nodes
            if node in self.pieces
            for name, tensor in self.pieces[node].tensors.items()
        }
        return sum(tensors.values())


def clone(graph: Graph) -> Graph:
    """A graph of its own with the same content; only the tensors are shared, not copied.

    Protobuf frees nothing of a message before all of it: to write the weights into the same model
    again and again would keep every copy.
    """
    model = type(graph.model)()
    model.ir_version = graph.model.ir_version
    model.opset_import.extend(graph.model.opset_import)
    model.metadata_props.extend(graph.model.metadata_props)
    model.graph.name = graph.proto.name
    for values in ("input", "output", "value_info"):
        getattr(model.graph, values).extend(getattr(graph.proto, values))
    model.graph.node.extend(graph.nodes)
    copied = Graph(model)
    for tensor in graph.tensors():
        copied.put(tensor)
    return copied


def find_layers(graph: Graph, excluded: Collection[str]) -> list[Layer]:
    """The layers with weights worth storing smaller, in the order in which they run."""
    groups: list[list[str]] = [
        [product.node.name for product in group]
        for group in share_weights(find_products(graph, excluded, Result()))
    ]
    by_weight: dict[str, list[str]] = {}
    held = {node.name: weights_of(graph, node) for node in graph.nodes}
    for node in graph.nodes:
        weights = held[node.name]
        if node.op_type in LAYERS and node.op_type not in PRODUCTS and weights:
            by_weight.setdefault(weights[0], []).append(node.name)
    groups += [names for names in by_weight.values() if not set(excluded) & set(names)]
    order = {node.name: at for at, node in enumerate(graph.nodes)}
    kinds = {node.name: node.op_type for node in graph.nodes}
    layers = []
    for names in sorted(groups, key=lambda names: min(order[name] for name in names)):
        shared = {weight for name in names for weight in held[name]}
        size = sum(tensor_bytes(graph.tensor(weight)) for weight in shared)
        layers.append(Layer(tuple(names), kinds[names[0]], size))
    return layers


def weights_of(graph: Graph, node: onnx.NodeProto) -> list[str]:
    """Names of a node's float32 constants with two axes or more that are not too small to gain."""
    import math

    from onnx import TensorProto

    found = []
    for name in node.input:
        if not graph.is_constant(name):
            continue
        tensor = graph.tensor(name)
        large = len(tensor.dims) > 1 and math.prod(tensor.dims) >= SMALL
        if large and tensor.data_type == TensorProto.FLOAT:
            found.append(name)
    return found


def take_apart(base: Graph, form: Graph, layers: Iterable[Layer]) -> Form:
    """The pieces of all nodes of the layers that differ between the float model and the form."""
    activations = set(base.inputs) | {name for node in base.nodes for name in node.output if name}
    before = {node.name: node for node in base.nodes}
    after = {node.name: node for node in form.nodes}
    makers = form.producers()
    order = {id(node): at for at, node in enumerate(form.nodes)}
    pieces = {}
    for name in (name for layer in layers for name in layer.nodes):
        node = before[name]
        head = makers.get(node.output[0]) or after.get(name)
        if head is None:
            continue
        found: dict[int, onnx.NodeProto] = {}
        tensors: dict[str, onnx.TensorProto] = {}
        queue = [head]
        while queue:
            current = queue.pop()
            if id(current) in found:
                continue
            found[id(current)] = current
            for value in current.input:
                if form.is_constant(value):
                    tensors[value] = form.tensor(value)
                elif value and value not in activations:
                    queue.append(makers[value])
        if len(found) == 1 and head.SerializeToString() == node.SerializeToString():
            continue
        nodes = sorted(found.values(), key=lambda node: order[id(node)])
        if node.output[0] not in makers:  # QDQ folds a Relu into the node before it
            nodes = [_renamed(n, {head.output[0]: node.output[0]}) for n in nodes]
        pieces[name] = Piece(tuple(nodes), tensors)
    return Form(form, pieces)


def put_together(base: Graph, chosen: Mapping[Layer, str], forms: Mapping[str, Form]) -> Graph:
    """The float model with each layer in the form of the scheme that was chosen for it.

    Args:
        base: the float model; it is not changed.
        chosen: the name of a form by layer; a layer that is missing stays as it is.
        forms: the forms by name.
    """
    graph = clone(base)
    of_node = {node: form for layer, form in chosen.items() for node in layer.nodes}
    own = {node.output[0] for node in graph.nodes if node.output}
    renames: dict[str, dict[str, str]] = {}
    taken: dict[str, str] = {}
    first: list[onnx.NodeProto] = []
    nodes: list[onnx.NodeProto] = []
    done: set[str] = set()
    fixed = {tensor.name for tensor in graph.tensors()}
    for node in graph.nodes:
        form = of_node.get(node.name, "")
        piece = forms[form].pieces.get(node.name) if form else None
        if piece is None:
            nodes.append(node)
            continue
        names = renames.setdefault(form, {})
        for name, tensor in piece.tensors.items():
            names[name] = _add(graph, tensor, form)
            fixed.add(names[name])
        for new in piece.nodes:
            for name in new.output:
                clash = name not in own and taken.setdefault(name, form) != form
                names[name] = f"{name} {form}" if clash else name
            made = _renamed(new, names)
            if made.output[0] in done:
                continue
            done.add(made.output[0])
            # What is computed from constants alone goes first: others may read it too.
            constant = all(name in fixed for name in made.input if name)
            if constant:
                fixed.update(made.output)
            (first if constant else nodes).append(made)
            for name in made.output:
                if graph.is_constant(name):
                    graph.drop(name)
            if made.domain:
                graph.need_domain(made.domain)
    graph.nodes = [*first, *nodes]
    return graph


def _add(graph: Graph, tensor: onnx.TensorProto, form: str) -> str:
    """Add a form's constant; another one of the same name makes it take a name of its own."""
    name: str = tensor.name
    if graph.is_constant(name):
        if graph.tensor(name).SerializeToString() == tensor.SerializeToString():
            return name
        name = f"{name} {form}"
    copied = type(tensor)()
    copied.CopyFrom(tensor)
    copied.name = name
    graph.put(copied)
    return name


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    copied = type(node)()
    copied.CopyFrom(node)
    for values in (copied.input, copied.output):
        for at, name in enumerate(values):
            values[at] = names.get(name, name)
    return copied
