"""Static int8: activations with fixed scales from calibration, as QDQ pairs."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import StepError, WorkbenchError
from workbench.runtime import runtime_reason
from workbench.steps._dynamic import weight_format
from workbench.steps._graph import Graph, tensor_bytes
from workbench.steps._observe import batches
from workbench.steps._products import Result, excluded_nodes
from workbench.steps._static_bias import correct_biases
from workbench.steps._static_pairs import free_outputs, merge_activations
from workbench.steps._static_rounding import compensate, find_layers, gather

if TYPE_CHECKING:
    import numpy as np

    from workbench.artifact import Artifact
    from workbench.steps import StepContext
    from workbench.steps._quantize_options import QuantizeOptions

    Array = np.ndarray[Any, np.dtype[Any]]
    Feed = dict[str, Array]

QUANTIZED = ("Conv", "ConvTranspose", "MatMul", "Gemm")
WITH_WEIGHTS = (*QUANTIZED, "Gather", "LSTM", "GRU", "Attention")
REDUCED_TOP = 64
"""onnxruntime's largest integer of reduced range."""

BIAS_BATCHES = 8
"""Batches for the bias correction, spread over the calibration data; half of them judge it."""

HISTOGRAM_SAMPLES = 128
"""Entropy and percentile keep every activation in memory: no more samples than this."""


def quantize_static(
    graph: Graph, options: QuantizeOptions, source: Artifact, context: StepContext
) -> Result:
    """QuantizeOptions in place with onnxruntime's calibration and QDQ writer.

    Activations are uint8 with a zero point (most follow a ReLU or GELU and have one sign), weights
    int8 and symmetric.
    """
    result = Result()
    dtype, top, why = weight_format(options, context.machine)
    limit = options.samples
    if options.calibrate != "minmax":
        limit = min(limit, HISTOGRAM_SAMPLES)
    feeds = batches(context.calibration(source), limit, _part(context.progress, 0, 0.5))
    first = next(feeds, None)
    if first is None:
        raise StepError(
            "static-int8 needs calibration data, and the task has none.",
            hint="Use scheme weight-only or dynamic-int8, which do without.",
        )
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        prepared = _prepared(graph, Path(folder))
        excluded = excluded_nodes(graph, options.exclude) | excluded_nodes_of(prepared, options)
        model = _quantized(
            prepared, Path(folder), options, excluded, _Reader(first, feeds), dtype, top < 127
        )
    before = Counter(node.op_type for node in prepared.nodes)
    graph.adopt(model)
    result.choices["activations_merged"] = merge_activations(graph)
    result.choices["outputs_in_float"] = free_outputs(graph)
    if options.rounding == "compensated":
        context.say("compensating the rounding of weights")
        feeds = batches(context.calibration(source), limit, _part(context.progress, 0.5, 0.9))
        _compensate(graph, prepared, feeds, limit, top, result)
    if options.bias_correction:
        context.say("correcting biases, layer by layer")
        feeds = batches(context.calibration(source), limit, _part(context.progress, 0.9, 1))
        _correct(graph, prepared, list(feeds), result)
    _account(graph, before, excluded, result)
    result.choices |= {
        "weights": dtype,
        "weights_because": why,
        "activations": "uint8 with zero point",
        "calibrate": options.calibrate,
        "samples_at_most": limit,
    }
    return result


def _part(
    progress: Callable[[float, float], None], start: float, stop: float
) -> Callable[[float, float], None]:
    """A progress that goes from one share of the work to another."""
    return lambda done, total: progress(start + (stop - start) * done / total, 1.0)


def _compensate(
    graph: Graph, prepared: Graph, feeds: Iterator[Feed], limit: int, top: int, result: Result
) -> None:
    layers, left = find_layers(prepared)
    gather(prepared, layers, feeds, limit)
    better, same = compensate(graph, layers, REDUCED_TOP if top < 127 else 127)
    result.choices["rounding_compensated"] = better
    if same:
        result.choices["rounding_nearest_is_better"] = same
    if left:
        result.choices["rounding_nearest_because"] = left


