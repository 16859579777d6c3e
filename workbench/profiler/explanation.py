"""Says in words where a model's bytes and its time go, and why a variant is not faster.

Times are those of onnxruntime's profiler at one setting, by the median over a few dozen runs; two
models are traced turn by turn in one fresh process. The profiler costs some microseconds a node,
so the totals are a little above those that ``measure_latency`` finds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.profiler.anatomy import Anatomy, dissect, group_of
from workbench.profiler.findings import Finding, findings, size
from workbench.records import Machine, Record, Setting

if TYPE_CHECKING:
    from workbench.profiler.child import Feed

SLOWEST = 5
DEFAULT_SETTING = Setting(batch=1, sequence=128, threads=1)


class BytesShare(Record):
    """Stored constants by the operator that they serve in the end, and by dtype."""

    consumer: str
    dtype: str
    tensors: int
    bytes: int
    share: float


class OpShare(Record):
    """Time of one run by operator."""

    op: str
    group: str
    nodes: int
    ms: float
    share: float


class NodeShare(Record):
    """One of the slowest nodes."""

    name: str
    op: str
    shapes: str
    ms: float
    share: float


class Change(Record):
    """Time of one run by group of operators, beside that of the model compared with."""

    group: str
    ms: float
    against_ms: float


class Explanation(Record):
    """Where bytes and time go."""

    model: str
    against: str | None = None
    setting: Setting
    model_bytes: int
    run_ms: float
    runs: int
    bytes: tuple[BytesShare, ...]
    ops: tuple[OpShare, ...]
    slowest: tuple[NodeShare, ...]
    findings: tuple[Finding, ...]
    changes: tuple[Change, ...] = ()
    paragraphs: tuple[str, ...]


def explain(
    path: Path,
    machine: Machine,
    against: Path | None = None,
    *,
    setting: Setting = DEFAULT_SETTING,
    feed: Feed | None = None,
    vocabulary: int = 1000,
    seconds: float = 1.5,
) -> Explanation:
    """Explain an ONNX file, and what differs from another.

    Args:
        path: the ONNX file.
        machine: where it runs; its CPU decides what int8 gains.
        against: an ONNX file to compare with, such as the baseline.
        setting: batch, sequence length and threads of the runs.
        feed: real inputs; none: random ones.
        vocabulary: exclusive bound of random integers.
        seconds: how long each model is traced.

    Raises:
        ModelError: a file cannot be read, loaded or run.
    """
    paths = {str(path): path}
    if against is not None:
        paths[str(against) if against != path else f"{against} (again)"] = against
    anatomies = dissect(
        paths,
        setting=setting,
        isa=machine.isa,
        cpu=machine.cpu,
        feeds=dict.fromkeys(paths, feed) if feed is not None else None,
        vocabulary=vocabulary,
        seconds=seconds,
    )
    this, *others = anatomies.values()
    other = others[0] if others else None
    by_bytes, by_op, found = _bytes(this), _ops(this), findings(this)
    changes = _changes(this, other) if other else ()
    paragraphs = [_where_bytes_go(this, by_bytes), _where_time_goes(this, by_op, setting)]
    if other:
        paragraphs.append(_what_changed(this, other, changes, by_bytes))
    return Explanation(
        model=str(path),
        against=str(against) if against is not None else None,
        setting=setting,
        model_bytes=this.file_bytes,
        run_ms=round(this.trace.total_ms, 4),
        runs=this.trace.runs,
        bytes=by_bytes,
        ops=by_op,
        slowest=_slowest(this),
        findings=found,
        changes=changes,
        paragraphs=(*paragraphs, *(finding.text for finding in found)),
    )


def _bytes(a: Anatomy) -> tuple[BytesShare, ...]:
    stored: Counter[tuple[str, str]] = Counter()
    number: Counter[tuple[str, str]] = Counter()
    for constant in a.constants:
        key = (constant.consumer or "nothing", constant.dtype)
        stored[key] += constant.stored_bytes
        number[key] += 1
    return tuple(
        BytesShare(
            consumer=key[0],
            dtype=key[1],
            tensors=number[key],
            bytes=count,
            share=round(count / a.file_bytes, 4),
        )
        for key, count in stored.most_common()
        if count
    )


def _ops(a: Anatomy) -> tuple[OpShare, ...]:
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for node in a.trace.nodes:
        times[node.run.op, group_of(node.run)].append(node.ms)
    shares = [
        OpShare(
            op=op,
            group=group,
            nodes=len(ms),
            ms=round(sum(ms), 4),
            share=round(a.share(sum(ms)), 4),
        )
        for (op, group), ms in times.items()
    ]
    return tuple(sorted(shares, key=lambda share: -share.ms))


def _slowest(a: Anatomy) -> tuple[NodeShare, ...]:
    nodes = sorted(a.trace.nodes, key=lambda node: -node.ms)[:SLOWEST]
    return tuple(
        NodeShare(
            name=node.run.name,
            op=node.run.op,
            shapes=" × ".join(str(list(shape)) for shape in node.run.inputs),
            ms=round(node.ms, 4),
            share=round(a.share(node.ms), 4),
        )
        for node in nodes
    )


def _changes(this: Anatomy, other: Anatomy) -> tuple[Change, ...]:
    mine, theirs = this.by_group(), other.by_group()
    changes = [
        Change(
            group=group,
            ms=round(mine.get(group, 0.0), 4),
            against_ms=round(theirs.get(group, 0.0), 4),
        )
        for group in {**mine, **theirs}
    ]
    return tuple(sorted(changes, key=lambda change: change.ms - change.against_ms))


def _where_bytes_go(a: Anatomy, shares: tuple[BytesShare, ...]) -> str:
    parts = [
        f"{size(s.bytes)} ({100 * s.share:.0f} %) {s.dtype} for {s.consumer}"
        for s in shares
        if s.share >= 0.01
    ]
    rest = a.file_bytes - sum(s.bytes for s in shares if s.share >= 0.01)
    listed = f": {', '.join(parts)}, {size(max(0, rest))} the rest" if parts else ""
    return f"The model has {size(a.file_bytes)}{listed}."


def _where_time_goes(a: Anatomy, shares: tuple[OpShare, ...], setting: Setting) -> str:
    parts = [
        f"{s.op} {s.ms:.2f} ms ({100 * s.share:.0f} %, {s.nodes})"
        for s in shares
        if s.share >= 0.03
    ]
    return (
        f"A run at {setting} takes {a.trace.total_ms:.2f} ms (by the median of {a.trace.runs} "
        f"runs with the profiler on), in {len(a.trace.nodes)} nodes. Operators, with their number "
        f"of nodes: {', '.join(parts)}."
    )


def _what_changed(
    this: Anatomy, other: Anatomy, changes: tuple[Change, ...], shares: tuple[BytesShare, ...]
) -> str:
    ratio = other.trace.total_ms / this.trace.total_ms if this.trace.total_ms else 0.0
    small = 0.01 * other.trace.total_ms
    faster = [c for c in changes if c.against_ms - c.ms > small]
    slower = [c for c in reversed(changes) if c.ms - c.against_ms > small]

    def listed(group: list[Change]) -> str:
        return ", ".join(
            f"{c.group} {c.against_ms:.2f} → {c.ms:.2f} ms ({c.ms - c.against_ms:+.2f})"
            for c in group
        )

    return (
        f"Beside {other.path.parent.name}/{other.path.name}: "
        f"{size(other.file_bytes)} → {size(this.file_bytes)} "
        f"({this.file_bytes / other.file_bytes:.2f} of it), {other.trace.total_ms:.2f} → "
        f"{this.trace.total_ms:.2f} ms ({ratio:.2f} times as fast). "
        f"Faster: {listed(faster) or 'nothing by more than 1 %'}. "
        f"Slower: {listed(slower) or 'nothing by more than 1 %'}."
    )
