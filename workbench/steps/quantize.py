"""Quantize an ONNX model: fewer bits per weight, and where it pays per activation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from workbench.artifact import Artifact
from workbench.errors import StepError
from workbench.records import Account, Format, Manifest
from workbench.steps import StepContext
from workbench.steps._auto import quantize_auto
from workbench.steps._dynamic import quantize_dynamic
from workbench.steps._float16 import to_bfloat16, to_float16
from workbench.steps._graph import Graph, megabytes, open_graph, refuse_quantized, save
from workbench.steps._parts import bytes_by_part
from workbench.steps._quantize_options import QuantizeOptions
from workbench.steps._static import quantize_static
from workbench.steps._weight_only import quantize_weights

if TYPE_CHECKING:
    from workbench.steps._products import Result

SCHEMES: dict[str, Callable[[Graph, QuantizeOptions, Artifact, StepContext], Result]] = {}


class Quantize(QuantizeOptions):
    """Quantize weights, and activations where the scheme does.

    - ``dynamic-int8``: MatMul and Gemm run in int8; inputs are quantized while the model runs. Per
      token (a scale per row: ZeroQuant, Yao et al. 2022, arXiv:2206.01861), with outlier channels
      smoothed into the weights (SmoothQuant, Xiao et al. 2022, arXiv:2211.10438) where that
      lowers the layer's error on the calibration data, it is the fastest scheme for transformers
      on a CPU with an int8 dot product, at a cosine above .999. For onnxruntime's CPU provider.
    - ``weight-only``: 8 or 4 bits per weight, activations in float. ``compute: load`` decodes the
      weights once, when the session loads: the file is four or eight times smaller and the speed is
      that of float everywhere. That is the default: ``compute: kernel`` (MatMulNBits) keeps the
      memory small too and was 1.3 times faster than float on a CPU with VNNI but up to twice
      as slow on one without, and its kernel rounds the activations to int8.
    - ``static-int8``: activations have fixed scales from calibration (QDQ); for convolutions. A
      layer and its Relu or Clip are rounded once, together, and a last MatMul or Gemm gives out
      float: on 512 photo crops EfficientNet-Lite0 keeps 90 % of its labels for it, against 64 %.
      Compensated rounding, of convolutions too, brings 95 to 97 %. ``bias_correction`` halves
      the squared error of the outputs once more, where the calibration data are like those
      that the model will see: calibrated with small enlarged pictures it made photographs worse.
    - ``float16``, ``bfloat16``: half the file. On a CPU the speed is that of float or below.
    - ``auto``, with ``within: {quality: -0.5%}`` and ``for: size|latency|cost``: a scheme for each
      layer. How much each layer's error does to the output is measured; models along the way from
      the cheapest to the most careful one are judged on the task's metric, and the best of those
      that keep the budget with the whole interval is taken. The account has the curve, and why
      layers stayed. Where none keeps it, the run ends with the exit code of a failed gate.

    Rounding is ``compensated`` by default: each weight's rounding error is made up for in the
    weights that follow (GPTQ, Frantar et al. 2022, arXiv:2210.17323); on MiniLM it leaves a third
    of the error at no cost when the model runs. Without calibration data it falls back to
    ``nearest``, and the account says so.
    """

    name: ClassVar[str] = "quantize"
    accepts: ClassVar[Format] = "onnx"
    makes: ClassVar[Format] = "onnx"
    shorthand: ClassVar[str | None] = "scheme"
    seconds: ClassVar[float] = 20.0

    def apply(
        self, source: Artifact, target: Path, context: StepContext
    ) -> tuple[Manifest, Account]:
        """Quantize the model and say what was done to what."""
        graph = open_graph(source)
        refuse_quantized(graph)
        parts_before = bytes_by_part(graph)
        size_before = graph.finish().ByteSize()
        result = SCHEMES[self.scheme](graph, self, source, context)
        model = graph.finish()
        size_after = model.ByteSize()
        if size_after >= size_before:
            raise StepError(
                f"{self.scheme} would make the model larger: {megabytes(size_before)} before, "
                f"{megabytes(size_after)} after.",
                hint="It is too small to gain; leave it as it is.",
            )
        manifest = save(model, source, target)
        done = ", ".join(f"{count} {kind}" for kind, count in result.changed.items())
        return manifest, Account(
            summary=f"{self.scheme}: {done}; {megabytes(size_before)} → {megabytes(size_after)} "
            f"({size_after / size_before:.0%}).",
            changed=result.changed,
            skipped=tuple(result.skipped),
            choices=result.choices,
            bytes_before=parts_before,
            bytes_after=bytes_by_part(graph),
        )


SCHEMES |= {
    "dynamic-int8": quantize_dynamic,
    "weight-only": quantize_weights,
    "static-int8": quantize_static,
    "float16": to_float16,
    "bfloat16": to_bfloat16,
    "auto": quantize_auto,
}
