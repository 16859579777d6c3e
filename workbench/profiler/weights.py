"""Which tensors of an ONNX graph are weights, who uses them, and how many of them are zero.

A weight is a constant of more than one element that is floating-point or quantized (int8, uint8,
4-bit, float8; int32 only as the bias of a quantized operator). Not weights: scales, zero points,
bounds and other settings of operators, and integers such as shapes and positions. Constants that
an exporter computed, such as masks and position tables, cannot be told from trained ones and
count. Elements are logical ones: of weights that are packed into bytes, each packed value counts;
padding does not. A quantized weight is zero where it equals its zero point.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.errors import ModelError
from workbench.profiler.graph import Scope, attribute, scopes

if TYPE_CHECKING:
    import onnx

SETTINGS: dict[str, frozenset[int]] = {
    "DequantizeLinear": frozenset({1, 2}),
    "QuantizeLinear": frozenset({1, 2}),
    "QLinearMatMul": frozenset({1, 2, 4, 5, 6, 7}),
    "QLinearConv": frozenset({1, 2, 4, 5, 6, 7}),
    "QLinearAdd": frozenset({1, 2, 4, 5, 6, 7}),
    "QLinearMul": frozenset({1, 2, 4, 5, 6, 7}),
    "QGemm": frozenset({1, 2, 4, 5, 7, 8}),
    "QAttention": frozenset({3, 4, 6, 7}),
    "QEmbedLayerNormalization": frozenset(range(8, 18)),
    "ConvInteger": frozenset({2, 3}),
    "MatMulInteger": frozenset({2, 3}),
    "MatMulIntegerToFloat": frozenset({2, 3, 4, 5}),
    "DynamicQuantizeMatMul": frozenset({2, 3}),
    "DynamicQuantizeLSTM": frozenset({8, 9, 10, 11}),
    "MatMulNBits": frozenset({2, 3, 4}),
    "GatherBlockQuantized": frozenset({2, 3}),
    **dict.fromkeys(
        (
            "QLinearSigmoid",
            "QLinearLeakyRelu",
            "QLinearSoftmax",
            "QLinearAveragePool",
            "QLinearGlobalAveragePool",
        ),
        frozenset({1, 2, 3, 4}),
    ),
    "Clip": frozenset({1, 2}),
    "Pad": frozenset({1, 2}),
    "Resize": frozenset({1, 2, 3}),
    "Upsample": frozenset({1}),
}
"""Positions of an operator's inputs that are no weights even where they are constants."""

ZERO_POINTS: dict[str, dict[int, tuple[int, int]]] = {
    "MatMulInteger": {0: (2, -2), 1: (3, -1)},
    "MatMulIntegerToFloat": {1: (5, -1)},
    "DynamicQuantizeMatMul": {1: (3, -1)},
    "QLinearMatMul": {3: (5, -1)},
    "QLinearConv": {3: (5, 0)},
    "ConvInteger": {1: (3, 0)},
    "QAttention": {1: (7, -1)},
    "QEmbedLayerNormalization": {weight: (weight + 11, 0) for weight in range(2, 7)},
    "DynamicQuantizeLSTM": {1: (9, 0), 2: (11, 0)},
}
"""Operator: position of the weight: position of its zero point, and the axis that it follows."""

INT32_BIASES = {("DequantizeLinear", 0), ("QLinearConv", 8), ("QGemm", 6)}
RESHAPES = {"Cast", "Identity", "Transpose", "Reshape", "Unsqueeze", "Squeeze", "Flatten"}
QUANTIZERS = {"DequantizeLinear", "QuantizeLinear"}


class Sink(NamedTuple):
    """Where a constant is used in the end."""

    node: onnx.NodeProto
    position: int
    setting: bool


@dataclass(frozen=True)
class Constant:
    """A constant of the graph, and where it is used."""

    name: str
    dtype: str
    stored_bytes: int
    elements: int
    weight: bool
    uses: tuple[Sink, ...]
    tensor: onnx.TensorProto
    scope: Scope

    @property
    def consumer(self) -> str | None:
        """The operator that it serves, behind dequantization and reshaping; none: unused."""
        return self.uses[0].node.op_type if self.uses else None


def constants(model: onnx.ModelProto) -> list[Constant]:
    """All constants of a model's graphs and functions."""
    return [
        _constant(scope, name, tensor)
        for scope in scopes(model)
        for name, tensor in scope.tensors.items()
    ]


