"""Rounding of static int8 weights that makes up for its own errors, convolutions included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.steps._graph import Graph, attribute
from workbench.steps._observe import watched, watching_session
from workbench.steps._rounding import COMPENSATED_ROWS, feedback_of, round_to

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, np.dtype[Any]]
    Feed = dict[str, Array]

ROWS_PER_INPUT = 8
FEWEST_ROWS = 1024
DAMPING = 0.01
"""Share of the gram's mean diagonal added to it, as :mod:`workbench.steps._rounding` does."""


@dataclass
class Layer:
    """A layer with a constant weight, seen as ``patches @ weight`` in one or many groups.

    ``weight`` is float32 ``[groups, inputs, outputs]``: one group for MatMul, Gemm and ordinary
    convolutions, a group per channel for depthwise ones. ``gram`` is ``[groups, inputs, inputs]``.
    """

    node: onnx.NodeProto
    weight: Array
    kernel: tuple[int, ...] = ()
    gram: Array | None = None

    @property
    def groups(self) -> int:
        """How many parts of the input have weights of their own."""
        return int(self.weight.shape[0])


def find_layers(graph: Graph) -> tuple[list[Layer], dict[str, str]]:
    """The layers of a float graph whose rounding can be compensated; of the others, why not."""
    layers, left = [], {}
    for node in graph.nodes:
        if node.op_type not in ("Conv", "MatMul", "Gemm"):
            continue
        weight = graph.weight(node.input[1])
        if weight is None:
            continue
        grouped, reason = _grouped(node, weight)
        if grouped is None:
            left[node.name] = reason
        else:
            layers.append(Layer(node, grouped, weight.shape[2:]))
    return layers, left


