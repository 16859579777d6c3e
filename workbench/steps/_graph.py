"""An ONNX graph that is being rewritten: weights by name, who uses what, opset, pruning, saving."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.artifact import MANIFEST, Artifact, disk_errors, files_of
from workbench.errors import StepError, WorkbenchError
from workbench.onnx_file import external_locations, save_onnx
from workbench.records import Manifest
from workbench.runtime import runtime_reason

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, np.dtype[Any]]

MODEL_FILE = "model.onnx"
MINIMUM_OPSET = 13
MICROSOFT = "com.microsoft"
QUANTIZED_OPS = frozenset(
    {
        *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),
        *("MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv", "QGemm", "QAttention"),
        *("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "MatMulNBits", "MatMulBnb4"),
        *("GatherBlockQuantized", "QEmbedLayerNormalization", "DynamicQuantizeLSTM"),
    }
)


class Graph:
    """The main graph of an ONNX model: nodes as a list, constants as arrays.

    On opening, local functions are inlined, Constant nodes become initializers, and initializers
    are no longer listed among the inputs, so that every weight is found in one place.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.adopt(model)

    def adopt(self, model: onnx.ModelProto) -> None:
        """Take a model in: the first one, or what a library made of it."""
        self.model = _inlined(model)
        self.proto = self.model.graph
        _lift_constants(self.proto)
        names = {tensor.name for tensor in self.proto.initializer}
        inputs = [value for value in self.proto.input if value.name not in names]
        del self.proto.input[:]
        self.proto.input.extend(inputs)
        self.model.ir_version = max(self.model.ir_version, 8)
        self.nodes: list[onnx.NodeProto] = list(self.proto.node)
        self._tensors = {tensor.name: tensor for tensor in self.proto.initializer}
        self._name_nodes()

    @property
    def opset(self) -> int:
        """Version of the default operator set."""
        return next((o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx")), 1)

    @property
    def inputs(self) -> list[str]:
        """Names of the graph's inputs."""
        return [value.name for value in self.proto.input]

    @property
    def outputs(self) -> list[str]:
        """Names of the graph's outputs."""
        return [value.name for value in self.proto.output]

    def is_constant(self, name: str) -> bool:
        """Whether a value is an initializer."""
        return name in self._tensors

    def tensor(self, name: str) -> onnx.TensorProto:
        """The initializer of a name."""
        return self._tensors[name]

    def tensors(self) -> Iterator[onnx.TensorProto]:
        """All initializers."""
        yield from self._tensors.values()

    def array(self, name: str) -> Array:
        """The values of an initializer."""
        import numpy as np
        from onnx import numpy_helper

        return np.asarray(numpy_helper.to_array(self._tensors[name]))

    def weight(self, name: str, rank: int | None = None) -> Array | None:
        """A float32 initializer (of a rank) as an array, or none."""
        from onnx import TensorProto

        tensor = self._tensors.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT:
            return None
        if rank is not None and len(tensor.dims) != rank:
            return None
        return self.array(name)

    def add(self, name: str, values: Any) -> str:
        """Add an initializer and return its name.

        The same values under the same name are stored once; other values get a name of their own.
        """
        import numpy as np
        from onnx import numpy_helper

        values = np.asarray(values)
        wanted, number = name, 1
        while name in self._tensors:
            held = self.array(name)
            if held.dtype == values.dtype and np.array_equal(held, values):
                return name
            name, number = f"{wanted}_{number}", number + 1
        self._tensors[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def put(self, tensor: onnx.TensorProto) -> None:
        """Add or replace an initializer by a ready tensor."""
        self._tensors[tensor.name] = tensor

    def drop(self, name: str) -> None:
        """Remove an initializer whose name a node will now produce."""
        del self._tensors[name]

    def consumers(self) -> dict[str, list[onnx.NodeProto]]:
        """Nodes by the names they read; what a subgraph reads counts for the node that holds it."""
        found: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(reads(node)):
                found[name].append(node)
        return found

    def producers(self) -> dict[str, onnx.NodeProto]:
        """The node that makes each value."""
        return {name: node for node in self.nodes for name in node.output if name}

    def need_domain(self, domain: str) -> None:
        """Import an operator domain if the model does not yet."""
        from onnx import helper

        if all(opset.domain != domain for opset in self.model.opset_import):
            self.model.opset_import.append(helper.make_opsetid(domain, 1))

    def prune(self) -> None:
        """Drop initializers that nothing reads, and stale shapes of values that are gone."""
        used = {name for node in self.nodes for name in reads(node)} | set(self.outputs)
        self._tensors = {name: t for name, t in self._tensors.items() if name in used}
        made = {name for node in self.nodes for name in node.output}
        values = [value for value in self.proto.value_info if value.name in made]
        del self.proto.value_info[:]
        self.proto.value_info.extend(values)

    def finish(self) -> onnx.ModelProto:
        """The model with all changes written into it."""
        self.prune()
        del self.proto.node[:]
        self.proto.node.extend(self.nodes)
        del self.proto.initializer[:]
        self.proto.initializer.extend(self._tensors.values())
        return self.model

    def _name_nodes(self) -> None:
        names = {node.name for node in self.nodes}
        for index, node in enumerate(self.nodes):
            if not node.name:
                name = f"{node.op_type}_{index}"
                node.name = name if name not in names else f"{name}_{node.output[0]}"


def load(source: Artifact) -> onnx.ModelProto:
    """Read an artifact's ONNX file with its external data.

    Raises:
        StepError: the file cannot be read.
    """
    import onnx

    try:
        return onnx.load(str(source.model_path))
    except WorkbenchError:
        raise
    except Exception as error:  # onnx and protobuf raise many unrelated types
        raise StepError(f"{source.model_path} cannot be read: {runtime_reason(error)}") from error


def open_graph(source: Artifact) -> Graph:
    """The graph of an artifact at an opset that the rewriting knows.

    Raises:
        StepError: the file cannot be read, or its opset is too low and cannot be converted.
    """
    return Graph(raise_opset(load(source)))


def raise_opset(model: onnx.ModelProto, minimum: int = MINIMUM_OPSET) -> onnx.ModelProto:
    """The model at ``minimum`` or above.

    Raises:
        StepError: the converter cannot bring it there.
    """
    from onnx import version_converter

    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), minimum)
    if opset >= minimum:
        return model
    try:
        return version_converter.convert_version(model, minimum)
    except Exception as error:  # the converter raises bare RuntimeErrors and others
        raise StepError(
            f"The model has opset {opset}, at least {minimum} is needed, and it cannot be "
            f"converted: {runtime_reason(error)}",
            hint=f"Export it again with opset {minimum} or above.",
        ) from error


def refuse_quantized(graph: Graph) -> None:
    """Refuse a model that is quantized already.

    Raises:
        StepError: it is; the message names the operators.
    """
    from onnx import TensorProto

    held = sorted({node.op_type for node in graph.nodes} & QUANTIZED_OPS)
    integers = (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT4, TensorProto.UINT4)
    for tensor in graph.tensors():
        if tensor.data_type in integers and len(tensor.dims) > 1 and tensor_bytes(tensor) >= 512:
            held.append(f"weights of 8 bits or fewer ('{tensor.name}')")
            break
    if held:
        raise StepError(
            f"The model is quantized already: it holds {', '.join(held)}.",
            hint="Quantize the float model it was made from.",
        )


def save(model: onnx.ModelProto, source: Artifact, target: Path) -> Manifest:
    """Write ``target/model.onnx``, check that it loads, and carry the other files over.

    Raises:
        StepError: the runtime does not load the model.
        MissingError: the disk is full.
    """
    path = target / MODEL_FILE
    with disk_errors(path):
        target.mkdir(parents=True, exist_ok=True)
        save_onnx(model, path)
        carry_files(source, target)
    check_loads(path)
    return source.manifest.model_copy(
        update={"model_file": MODEL_FILE, "files": {}, "lineage": source.manifest.lineage}
    )


def check_loads(path: Path) -> None:
    """Raise StepError if the runtime does not load the model."""
    from workbench.runtime import open_session

    try:
        open_session(path, threads=1)
    except WorkbenchError as error:
        raise StepError(f"The result cannot be run: {error.message}") from error


def carry_files(source: Artifact, target: Path) -> None:
    """Copy what lies beside the model (tokenizer and so on), without its external data."""
    model = source.model_path
    external = external_files(model)
    for path in files_of(source.path):
        name = path.relative_to(source.path)
        if path == model or path.resolve() in external or name.as_posix() == MANIFEST:
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target / name)