def _correct(graph: Graph, prepared: Graph, feeds: list[Feed], result: Result) -> None:
    spread = feeds[:: max(1, len(feeds) // BIAS_BATCHES)]
    count, before, after = correct_biases(graph, prepared, spread)
    result.choices["biases_corrected"] = count
    result.choices["output_error_before_and_after"] = [round(before, 6), round(after, 6)]


def excluded_nodes_of(prepared: Graph, options: QuantizeOptions) -> set[str]:
    """The excluded nodes under their names after preparation, which may drop or add some."""
    found: set[str] = set()
    for pattern in options.exclude:
        try:
            found |= excluded_nodes(prepared, [pattern])
        except StepError:
            continue  # it named a node that preparation folded away
    return found


class _Reader:
    """Feeds as onnxruntime's calibration reads them."""

    def __init__(self, first: Feed, rest: Iterator[Feed]) -> None:
        self.first: Feed | None = first
        self.rest = rest

    def get_next(self) -> Feed | None:
        """The next feed, or none."""
        if self.first is not None:
            feed, self.first = self.first, None
            return feed
        return next(self.rest, None)


def _prepared(graph: Graph, folder: Path) -> Graph:
    """Shapes inferred and constants folded, as the QDQ writer wants it."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path, result = folder / "float.onnx", folder / "prepared.onnx"
    onnx.save(graph.finish(), str(path))
    for symbolic in (False, True):  # symbolic inference fails on some contrib operators
        try:
            with contextlib.chdir(folder):  # shape inference drops files where it runs
                quant_pre_process(str(path), str(result), skip_symbolic_shape=symbolic)
            prepared = Graph(onnx.load(str(result)))
            _flatten_biases(prepared)
            return prepared
        except Exception as error:  # onnxruntime raises many unrelated types
            reason = runtime_reason(error)
    raise StepError(f"The model cannot be prepared for static quantization: {reason}")


def _flatten_biases(graph: Graph) -> None:
    """Give Gemm biases of shape (1, N) one axis: the QDQ writer knows no others."""
    for node in graph.nodes:
        if node.op_type != "Gemm" or len(node.input) < 3:
            continue
        bias = graph.weight(node.input[2], rank=2)
        if bias is not None and len(bias) == 1:
            node.input[2] = graph.add(f"{node.input[2]}_flat", bias[0])


def _quantized(
    prepared: Graph,
    folder: Path,
    options: QuantizeOptions,
    excluded: set[str],
    reader: _Reader,
    dtype: str,
    reduce_range: bool,
) -> Any:
    import onnx
    from onnxruntime import quantization as ort

    methods = {
        "minmax": ort.CalibrationMethod.MinMax,
        "entropy": ort.CalibrationMethod.Entropy,
        "percentile": ort.CalibrationMethod.Percentile,
    }
    path, result = folder / "prepared.onnx", folder / "quantized.onnx"
    onnx.save(prepared.finish(), str(path))
    signed = dtype == "int8"
    extra: dict[str, Any] = {"ActivationSymmetric": False, "WeightSymmetric": signed}
    if options.calibrate == "percentile":
        extra["CalibPercentile"] = options.percentile
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        ort.quantize_static(
            str(path),
            str(result),
            reader,
            quant_format=ort.QuantFormat.QDQ,
            op_types_to_quantize=[*QUANTIZED, *(["Gather"] if options.embeddings else [])],
            per_channel=options.per_channel,
            reduce_range=reduce_range,
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8 if signed else ort.QuantType.QUInt8,
            nodes_to_exclude=sorted(excluded),
            calibrate_method=methods[options.calibrate],
            extra_options=extra,
        )
        return onnx.load(str(result))
    except WorkbenchError:
        raise
    except Exception as error:  # onnxruntime raises many unrelated types
        raise StepError(f"Static quantization failed: {runtime_reason(error)}") from error
    finally:
        logging.root.setLevel(level)


def _account(graph: Graph, before: Counter[str], excluded: set[str], result: Result) -> None:
    """Count what reads dequantized weights; list what kept float ones."""
    makers = graph.producers()
    quantized = ("DequantizeLinear",)
    for node in graph.nodes:
        if node.op_type not in WITH_WEIGHTS:
            continue
        held = [name for name in node.input if graph.is_constant(name)]
        made = [makers[name].op_type for name in node.input if name in makers]
        if any(kind in quantized for kind in made):
            result.count(node.op_type)
        elif held:
            size = sum(tensor_bytes(graph.tensor(name)) for name in held)
            reason = "excluded" if node.name in excluded else "no quantized form"
            result.skip(node.name, f"{reason}: {size} bytes of weights stay as they are")
    if not result.changed:
        kinds = ", ".join(sorted(before))
        raise StepError(f"There is nothing to quantize statically among: {kinds}.")