def gather(graph: Graph, layers: list[Layer], feeds: Iterator[Feed], samples: int) -> None:
    """Fill in each layer's ``gram``: the sum of ``patch.T @ patch`` over calibrated inputs.

    Of each sample so many places are taken that ``samples`` of them give 8 rows per input channel.

    Raises:
        StepError: the model cannot be run on the feeds.
    """
    names = list(dict.fromkeys(layer.node.input[0] for layer in layers))
    inner = [name for name in names if name not in graph.inputs] or graph.outputs
    session = watching_session(graph, inner)
    for number, feed in enumerate(feeds):
        values = feed | dict(zip(inner, watched(session, inner, feed), strict=True))
        for layer in layers:
            value = values[layer.node.input[0]]
            wanted = max(FEWEST_ROWS, ROWS_PER_INPUT * layer.weight.shape[1])
            rows = _patches(layer, value, -(-wanted // samples), number)
            product = rows.transpose(0, 2, 1) @ rows
            layer.gram = product if layer.gram is None else layer.gram + product


def compensate(graph: Graph, layers: list[Layer], top: int) -> tuple[int, int]:
    """Write compensated integers into the quantized graph, layer by layer where they are better.

    Better is a smaller error of the layer's output on the calibration data, which the gram gives
    exactly. Scales and zero points stay.

    Returns:
        How many layers were compensated, and how many stayed as nearest rounding left them.
    """
    makers = graph.producers()
    nodes = {node.name: node for node in graph.nodes}
    better = same = 0
    for layer in layers:
        node = nodes.get(layer.node.name)
        maker = makers.get(node.input[1]) if node is not None else None
        if layer.gram is None or maker is None or maker.op_type != "DequantizeLinear":
            continue
        held = graph.array(maker.input[0])
        offset = graph.array(maker.input[2]) if len(maker.input) > 2 else None
        if held.dtype != "int8" or (offset is not None and offset.any()):
            continue  # with a zero point: rounded to nearest
        nearest = _grouped(layer.node, held)[0]
        assert nearest is not None
        steps = _steps(layer, graph.array(maker.input[1]))
        found = _rounded(layer, steps, top)
        if _error(layer, found, steps) < _error(layer, nearest, steps):
            _put(graph, maker.input[0], _ungrouped(layer.node, found, held.shape))
            better += 1
        else:
            same += 1
    return better, same


# --- weights as matrices -----------------------------------------------------------------------


def _grouped(node: onnx.NodeProto, weight: Array) -> tuple[Array | None, str]:
    """A weight as ``[groups, inputs, outputs]``, or none and the reason."""
    if node.op_type == "MatMul":
        return (weight[None], "") if weight.ndim == 2 else (None, f"it has {weight.ndim} axes")
    if node.op_type == "Gemm":
        if attribute(node, "transA", 0):
            return None, "its input is transposed"
        return (weight.T if attribute(node, "transB", 0) else weight)[None], ""
    groups = attribute(node, "group", 1)
    if attribute(node, "auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return None, "its padding follows from the input"
    if groups > 1 and weight.shape[1] > 1:
        return None, "it has groups of several channels"
    flat = weight.reshape(len(weight), -1)
    if len(flat) % groups or flat.shape[1] > COMPENSATED_ROWS:
        return None, f"{flat.shape[1]} inputs are too many"
    return flat.reshape(groups, -1, flat.shape[1]).transpose(0, 2, 1), ""


def _ungrouped(node: onnx.NodeProto, grouped: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of :func:`_grouped`."""
    import numpy as np

    if node.op_type == "MatMul" or (node.op_type == "Gemm" and not attribute(node, "transB", 0)):
        return np.asarray(grouped[0])
    return np.asarray(grouped.transpose(0, 2, 1).reshape(shape))


def _steps(layer: Layer, scales: Array) -> Array:
    """Scales (one, or one per output channel) as ``[groups, 1, outputs per group]``."""
    import numpy as np

    groups, _, outputs = layer.weight.shape
    return np.broadcast_to(scales.reshape(-1), (groups * outputs,)).reshape(groups, 1, outputs)


def _put(graph: Graph, name: str, values: Array) -> None:
    import numpy as np
    from onnx import numpy_helper

    graph.put(numpy_helper.from_array(np.ascontiguousarray(values, np.int8), name))


# --- rounding ----------------------------------------------------------------------------------


def _rounded(layer: Layer, steps: Array, top: int) -> Array:
    import numpy as np

    assert layer.gram is not None
    if layer.groups > 1:
        return _rounded_each(layer.weight, steps, layer.gram, top)
    weight = layer.weight[0]
    rows = np.broadcast_to(steps[0], weight.shape)
    return round_to(weight, rows, top=top, feedback=feedback_of(layer.gram[0]))[None]


def _rounded_each(weight: Array, steps: Array, gram: Array, top: int) -> Array:
    """:func:`round_to` with :func:`feedback_of`, for many small groups at once."""
    import numpy as np

    groups, count, _ = weight.shape
    diagonal = np.diagonal(gram, axis1=1, axis2=2)
    order = np.argsort(-diagonal, axis=1, kind="stable")
    each = np.arange(groups)[:, None]
    curvature = gram[each[:, :, None], order[:, :, None], order[:, None, :]].astype(np.float64)
    mean = diagonal.mean(axis=1, dtype=np.float64)
    curvature += DAMPING * np.where(mean > 0, mean, 1.0)[:, None, None] * np.eye(count)
    factor = np.linalg.cholesky(curvature[:, ::-1, ::-1])[:, ::-1, ::-1]
    upper = factor / np.diagonal(factor, axis1=1, axis2=2)[:, None, :]
    wanted = weight[each, order].astype(np.float64)
    values, errors = np.empty_like(wanted), np.zeros_like(wanted)
    for row in range(count):
        made_up = np.einsum("gk,gko->go", upper[:, :row, row], errors[:, :row])
        values[:, row] = np.clip(np.rint((wanted[:, row] + made_up) / steps[:, 0]), -top, top)
        errors[:, row] = wanted[:, row] - values[:, row] * steps[:, 0]
    return np.asarray(values[each, np.argsort(order, axis=1)])


def _error(layer: Layer, integers: Array, steps: Array) -> float:
    """Squared error of the layer's output over the calibrated rows."""
    import numpy as np

    assert layer.gram is not None
    gap = layer.weight - np.ascontiguousarray(integers, np.int8) * steps
    return float(np.einsum("gio,gio->", gap, layer.gram @ gap))


# --- inputs as rows ----------------------------------------------------------------------------


def _patches(layer: Layer, value: Array, per_sample: int, number: int) -> Array:
    """Rows that the weight is multiplied with: ``[groups, rows, inputs]``.

    Args:
        layer: whose rows.
        value: the layer's input, of one batch.
        per_sample: places to take of each sample, evenly spread.
        number: of the batch; places shift with it.
    """
    import numpy as np

    if layer.node.op_type != "Conv":
        return value.reshape(1, -1, value.shape[-1])
    ones, axes = [1] * len(layer.kernel), len(layer.kernel)
    strides = attribute(layer.node, "strides", ones)
    dilations = attribute(layer.node, "dilations", ones)
    pads = attribute(layer.node, "pads", [0] * 2 * axes)
    padded = np.pad(value, ((0, 0), (0, 0), *zip(pads[:axes], pads[axes:], strict=True)))
    reach = [(k - 1) * d + 1 for k, d in zip(layer.kernel, dilations, strict=True)]
    spatial = tuple(range(2, 2 + axes))
    windows: Array = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=spatial)
    every = slice(None)
    steps = (every, every, *(slice(None, None, step) for step in (*strides, *dilations)))
    windows = windows[steps]
    places = windows.shape[2 : 2 + axes]
    total = int(np.prod(places))
    pitch = max(1, total // per_sample)
    chosen = np.unravel_index(np.arange(number % pitch, total, pitch), places)
    index: Any = (every, every, *chosen)
    taken = windows[index]  # samples, channels, places, *kernel
    samples, channels, count = taken.shape[:3]
    if layer.groups > 1:
        return np.asarray(taken.swapaxes(0, 1).reshape(channels, samples * count, -1))
    return np.asarray(taken.swapaxes(1, 2).reshape(1, samples * count, -1))
