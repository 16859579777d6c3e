"""Half precision: float16 throughout, or bfloat16 weights that are widened at load."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from workbench.errors import StepError
from workbench.runtime import runtime_reason
from workbench.steps._decoding import Decoder
from workbench.steps._graph import Graph, attribute
from workbench.steps._observe import batches, watched, watching_session
from workbench.steps._products import SMALL, Result, excluded_nodes

if TYPE_CHECKING:
    import numpy as np
    import onnx

    from workbench.artifact import Artifact
    from workbench.steps import StepContext
    from workbench.steps._quantize_options import QuantizeOptions

    Array = np.ndarray[Any, np.dtype[Any]]

LARGEST = 65504.0
"""Largest finite float16."""
HEADROOM = 0.5
SAMPLES = 16
MASKED = 1e30
"""Magnitudes above this stand for minus infinity in masks; clamping them changes nothing."""


def to_float16(
    graph: Graph, options: QuantizeOptions, source: Artifact, context: StepContext
) -> Result:
    """Convert to float16 in place; inputs and outputs keep their types.

    Nodes that would overflow stay in float32: those with constants beyond float16, and those that
    make or read values beyond half of its range on the calibration data.
    """
    from onnx import TensorProto
    from onnxruntime.transformers import float16

    result = Result()
    blocked = dict.fromkeys(excluded_nodes(graph, options.exclude), "excluded")
    for node in _overflowing_constants(graph):
        blocked.setdefault(node.name, "a constant is beyond float16's range")
    for node in _overflowing_values(graph, options, source, context):
        blocked.setdefault(node.name, "values near or beyond float16's range on calibration data")
    for name, reason in sorted(blocked.items()):
        result.skip(name, reason)
    logger = logging.getLogger(float16.__name__)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        model = float16.convert_float_to_float16(
            graph.finish(), keep_io_types=True, node_block_list=sorted(blocked)
        )
    except Exception as error:  # the converter raises whatever its graph walk meets
        raise StepError(f"The float16 conversion failed: {runtime_reason(error)}") from error
    finally:
        logger.setLevel(level)
    graph.adopt(model)
    _drop_round_trips(graph, blocked)
    graph.nodes = _sorted(graph)
    graph.prune()
    for tensor in graph.tensors():
        if tensor.data_type == TensorProto.FLOAT16:
            result.count("weight in float16")
        elif tensor.data_type == TensorProto.FLOAT:
            result.count("weight left in float32")
    result.choices["inputs_and_outputs"] = "as before"
    return result


def to_bfloat16(
    graph: Graph, options: QuantizeOptions, source: Artifact, context: StepContext
) -> Result:
    """Store weights as bfloat16, in place, and widen them to float32 when the session loads.

    onnxruntime's CPU provider has no bfloat16 kernels for most operators: computing stays float32.
    """
    result = Result()
    excluded = excluded_nodes(graph, options.exclude)
    consumers = graph.consumers()
    decoding: list[onnx.NodeProto] = []
    for tensor in list(graph.tensors()):
        values = graph.weight(tensor.name)
        if values is None or values.size < SMALL or tensor.name in graph.outputs:
            continue
        if any(node.name in excluded for node in consumers.get(tensor.name, [])):
            result.skip(tensor.name, "excluded")
            continue
        decoding += Decoder(graph, tensor.name).bfloat16(values)
        result.count("weight in bfloat16")
    graph.nodes = [*decoding, *graph.nodes]
    if not decoding:
        raise StepError("No float32 weight is large enough to be stored as bfloat16.")
    result.choices["computed_in"] = "float32: the CPU provider lacks bfloat16 kernels"
    return result


def _overflowing_constants(graph: Graph) -> Iterator[onnx.NodeProto]:
    import numpy as np

    large = set()
    for tensor in graph.tensors():
        values = graph.weight(tensor.name)
        if values is None or not values.size:
            continue
        magnitudes = np.abs(values)
        if ((magnitudes > LARGEST) & (magnitudes < MASKED)).any():
            large.add(tensor.name)
    for node in graph.nodes:
        if large & set(node.input):
            yield node


def _overflowing_values(
    graph: Graph, options: QuantizeOptions, source: Artifact, context: StepContext
) -> Iterator[onnx.NodeProto]:
    """Nodes that make or read large values on some calibration samples."""
    names = [name for node in graph.nodes for name in node.output if name]
    peaks: dict[str, float] = {}
    session = None
    limit = min(options.samples, SAMPLES)
    for feed in batches(context.calibration(source), limit, context.progress):
        session = session or watching_session(graph, names)
        values = watched(session, names, feed)
        for name, value in zip(names, values, strict=True):
            peaks[name] = max(peaks.get(name, 0.0), _peak(value))
    large = {name for name, peak in peaks.items() if peak > HEADROOM * LARGEST}
    for node in graph.nodes:
        if large & {*node.input, *node.output}:
            yield node


def _drop_round_trips(graph: Graph, blocked: Collection[str]) -> None:
    """Connect float32 nodes directly: the converter casts to float16 and back between them."""
    from onnx import TensorProto

    producers = graph.producers()
    direct: dict[str, str] = {}
    for node in graph.nodes:
        inner = producers.get(node.input[0]) if node.op_type == "Cast" else None
        if inner is None or inner.op_type != "Cast":
            continue
        maker = producers.get(inner.input[0])
        back = attribute(node, "to", 0) == TensorProto.FLOAT
        if back and maker is not None and maker.name in blocked:
            direct[node.output[0]] = inner.input[0]
    for node in graph.nodes:
        for index, name in enumerate(node.input):
            node.input[index] = direct.get(name, name)
    kept = set(graph.outputs)
    graph.nodes = [n for n in graph.nodes if n.output[0] not in direct or n.output[0] in kept]


def _peak(value: Array) -> float:
    import numpy as np

    if value.dtype != np.float32 or not value.size:
        return 0.0
    magnitudes = np.abs(value)
    return float(np.max(magnitudes, initial=0.0, where=magnitudes < MASKED))


def _sorted(graph: Graph) -> list[onnx.NodeProto]:
    """Nodes in an order in which every value is made before it is read."""
    producers = graph.producers()
    done: set[int] = set()
    ordered: list[onnx.NodeProto] = []
    for root in graph.nodes:
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                ordered.append(node)
                continue
            if id(node) in done:
                continue
            done.add(id(node))
            stack.append((node, True))
            stack.extend(
                (producers[name], False)
                for name in node.input
                if name in producers and id(producers[name]) not in done
            )
    return ordered
