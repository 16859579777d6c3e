"""Weight-only quantization: 8- or 4-bit weights, float activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import StepError
from workbench.steps._decoding import Decoder
from workbench.steps._embeddings import only_gathered, round_table, shrink_tables, table_lookups
from workbench.steps._graph import MICROSOFT, Graph, attribute
from workbench.steps._observe import gram_of
from workbench.steps._products import (
    SMALL,
    Product,
    Result,
    excluded_nodes,
    find_products,
    share_weights,
)
from workbench.steps._recurrent import RECURRENT, TOO_WIDE, Seen, seen_inputs
from workbench.steps._rounding import Feedback, Rounded, feedback_of, round_weight
from workbench.steps._watch import watch

if TYPE_CHECKING:
    import numpy as np
    import onnx

    from workbench.artifact import Artifact
    from workbench.steps import StepContext
    from workbench.steps._quantize_options import QuantizeOptions

    Array = np.ndarray[Any, np.dtype[Any]]

SMALLEST_BLOCK = 8
KERNEL_BLOCKS = {8: 128, 4: 32}
INT8_ACCUMULATION = 4
"""MatMulNBits' accuracy level: inputs are rounded to int8 per block inside the kernel."""
HEAVY = frozenset(
    {"MatMul", "Gemm", "Conv", "ConvTranspose", "Gather", "EmbedLayerNormalization", "LSTM", "GRU"}
)
OUTPUT_AXIS = {"Conv": 0, "FusedConv": 0, "ConvTranspose": 1, "LSTM": 1, "GRU": 1}


@dataclass(frozen=True)
class Site:
    """A weight and how its tensor becomes a matrix (inputs, outputs)."""

    name: str
    kind: str
    matrix: Array
    order: tuple[int, ...]
    shape: tuple[int, ...]


def quantize_weights(
    graph: Graph, options: QuantizeOptions, source: Artifact, context: StepContext
) -> Result:
    """Store the weights small, in place."""
    result = Result()
    excluded = excluded_nodes(graph, options.exclude)
    scratch = Result()  # products that are skipped here may still be decoded at load
    products = find_products(graph, excluded, scratch)
    originals = {tensor.name for tensor in graph.tensors()}
    compensate = options.rounding == "compensated" and bool(products)
    seen = watch(graph, products, options, source, context) if compensate else {}
    result.choices |= {
        "compute": options.compute,
        "bits": options.bits,
        "rounding": "compensated" if seen else "nearest",
    }
    feedback: dict[str, Feedback] = {}
    for group in share_weights(products) if seen else []:
        gram = gram_of(seen[name] for name in dict.fromkeys(p.data for p in group) if name in seen)
        if gram is not None:
            feedback |= dict.fromkeys((p.weight for p in group), feedback_of(gram))
    if options.compute == "kernel":
        _use_kernels(graph, products, feedback, options, result)
        if options.embeddings and options.bits == 8:
            shrink_tables(graph, excluded, result)
        elif options.embeddings:
            _gather_nibbles(graph, excluded, options, result)
    recurrent: dict[str, Seen] = {}
    if options.rounding == "compensated":
        recurrent = seen_inputs(graph, excluded, options.samples, source, context)
        feedback |= {name: seen.feedback for name, seen in recurrent.items()}
    _decode_at_load(graph, originals, excluded, feedback, recurrent, options, result)
    if not result.changed:
        raise StepError("No weight was found that is large enough to be stored smaller.")
    return result


def fit_block(inputs: int, wanted: int) -> int | None:
    """The largest block up to ``wanted`` that divides the inputs, or none if all are tiny."""
    block = next(size for size in range(min(wanted, inputs), 0, -1) if inputs % size == 0)
    return block if block >= SMALLEST_BLOCK else None


def _decode_at_load(
    graph: Graph,
    originals: set[str],
    excluded: set[str],
    feedback: dict[str, Feedback],
    recurrent: dict[str, Seen],
    options: QuantizeOptions,
    result: Result,
) -> None:
    decoding: list[onnx.NodeProto] = []
    for site in _sites(graph, originals, excluded, options, result):
        if site.name in recurrent and recurrent[site.name].spread > TOO_WIDE:
            spread = recurrent[site.name].spread
            result.skip(site.name, f"its inputs differ {spread:.0f}-fold: it would suffer")
            continue
        wanted = options.block or (32 if options.bits == 4 else None)
        bits = options.bits
        block = fit_block(len(site.matrix), wanted) if wanted else None
        if wanted and block is None:
            bits = 8
            if options.bits == 4:
                result.skip(
                    site.name,
                    f"stored in 8 bits: its {len(site.matrix)} inputs cannot be cut into blocks",
                )
        rounded = round_weight(
            site.matrix,
            top=127 if bits == 8 else 7,
            block=block,
            per_channel=options.per_channel,
            feedback=feedback.get(site.name),
        )
        decoding += Decoder(graph, site.name).integers(rounded, bits, site.order, site.shape)
        result.count(site.kind)
    graph.nodes = [*decoding, *graph.nodes]


def _sites(
    graph: Graph, originals: set[str], excluded: set[str], options: QuantizeOptions, result: Result
) -> list[Site]:
    """All float32 weights with two axes or more that nothing forbids to store smaller."""
    import numpy as np

    consumers = graph.consumers()
    sites = []
    for tensor in list(graph.tensors()):
        name = tensor.name
        readers = consumers.get(name, [])
        values = graph.weight(name)
        if name not in originals or not readers or name in graph.outputs:
            continue
        if values is None or values.ndim < 2:
            continue
        kind = readers[0].op_type
        if kind in RECURRENT and values.ndim < 3:
            continue  # biases and first states
        is_table = kind in ("Gather", "EmbedLayerNormalization")
        if any(node.name in excluded for node in readers):
            result.skip(name, "excluded")
        elif is_table and not options.embeddings:
            result.skip(name, "embedding tables are to stay as they are")
        elif values.size < SMALL:
            if kind in HEAVY:
                result.skip(name, f"{values.size} values are too few to gain")
        elif not np.isfinite(values).all():
            raise StepError(f"The weight '{name}' holds values that are not finite.")
        else:
            sites.append(_site(name, kind, values, readers[0], is_table and options.bits == 8))
    return sites