def sparsity(weights: list[Constant], folder: Path) -> float:
    """Share of weights that are exactly zero."""
    total = sum(weight.elements for weight in weights)
    return sum(zeros(weight, folder) for weight in weights) / total if total else 0.0


def zeros(weight: Constant, folder: Path) -> int:
    """How many elements of a weight are exactly zero.

    Raises:
        ModelError: its values cannot be read.
    """
    import numpy as np

    values = array_of(weight.tensor, folder)
    packed = _packed_use(weight)
    if packed is not None:
        return _packed_zeros(values, packed, weight.scope, folder)
    if values.dtype.kind not in "f" and weight.dtype not in ("bfloat16", *FLOAT8):
        values = values.astype(np.int32)
        zero = _zero_point(weight, values.shape, folder)
        return int(np.count_nonzero(values == zero))
    return int(np.count_nonzero(values == 0))


FLOAT8 = ("float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "float4e2m1")
FLOATS = frozenset({"float", "double", "float16", "bfloat16", *FLOAT8})
QUANTIZED = frozenset({"int8", "uint8", "int4", "uint4", "int2", "uint2"})
BITS = {"int4": 4, "uint4": 4, "float4e2m1": 4, "int2": 2, "uint2": 2}


def array_of(tensor: onnx.TensorProto, folder: Path) -> Any:
    """Values of a tensor, from the model or from the file that holds them.

    Raises:
        ModelError: they cannot be read.
    """
    import onnx

    try:
        return onnx.numpy_helper.to_array(tensor, base_dir=str(folder))
    except Exception as error:  # onnx raises many unrelated types
        raise ModelError(f"The weight '{tensor.name}' cannot be read: {error}") from error


def _constant(scope: Scope, name: str, tensor: onnx.TensorProto) -> Constant:
    import onnx

    dtype = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
    elements = prod(tensor.dims)
    uses = tuple(_sinks(scope, name))
    kind = (
        dtype in FLOATS
        or dtype in QUANTIZED
        or (dtype == "int32" and _feeds_quantized_bias(scope, name))
    )
    weight = kind and elements > 1 and any(not use.setting for use in uses)
    stored = -(-elements * BITS.get(dtype, 8 * _itemsize(tensor)) // 8)
    found = Constant(name, dtype, stored, elements, weight, uses, tensor, scope)
    packed = _packed_use(found)
    if packed is not None:
        logical = attribute(packed, "N", 0) * attribute(packed, "K", 0)
        found = Constant(name, dtype, stored, logical, weight, uses, tensor, scope)
    elif (block := _block_use(found)) is not None and dtype == "uint8":
        logical = elements * (8 // attribute(block, "bits", 4))
        found = Constant(name, dtype, stored, logical, weight, uses, tensor, scope)
    return found


def _itemsize(tensor: onnx.TensorProto) -> int:
    import onnx

    if tensor.data_type == onnx.TensorProto.STRING:
        return 1
    return int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _sinks(scope: Scope, name: str, depth: int = 0) -> list[Sink]:
    """Uses of a value, looked up behind reshaping and dequantization."""
    found: list[Sink] = []
    for node, position in scope.consumers.get(name, ()):
        setting = position in SETTINGS.get(node.op_type, ()) or _is_scale(scope, node, position)
        passes = node.op_type in RESHAPES and position == 0
        passes |= node.op_type in QUANTIZERS or (node.op_type in ("Mul", "Sub") and setting)
        passes |= node.op_type in ("Mul", "Sub") and _from_quantized(scope, name)
        further = _sinks(scope, node.output[0], depth + 1) if passes and depth < 8 else []
        if further:
            found += [sink._replace(setting=sink.setting or setting) for sink in further]
        else:
            reshaping = node.op_type in RESHAPES and position > 0
            found.append(Sink(node, position, setting or reshaping))
    return found


def _from_quantized(scope: Scope, name: str) -> bool:
    """Whether a value is a quantized constant that was cast, and perhaps shifted."""
    import onnx

    node = scope.producers.get(name)
    if node is None:
        return False
    if node.op_type == "Sub":
        return _from_quantized(scope, node.input[0])
    tensor = scope.tensors.get(node.input[0]) if node.op_type == "Cast" else None
    return (
        tensor is not None and onnx.TensorProto.DataType.Name(tensor.data_type).lower() in QUANTIZED
    )


def _is_scale(scope: Scope, node: onnx.NodeProto, position: int) -> bool:
    """Whether an operand of Mul or Sub is the scale or zero point of a quantized value."""
    if node.op_type not in ("Mul", "Sub") or len(node.input) != 2:
        return False
    other = node.input[1 - position]
    if _from_quantized(scope, other) and not (node.op_type == "Sub" and position == 0):
        return not _from_quantized(scope, node.input[position]) or node.op_type == "Sub"
    producer = scope.producers.get(other)
    return (
        node.op_type == "Mul"
        and producer is not None
        and producer.op_type == "DynamicQuantizeLinear"
        and other == producer.output[1]
    )


def _feeds_quantized_bias(scope: Scope, name: str) -> bool:
    return any(
        (node.op_type, position) in INT32_BIASES for node, position in scope.consumers.get(name, ())
    )


def _packed_use(constant: Constant) -> onnx.NodeProto | None:
    for node, position in constant.scope.consumers.get(constant.name, ()):
        if node.op_type == "MatMulNBits" and position == 1:
            return node
    return None


def _block_use(constant: Constant) -> onnx.NodeProto | None:
    for node, position in constant.scope.consumers.get(constant.name, ()):
        if node.op_type == "GatherBlockQuantized" and position == 0:
            return node
    return None


def _packed_zeros(values: Any, node: onnx.NodeProto, scope: Scope, folder: Path) -> int:
    """Zeros of the packed weights of MatMulNBits: [N, blocks, bytes], low bits first."""
    import numpy as np

    bits, block = attribute(node, "bits", 4), attribute(node, "block_size", 32)
    columns, rows = attribute(node, "N", 0), attribute(node, "K", 0)
    blocks = -(-rows // block)
    unpacked = _unpack(values, bits).reshape(columns, blocks, block)
    zero: Any = 1 << (bits - 1)
    if len(node.input) > 3 and node.input[3] in scope.tensors:
        points = array_of(scope.tensors[node.input[3]], folder)
        if points.dtype == np.uint8:
            zero = _unpack(points.reshape(columns, -1), bits)[:, :blocks, None]
        else:
            zero = points.reshape(columns, blocks, 1)
    equal = (unpacked == zero).reshape(columns, blocks * block)[:, :rows]
    return int(np.count_nonzero(equal))


def _unpack(values: Any, bits: int) -> Any:
    """Split the bytes of the last axis into values of ``bits`` bits, low bits first."""
    import numpy as np

    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    split = (values[..., None] >> shifts) & ((1 << bits) - 1)
    return split.reshape(*values.shape[:-1], -1)


def _zero_point(weight: Constant, shape: tuple[int, ...], folder: Path) -> Any:
    """The zero point of a quantized weight, in a shape that broadcasts against it."""
    import numpy as np

    for node, position in weight.scope.consumers.get(weight.name, ()):
        found = _zero_point_input(weight.scope, node, position)
        if found is None:
            continue
        name, axis, block = found
        point = array_of(weight.scope.tensors[name], folder).astype(np.int32)
        if point.size == 1:
            return point.reshape(())
        if block:
            return np.repeat(point, block, axis)[tuple(slice(0, size) for size in shape)]
        if point.ndim == 1 and node.op_type != "Cast":
            return point.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])
        return point
    return 0


def _zero_point_input(
    scope: Scope, node: onnx.NodeProto, position: int
) -> tuple[str, int, int] | None:
    """Name of a weight's zero point, the axis that it follows, and the size of its blocks."""
    at, axis, block = 0, 1, 0
    if node.op_type == "DequantizeLinear" and position == 0:
        at, axis, block = 2, attribute(node, "axis", 1), attribute(node, "block_size", 0)
    elif node.op_type == "GatherBlockQuantized" and position == 0:
        axis, block = attribute(node, "quantize_axis", 1), attribute(node, "block_size", 128)
        at = 3
    elif node.op_type == "QGemm" and position == 3:
        at, axis = 5, 0 if attribute(node, "transB", 0) else -1
    elif node.op_type == "Cast":
        subtractions = [n for n, _ in scope.consumers.get(node.output[0], ()) if n.op_type == "Sub"]
        node, at = (subtractions[0], 1) if subtractions else (node, 0)
    else:
        at, axis = ZERO_POINTS.get(node.op_type, {}).get(position, (0, 1))
    if not at or len(node.input) <= at:
        return None
    name = _origin(scope, node.input[at])
    return (name, axis, block) if name in scope.tensors else None


def _origin(scope: Scope, name: str) -> str:
    """The constant behind casts and the like."""
    while name not in scope.tensors and (node := scope.producers.get(name)) is not None:
        if node.op_type not in RESHAPES:
            break
        name = node.input[0]
    return name
