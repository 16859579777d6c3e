"""Rules that say why a model is as large or as slow as it is; each sentence carries its figure.

A rule looks at an anatomy and returns a sentence, or none where it does not apply.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import prod

from workbench.machine import has_int8_dot
from workbench.profiler.anatomy import FLOAT_OPS, INT8_OPS, LOOKUPS, Anatomy
from workbench.profiler.graph import attribute, scopes, signature_of_graph
from workbench.profiler.tracing import NodeTime
from workbench.profiler.weights import QUANTIZED, Constant
from workbench.records import Record

EMBEDDING_SHARE = 0.30
MANY_ROWS = 16
NOTABLE = 0.05
OVERHEAD = 0.4
"""Share of a run from which on fewer nodes help more than faster ones."""
LARGE_BYTES = 1024


class Finding(Record):
    """Something that makes the model large or slow."""

    rule: str
    text: str


Rule = Callable[[Anatomy], str | None]


def findings(anatomy: Anatomy) -> tuple[Finding, ...]:
    """What all rules say about a model."""
    return tuple(
        Finding(rule=name, text=text) for name, rule in RULES.items() if (text := rule(anatomy))
    )


def _dequantized_at_each_call(a: Anatomy) -> str | None:
    nodes = [
        node
        for node in a.nodes("DequantizeLinear", "Cast", "Mul", "Sub", "GatherBlockQuantized")
        if node.run.activation_bytes == 0 or node.run.name in a.constant_nodes
    ]
    stored = sum(node.run.constant_bytes for node in nodes)
    if stored < LARGE_BYTES:
        return None
    ms = _ms(nodes)
    return (
        f"{_count(len(nodes), 'node')} ({_kinds(nodes)}) turn {size(stored)} of constant weights "
        f"back to float at each call: {ms:.2f} ms, {_percent(a.share(ms))} of a run. An operator "
        "that multiplies the stored weights, or weights that are made float once when the model "
        "is loaded, would save that."
    )


def _no_int8_dot(a: Anatomy) -> str | None:
    ms = a.ms(INT8_OPS)
    if not ms or has_int8_dot(a.isa):
        return None
    return (
        f"This CPU ({a.cpu}) has no int8 dot product (VNNI, AMX or Arm's dotprod): the int8 "
        f"operators, {ms:.2f} ms or {_percent(a.share(ms))} of a run, gain little over float here, "
        "and more on a CPU that has one."
    )


def _embedding_share(a: Anatomy) -> str | None:
    tables = [w for w in a.weights if w.consumer in LOOKUPS]
    stored = sum(w.stored_bytes for w in tables)
    if stored < EMBEDDING_SHARE * a.file_bytes:
        return None
    dtypes = ", ".join(sorted({w.dtype for w in tables if w.stored_bytes > stored / 50}))
    ms = a.ms(LOOKUPS)
    return (
        f"Embedding tables are {size(stored)} ({dtypes}), {_percent(stored / a.file_bytes)} of the "
        f"model, and their lookups take {_percent(a.share(ms))} of the time: storing them smaller "
        "makes the file smaller, not the model faster."
    )


def _stayed_float(a: Anatomy) -> str | None:
    if not a.ms(INT8_OPS):
        return None
    nodes = [node for node in a.nodes(*FLOAT_OPS) if node.run.name in a.weighted_nodes]
    ms = _ms(nodes)
    if not nodes or a.share(ms) < 0.01:
        return None
    names = ", ".join(f"'{n.run.name}'" for n in sorted(nodes, key=lambda n: -n.ms)[:3])
    return (
        f"{_count(len(nodes), 'operator')} with weights ({_kinds(nodes)}) stayed in float beside "
        f"{_count(len(a.nodes(*INT8_OPS)), 'int8 operator')}: {ms:.2f} ms, "
        f"{_percent(a.share(ms))} of a run; the slowest: {names}."
    )


def _nbits_many_rows(a: Anatomy) -> str | None:
    nodes = a.nodes("MatMulNBits")
    rows = max((prod(node.run.inputs[0][:-1]) for node in nodes if node.run.inputs), default=0)
    if rows < MANY_ROWS:
        return None
    ms = _ms(nodes)
    levels = {
        attribute(node, "accuracy_level", 0)
        for scope in scopes(a.model)
        for node in scope.nodes
        if node.op_type == "MatMulNBits"
    }
    return (
        f"MatMulNBits takes {ms:.2f} ms, {_percent(a.share(ms))} of a run, with {rows} rows at "
        "a time. It is made for few rows (text generation has one); with many, float products are "
        "often faster, unless its int8 kernels serve them (accuracy_level 4; here: "
        f"{', '.join(map(str, sorted(levels)))})."
    )


def _unfused_pairs(a: Anatomy) -> str | None:
    nodes = [
        node
        for node in a.nodes("QuantizeLinear", "DequantizeLinear")
        if node.run.activation_bytes > 0 and node.run.name not in a.constant_nodes
    ]
    back = sum(node.run.op == "DequantizeLinear" for node in nodes)
    if not back:
        return None
    ms = _ms(nodes)
    return (
        f"{_count(len(nodes) - back, 'QuantizeLinear')} and {_count(back, 'DequantizeLinear')} "
        f"nodes on activations were not fused into int8 operators: {ms:.2f} ms, "
        f"{_percent(a.share(ms))} of a run; what lies between a pair runs in float."
    )


def _quantizing_activations(a: Anatomy) -> str | None:
    nodes = [
        node
        for node in a.nodes("QuantizeLinear", "DynamicQuantizeLinear")
        if node.run.activation_bytes > 0
    ]
    ms = _ms(nodes)
    if a.share(ms) < NOTABLE:
        return None
    return (
        f"Quantizing activations at each call ({_kinds(nodes)}) takes {ms:.2f} ms, "
        f"{_percent(a.share(ms))} of a run."
    )


def _stored_small_computed_in_float(a: Anatomy) -> str | None:
    small = [
        w
        for w in a.weights
        if (w.dtype in QUANTIZED or w.dtype in ("float16", "bfloat16")) and w.consumer in FLOAT_OPS
    ]
    ms = a.ms(FLOAT_OPS)
    halves = any("float16" in d for n in a.nodes(*FLOAT_OPS) for d in n.run.input_dtypes)
    if not small or not ms or a.ms(INT8_OPS) or halves or _dequantized_at_each_call(a):
        return None
    stored = sum(w.stored_bytes for w in small)
    return (
        f"{_count(len(small), 'weight')} ({size(stored)}) of matrix products and the like are "
        f"stored as {_dtypes(small)} and made float when the model is loaded: the file is "
        f"smaller, but those operators compute in float ({ms:.2f} ms, {_percent(a.share(ms))} of "
        "a run) and are as fast as before."
    )


def _float16_casts(a: Anatomy) -> str | None:
    nodes = [
        node
        for node in a.nodes("Cast")
        if any("float16" in d for d in (*node.run.input_dtypes, *node.run.output_dtypes))
    ]
    if not nodes:
        return None
    ms = _ms(nodes)
    return (
        f"{_count(len(nodes), 'Cast')} between float16 and other types take {ms:.2f} ms, "
        f"{_percent(a.share(ms))} of a run: on a CPU most operators know no float16 and work in "
        "float32."
    )


def _layout(a: Anatomy) -> str | None:
    ms = a.by_group().get("layout", 0.0)
    if a.share(ms) < NOTABLE:
        return None
    return (
        f"Moving data (Transpose, Reshape, Concat and the like) takes {ms:.2f} ms, "
        f"{_percent(a.share(ms))} of a run; fusing attention, or another layout, can avoid it."
    )


def _overhead(a: Anatomy) -> str | None:
    groups = a.by_group()
    shapes, own = groups.get("shapes", 0.0), groups["runtime"]
    if a.share(shapes + own) < OVERHEAD:
        return None
    tiny = sum(node.ms < 0.01 for node in a.trace.nodes)
    return (
        f"Handling shapes takes {_percent(a.share(shapes))} of a run and the runtime itself, "
        f"between nodes, {_percent(a.share(own))} ({shapes + own:.2f} ms together): {tiny} of "
        f"{len(a.trace.nodes)} nodes take less than 10 µs. Fewer nodes would help more than faster "
        "ones."
    )


def _unused(a: Anatomy) -> str | None:
    results = {value.name for value in a.model.graph.output}
    idle = [c for c in a.constants if not c.uses and c.name not in results]
    stored = sum(c.stored_bytes for c in idle)
    if stored < LARGE_BYTES:
        return None
    return (
        f"{_count(len(idle), 'constant')} that nothing uses take {size(stored)}, "
        f"{_percent(stored / a.file_bytes)} of the model."
    )


def _several_outputs(a: Anatomy) -> str | None:
    outputs = signature_of_graph(a.model.graph).outputs
    if len(outputs) < 2:
        return None
    return (
        f"The model has {len(outputs)} outputs ({'; '.join(map(str, outputs[:4]))}"
        f"{'; …' if len(outputs) > 4 else ''}): one that nobody reads is still computed and copied."
    )


RULES: dict[str, Rule] = {
    "dequantized-at-each-call": _dequantized_at_each_call,
    "stored-small-computed-in-float": _stored_small_computed_in_float,
    "no-int8-dot": _no_int8_dot,
    "stayed-float": _stayed_float,
    "nbits-many-rows": _nbits_many_rows,
    "unfused-pairs": _unfused_pairs,
    "quantizing-activations": _quantizing_activations,
    "float16-casts": _float16_casts,
    "embedding-share": _embedding_share,
    "layout": _layout,
    "overhead": _overhead,
    "unused-constants": _unused,
    "several-outputs": _several_outputs,
}


def size(count: float) -> str:
    """Bytes in words."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} bytes"


def _ms(nodes: list[NodeTime]) -> float:
    return sum(node.ms for node in nodes)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 or what.endswith("Linear") else f"{number} {what}s"


def _kinds(nodes: list[NodeTime]) -> str:
    kinds = Counter(node.run.op for node in nodes)
    return ", ".join(f"{number} {op}" for op, number in kinds.most_common(4))


def _dtypes(weights: list[Constant]) -> str:
    return " and ".join(sorted({weight.dtype for weight in weights}))
