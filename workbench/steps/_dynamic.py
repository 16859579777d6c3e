"""Dynamic int8: inputs are quantized while the model runs, per token or per tensor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.errors import StepError
from workbench.machine import has_int8_dot
from workbench.records import Machine
from workbench.steps._activations import Recipe, choose
from workbench.steps._embeddings import shrink_tables
from workbench.steps._graph import MICROSOFT, Graph
from workbench.steps._observe import Observed, gram_of
from workbench.steps._products import (
    Product,
    Result,
    excluded_nodes,
    find_products,
    share_weights,
)
from workbench.steps._rounding import Feedback, Rounded, feedback_of, round_weight
from workbench.steps._watch import watch

if TYPE_CHECKING:
    import numpy as np
    import onnx

    from workbench.artifact import Artifact
    from workbench.steps import StepContext
    from workbench.steps._quantize_options import QuantizeOptions

    Array = np.ndarray[Any, np.dtype[Any]]

COMPENSATED_SHARE = 0.33
"""Share of nearest rounding's error that compensated rounding leaves (measured on MiniLM)."""


def quantize_dynamic(
    graph: Graph, options: QuantizeOptions, source: Artifact, context: StepContext
) -> Result:
    """QuantizeOptions MatMul and Gemm, and the embedding tables, in place."""
    result = Result()
    excluded = excluded_nodes(graph, options.exclude)
    products = find_products(graph, excluded, result)
    for node in graph.nodes:
        if node.op_type in ("Conv", "ConvTranspose", "LSTM", "GRU", "Attention"):
            result.skip(node.name, f"{node.op_type} has no fast dynamic int8 kernel on CPUs")
    if not products:
        left = "".join(f" '{item.name}': {item.reason}." for item in result.skipped[:1])
        raise StepError(
            "There is nothing to quantize dynamically: no MatMul or Gemm has a large float32 "
            f"weight.{left}",
            hint="Use scheme static-int8 for convolutions, or weight-only for a smaller file.",
        )
    dtype, top, why = weight_format(options, context.machine)
    result.choices |= {
        "weights": f"{dtype}, {top} steps on either side",
        "weights_because": why,
        "activations": options.activations,
    }
    smooth = options.smooths
    compensate = options.rounding == "compensated"
    seen = watch(graph, products, options, source, context) if smooth or compensate else {}
    result.choices["rounding"] = "compensated" if seen and compensate else "nearest"
    result.choices["calibration"] = f"{len(seen)} layer inputs watched" if seen else "none"

    writer = _Writer(graph, options.activations == "per-token", dtype)
    recipes: Counter[str] = Counter()
    for group in share_weights(products):
        observed = [seen[name] for name in dict.fromkeys(p.data for p in group) if name in seen]
        recipe = Recipe()
        if observed and (smooth or writer.per_token):
            recipe = choose(
                observed,
                list({p.weight: p.matrix for p in group}.values()),
                top=top,
                smooth=smooth,
                weight_share=COMPENSATED_SHARE if compensate else 1.0,
            )
        if not writer.per_token:
            recipe = Recipe(strength=recipe.strength, smooth=recipe.smooth)
        recipes[f"smoothing {recipe.strength or 'none'}, zero point {recipe.zero}"] += len(group)
        feedback = _feedback(observed, recipe) if compensate else None
        for product in group:
            matrix = product.matrix
            if recipe.smooth is not None:
                matrix = matrix * recipe.smooth[:, None]
            rounded = round_weight(
                matrix, top=top, per_channel=options.per_channel, feedback=feedback
            )
            writer.replace(product, recipe, rounded)
            result.count(product.node.op_type)
    result.choices["inputs"] = dict(sorted(recipes.items()))
    graph.nodes = writer.nodes()
    graph.need_domain(MICROSOFT)
    if options.embeddings:
        shrink_tables(graph, excluded, result)
    return result


def weight_format(options: QuantizeOptions, machine: Machine) -> tuple[str, int, str]:
    """Stored type, largest integer, and the reason.

    Without VNNI (or AMX, or Arm's dot product) the uint8 × int8 kernel adds pairs of products in
    16 bits, which saturates. At most 63 rules that out (255 · 64 · 2 < 32767); at most 96 leaves
    it to 3 pairs in a million on MiniLM (127: 1 in 7000), far below the noise of rounding, and
    keeps most of the precision. Unsigned weights go through a kernel that never saturates and is
    about as slow as float.
    """
    exact = has_int8_dot(machine.isa)
    dtype = "int8" if options.weights == "auto" else options.weights
    if options.reduce_range != "auto":
        return dtype, 63 if options.reduce_range else 127, "as asked"
    if dtype == "uint8":
        return dtype, 127, "as asked; its kernel does not saturate"
    if exact:
        return dtype, 127, "the CPU has an int8 dot product"
    return dtype, 96, "reduced range: without VNNI sums of two products saturate at 16 bits"


def _feedback(observed: Sequence[Observed], recipe: Recipe) -> Feedback | None:
    gram = gram_of(observed)
    if gram is None:
        return None
    if recipe.smooth is not None:
        gram = gram / (recipe.smooth[:, None] * recipe.smooth[None, :])
    return feedback_of(gram)


