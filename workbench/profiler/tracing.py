"""Traces of onnxruntime's own profiler: which nodes ran, on what shapes, and for how long."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

CONTAINERS = {"If", "Loop", "Scan"}
"""Operators whose time is that of the nodes inside, which are listed themselves."""


@dataclass(frozen=True)
class NodeRun:
    """One execution of a node."""

    name: str
    op: str
    index: str
    start_us: int
    duration_us: int
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    input_dtypes: tuple[str, ...]
    output_dtypes: tuple[str, ...]
    constant_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class NodeTime:
    """A node's typical time in one run of the model (all its executions together)."""

    run: NodeRun
    ms: float


@dataclass(frozen=True)
class Trace:
    """What a model does in one run, by the median over its runs.

    ``runtime_ms`` is the time between nodes, the runtime's own. The total is put together from
    the medians of the nodes and of the time between: on a busy machine nearly every run is
    interrupted somewhere, but each node only in few of them.
    """

    nodes: tuple[NodeTime, ...]
    runtime_ms: float
    runs: int

    @property
    def total_ms(self) -> float:
        """Time of a run."""
        return self.runtime_ms + sum(node.ms for node in self.nodes)


def read_trace(file: Path, *, skip: int = 1) -> Trace:
    """Summarise a trace, without the first ``skip`` runs."""
    events = json.loads(file.read_text(encoding="utf-8"))
    runs = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e.get("name") == "model_run")[
        skip:
    ]
    nodes = [run for run in node_runs(events) if run.op not in CONTAINERS]
    times: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * len(runs))
    first: dict[tuple[str, str], NodeRun] = {}
    between = [(end - start) / 1000 for start, end in runs]
    position = 0
    for node in nodes:
        while position < len(runs) and node.start_us > runs[position][1]:
            position += 1
        if position == len(runs):
            break
        if node.start_us >= runs[position][0]:
            key = (node.name, node.index)
            times[key][position] += node.duration_us / 1000
            between[position] -= node.duration_us / 1000
            first.setdefault(key, node)
    return Trace(
        nodes=tuple(NodeTime(first[key], median(ms)) for key, ms in times.items()),
        runtime_ms=max(0.0, median(between)) if runs else 0.0,
        runs=len(runs),
    )


def first_run(file: Path) -> list[NodeRun]:
    """All executions of nodes in the first run of a trace."""
    events = json.loads(file.read_text(encoding="utf-8"))
    end = min(e["ts"] + e["dur"] for e in events if e.get("name") == "model_run")
    return [run for run in node_runs(events) if run.start_us <= end]


def node_runs(events: list[dict[str, Any]]) -> list[NodeRun]:
    """The executions of nodes among a trace's events, by time."""
    kernels = [
        event
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    ]
    return sorted(map(_node_run, kernels), key=lambda run: run.start_us)


def _node_run(event: dict[str, Any]) -> NodeRun:
    arguments = event["args"]
    inputs = [next(iter(t.items())) for t in arguments.get("input_type_shape", ()) if t]
    outputs = [next(iter(t.items())) for t in arguments.get("output_type_shape", ()) if t]
    return NodeRun(
        name=event["name"].removesuffix("_kernel_time"),
        op=arguments["op_name"],
        index=str(arguments.get("node_index", "")),
        start_us=event["ts"],
        duration_us=event["dur"],
        inputs=tuple(tuple(shape) for _, shape in inputs),
        outputs=tuple(tuple(shape) for _, shape in outputs),
        input_dtypes=tuple(dtype for dtype, _ in inputs),
        output_dtypes=tuple(dtype for dtype, _ in outputs),
        constant_bytes=int(arguments.get("parameter_size", 0)),
        activation_bytes=int(arguments.get("activation_size", 0)),
    )