def external_files(model: Path) -> set[Path]:
    """Files that hold the external data of an ONNX file."""
    return {(model.parent / name).resolve() for name in external_locations(model)}


def tensor_bytes(tensor: onnx.TensorProto) -> int:
    """Bytes that a tensor's values take in the file."""
    import math

    from onnx import TensorProto, helper

    count: int = math.prod(tensor.dims)
    if tensor.data_type in (TensorProto.INT4, TensorProto.UINT4):
        return (count + 1) // 2
    if tensor.data_type == TensorProto.STRING:
        return sum(map(len, map(bytes, tensor.string_data)))
    itemsize: int = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return count * itemsize


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """A node's attribute, or its default."""
    from onnx import helper

    for item in node.attribute:
        if item.name == name:
            return helper.get_attribute_value(item)
    return default


def megabytes(count: float) -> str:
    """Bytes for people: ``22.9 MB``, ``12.0 kB``."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def reads(node: onnx.NodeProto) -> Iterable[str]:
    """The names that a node reads, those that its subgraphs read among them."""
    yield from (name for name in node.input if name)
    for item in node.attribute:
        for inner in (*item.graphs, *([item.g] if item.HasField("g") else [])):
            for inside in inner.node:
                yield from reads(inside)
            yield from (value.name for value in inner.output)


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    if not model.functions:
        return model
    from onnx import inliner

    return inliner.inline_local_functions(model)


def _lift_constants(graph: onnx.GraphProto) -> None:
    kept = []
    for node in graph.node:
        tensor = _constant_tensor(node) if node.op_type == "Constant" else None
        if tensor is None:
            kept.append(node)
            continue
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
    if len(kept) < len(graph.node):
        del graph.node[:]
        graph.node.extend(kept)


def _constant_tensor(node: onnx.NodeProto) -> onnx.TensorProto | None:
    import numpy as np
    from onnx import TensorProto, numpy_helper

    tensor = TensorProto()
    for item in node.attribute:
        if item.name == "value":
            tensor.CopyFrom(item.t)
            return tensor
        for name, dtype, values in (
            ("value_float", np.float32, item.f),
            ("value_floats", np.float32, item.floats),
            ("value_int", np.int64, item.i),
            ("value_ints", np.int64, item.ints),
        ):
            if item.name == name:
                plain = values if isinstance(values, float | int) else list(values)
                return numpy_helper.from_array(np.asarray(plain, dtype))
    return None