class _Writer:
    """Writes the quantized nodes in place of products."""

    def __init__(self, graph: Graph, per_token: bool, dtype: str) -> None:
        self.graph = graph
        self.per_token = per_token
        self.dtype = dtype
        self.replacements: dict[int, list[onnx.NodeProto]] = {}
        self.inputs: dict[str, tuple[str, str, str, str | None]] = {}
        self.weights: dict[str, tuple[str, str]] = {}

    def nodes(self) -> list[onnx.NodeProto]:
        """All nodes of the graph with the replacements."""
        return [new for node in self.graph.nodes for new in self.replacements.get(id(node), [node])]

    def replace(self, product: Product, recipe: Recipe, rounded: Rounded) -> None:
        """Put the quantized form of a product in its place."""
        import numpy as np

        nodes = self.replacements[id(product.node)] = []
        quantized, scale, zero, row_scale = self._input(product.data, recipe, nodes)
        weight, weight_scale = self._weight(product.weight, rounded)
        output = product.output
        bias = product.bias is not None
        chain = [f"{output}_int8", *([f"{output}_scaled"] if bias else [])] if row_scale else []
        chain = chain or ([f"{output}_int8"] if bias else [])
        first = chain[0] if chain else output
        arguments = [quantized, weight, scale, weight_scale, zero]
        if self.dtype == "uint8":
            arguments.append(self.graph.add("quantized_zero_weight", np.uint8(128)))
        name = product.node.name
        _node(nodes, "MatMulIntegerToFloat", arguments, first, name, domain=MICROSOFT)
        if row_scale:
            scaled = chain[1] if bias else output
            _node(nodes, "Mul", [first, row_scale], scaled, f"{name}_rescale")
            first = scaled
        if product.bias is not None:
            added = self.graph.add(f"{name}_bias", product.bias)
            _node(nodes, "Add", [first, added], output, f"{name}_add_bias")

    def _weight(self, name: str, rounded: Rounded) -> tuple[str, str]:
        import numpy as np

        if name not in self.weights:
            values = rounded.values
            if self.dtype == "uint8":
                values = (values.astype(np.int16) + 128).astype(np.uint8)
            scales = rounded.scales[0]
            self.weights[name] = (
                self.graph.add(f"{name}_{self.dtype}", values),
                self.graph.add(f"{name}_scale", scales if np.ptp(scales) else scales[:1]),
            )
        return self.weights[name]

    def _input(
        self, data: str, recipe: Recipe, nodes: list[onnx.NodeProto]
    ) -> tuple[str, str, str, str | None]:
        """Names of the quantized input, its scale, its zero point, and the scale of its rows."""
        if data not in self.inputs:
            at = data
            if recipe.smooth is not None:
                factor = self.graph.add(f"{data}_smooth", 1 / recipe.smooth)
                at = _node(nodes, "Mul", [data, factor], f"{data}_smoothed")
            write = self._per_token if self.per_token else self._per_tensor
            self.inputs[data] = write(data, at, recipe, nodes)
        return self.inputs[data]

    def _per_tensor(
        self, data: str, at: str, recipe: Recipe, nodes: list[onnx.NodeProto]
    ) -> tuple[str, str, str, None]:
        from onnx import helper

        outputs = (f"{data}_uint8", f"{data}_scale", f"{data}_zero")
        node = helper.make_node(
            "DynamicQuantizeLinear", [at], list(outputs), name=f"{data}_quantize"
        )
        nodes.append(node)
        return (*outputs, None)

    def _per_token(
        self, data: str, at: str, recipe: Recipe, nodes: list[onnx.NodeProto]
    ) -> tuple[str, str, str, str]:
        import numpy as np

        add = self.graph.add
        scale = add(f"quantized_step_{recipe.steps}", np.float32(1 / recipe.steps))
        zero = add(f"quantized_zero_{recipe.zero}", np.uint8(recipe.zero))
        floor = add("quantized_floor", np.float32(recipe.floor))
        peaked = _node(nodes, "Abs", [at], f"{data}_abs") if recipe.symmetric else at
        axes: dict[str, Any] = {"axes": [-1]}
        arguments = [peaked]
        if self.graph.opset >= 18:
            axes = {}
            arguments.append(add("quantized_axis", np.array([-1], np.int64)))
        peak = _node(nodes, "ReduceMax", arguments, f"{data}_peak", keepdims=1, **axes)
        rows = _node(nodes, "Max", [peak, floor], f"{data}_rows")
        unit = _node(nodes, "Div", [at, rows], f"{data}_unit")
        quantized = _node(nodes, "QuantizeLinear", [unit, scale, zero], f"{data}_uint8")
        return quantized, scale, zero, rows


def _node(
    nodes: list[onnx.NodeProto],
    operator: str,
    arguments: list[str],
    output: str,
    name: str | None = None,
    **attributes: Any,
) -> str:
    from onnx import helper

    name = name or f"{output}_{operator}"
    nodes.append(helper.make_node(operator, arguments, [output], name=name, **attributes))
    return output