def _site(name: str, kind: str, values: Array, node: onnx.NodeProto, choose_axis: bool) -> Site:
    output = values.ndim - 1
    if kind in OUTPUT_AXIS:
        output = OUTPUT_AXIS[kind]
    transposed = kind == "Gemm" and attribute(node, "transB", 0)
    if transposed or kind in ("Gather", "EmbedLayerNormalization"):
        output = 0
    if choose_axis and values.ndim == 2:
        output = 0 if round_table(values)[1] else 1
    order = (*(axis for axis in range(values.ndim) if axis != output), output)
    matrix = values.transpose(order).reshape(-1, values.shape[output])
    return Site(name, kind, matrix, order, values.shape)


def _use_kernels(
    graph: Graph,
    products: list[Product],
    feedback: dict[str, Feedback],
    options: QuantizeOptions,
    result: Result,
) -> None:
    """Put MatMulNBits in the place of products."""
    block = options.block or KERNEL_BLOCKS[options.bits]
    result.choices |= {"block": block, "accuracy_level": INT8_ACCUMULATION}
    packed: dict[str, tuple[str, str]] = {}
    replaced: dict[int, list[onnx.NodeProto]] = {}
    for product in products:
        if product.weight not in packed:
            rounded = round_weight(
                product.matrix,
                top=127 if options.bits == 8 else 7,
                block=block,
                feedback=feedback.get(product.weight),
            )
            packed[product.weight] = (
                graph.add(f"{product.weight}_packed", pack_blocks(rounded, block, options.bits)),
                graph.add(f"{product.weight}_scale", rounded.scales.T),
            )
        replaced[id(product.node)] = _kernel(graph, product, packed[product.weight], block, options)
        result.count(product.node.op_type)
    graph.nodes = [new for node in graph.nodes for new in replaced.get(id(node), [node])]
    if products:
        graph.need_domain(MICROSOFT)


def _kernel(
    graph: Graph, product: Product, packed: tuple[str, str], block: int, options: QuantizeOptions
) -> list[onnx.NodeProto]:
    from onnx import helper

    inputs, outputs = product.matrix.shape
    arguments = [product.data, *packed]
    if product.bias is not None:
        bias = product.bias.reshape(-1)
        if bias.size == outputs:
            arguments += ["", "", graph.add(f"{product.node.name}_bias", bias)]
    in_kernel = product.bias is None or len(arguments) > 3
    output = product.output if in_kernel else f"{product.output}_product"
    node = helper.make_node(
        "MatMulNBits",
        arguments,
        [output],
        name=product.node.name,
        domain=MICROSOFT,
        K=inputs,
        N=outputs,
        bits=options.bits,
        block_size=block,
        accuracy_level=INT8_ACCUMULATION,
    )
    if in_kernel:
        return [node]
    added = graph.add(f"{product.node.name}_bias", product.bias)
    name = f"{product.node.name}_add_bias"
    return [node, helper.make_node("Add", [output, added], [product.output], name=name)]


def pack_blocks(rounded: Rounded, block: int, bits: int) -> Array:
    """MatMulNBits' layout: (outputs, blocks, bytes of a block), low nibble first, middle is zero.

    Inputs that do not fill the last block are filled up with zeros.
    """
    import numpy as np

    rows, columns = rounded.values.shape
    blocks = len(rounded.scales)
    values = np.zeros((blocks * block, columns), np.int16)
    values[:rows] = rounded.values
    middle = 1 << (bits - 1)
    shifted = (values + middle).astype(np.uint8).T.reshape(columns, blocks, block)
    if bits == 8:
        return np.ascontiguousarray(shifted)
    return np.ascontiguousarray(shifted[:, :, ::2] | (shifted[:, :, 1::2] << 4))


def _gather_nibbles(
    graph: Graph, excluded: set[str], options: QuantizeOptions, result: Result
) -> None:
    """Put GatherBlockQuantized in the place of lookups in tables whose width fits."""
    from onnx import helper

    block = options.block or KERNEL_BLOCKS[4]
    replaced: dict[int, onnx.NodeProto] = {}
    for name, lookups in table_lookups(graph).items():
        table = graph.array(name)
        fits = table.shape[1] % block == 0 and table.size >= SMALL
        free = only_gathered(graph, name, lookups)
        if not fits or not free or any(node.name in excluded for node in lookups):
            continue  # decoded at load instead, or skipped there with its reason
        rounded = round_weight(table.T, top=7, block=block)
        width = table.shape[1] // 2
        packed = pack_blocks(rounded, block, 4).reshape(len(table), width)
        stored = graph.add(f"{name}_packed", packed)
        scales = graph.add(f"{name}_scale", rounded.scales.T)
        for node in lookups:
            replaced[id(node)] = helper.make_node(
                "GatherBlockQuantized",
                [stored, node.input[1], scales],
                list(node.output),
                name=node.name,
                domain=MICROSOFT,
                gather_axis=0,
                quantize_axis=1,
                block_size=block,
                bits=4,
            )
            result.count("Gather")
    graph.nodes = [replaced.get(id(node), node) for node in graph.nodes]
    if replaced:
        graph.need_domain(MICROSOFT)
