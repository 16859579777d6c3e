"""The child process that measures: ``python -m workbench.profiler.worker SPEC RESULT``.

It is fresh, and holds nothing but numpy, onnxruntime and the models. ``SPEC`` is a JSON file whose
``job`` names what to do. Progress goes to standard output as JSON lines: ``at`` says what is being
done (what the parent names if this process dies), ``done`` how much of the job is finished. The
result, or the error that was met, goes to the file ``RESULT``.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from workbench.errors import MissingError, ModelError, TooLargeError, WorkbenchError
from workbench.profiler import stats
from workbench.runtime import DTYPES, PROVIDERS, open_session, runtime_reason

Feed = dict[str, NDArray[Any]]
Spec = dict[str, Any]
Item = TypeVar("Item")

WARM_WINDOW = 3
"""Runs whose median must repeat, within 5 %, that of as many runs before."""

WARM_MAX_RUNS = 200
LEAD_IN_MS = 50.0
"""Where a model is faster than this, all run once untimed before each timed run: the models that
ran in between have emptied the caches, which one that serves alone finds full."""

NARROW = 0.01
CHECK_EVERY = 20
KINDS: dict[str, set[str]] = {"int": {"i", "u"}, "float": {"f"}, "bool": {"b"}, "str": {"U", "O"}}


def say(**message: Any) -> None:
    """One line of progress."""
    print(json.dumps(message), flush=True)


# --- sessions and feeds ------------------------------------------------------------------------


def session(
    name: str,
    path: str,
    *,
    threads: int = 1,
    device: str = "cpu",
    level: ort.GraphOptimizationLevel = ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    entries: dict[str, str] | None = None,
    trace: str | None = None,
    optimized: str | None = None,
) -> ort.InferenceSession:
    """Open a session for measuring: idle threads do not spin while another model is timed."""
    provider = PROVIDERS[device]
    if provider not in ort.get_available_providers():
        open_session(Path(path), device=device)  # type: ignore[arg-type]  # raises, with the words
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = level
    for key, value in {"session.force_spinning_stop": "1", **(entries or {})}.items():
        options.add_session_config_entry(key, value)
    if trace is not None:
        options.enable_profiling = True
        options.profile_file_prefix = trace
    if optimized is not None:
        options.optimized_model_filepath = optimized
    try:
        opened = ort.InferenceSession(path, options, providers=[provider])
    except MemoryError as error:
        raise TooLargeError(f"Not enough memory to load '{name}' ({path}).") from error
    except Exception as error:  # onnxruntime raises many unrelated types
        raise ModelError(f"'{name}' cannot be loaded: {runtime_reason(error)}") from error
    if provider not in opened.get_providers():
        raise MissingError(
            f"{provider} is in this onnxruntime but does not start.",
            hint="Its libraries (CUDA, cuDNN) or a usable device are missing.",
        )
    return opened


def read_feed(entry: Spec) -> Feed:
    """The inputs that the parent saved: arrays by number, names beside them."""
    with np.load(entry["file"]) as arrays:
        return {name: arrays[str(index)] for index, name in enumerate(entry["names"])}


def fit(name: str, opened: ort.InferenceSession, feed: Feed) -> Feed:
    """The feed in the dtypes of one artifact's own inputs.

    Raises:
        ModelError: the names differ, or an input is of another kind (float for integers).
    """
    inputs = {node.name: DTYPES.get(node.type, node.type) for node in opened.get_inputs()}
    if set(inputs) != set(feed):
        wrong = ", ".join(f"'{n}'" for n in sorted(set(inputs) ^ set(feed)))
        raise ModelError(
            f"'{name}' takes other inputs than it is given: {wrong} is on one side only.",
            hint="Artifacts that are measured side by side must take the same inputs.",
        )
    return {key: _cast(name, key, feed[key], dtype) for key, dtype in inputs.items()}


def _cast(name: str, key: str, array: NDArray[Any], dtype: str) -> NDArray[Any]:
    kind = next((kind for kind in KINDS if dtype.removeprefix("u").startswith(kind)), "")
    if array.dtype.kind not in KINDS.get(kind, set()):
        raise ModelError(f"'{name}' takes {dtype} as '{key}', but is given {array.dtype}.")
    return array if dtype == "str" else array.astype(dtype, copy=False)


def runner(
    name: str, opened: ort.InferenceSession, feed: Feed, where: str = ""
) -> Callable[[], float]:
    """A function that runs the model once and returns the milliseconds it took.

    Raises:
        ModelError: the model does not run on the feed; ``where`` is told in the message.
    """
    inputs, run, clock = fit(name, opened, feed), opened.run, time.perf_counter_ns

    def once() -> float:
        start = clock()
        run(None, inputs)
        return (clock() - start) / 1e6

    try:
        once()
    except MemoryError as error:
        raise TooLargeError(f"Not enough memory to run '{name}'{where}.") from error
    except Exception as error:  # onnxruntime raises many unrelated types
        raise ModelError(
            f"'{name}' does not run on the given inputs{where}: {runtime_reason(error)}",
            hint="If they were made at random, give real ones, or the size of the vocabulary.",
        ) from error
    return once


# --- latency -----------------------------------------------------------------------------------


def latency(spec: Spec) -> Spec:
    """Time all artifacts interleaved in every cell; sessions live for one count of threads."""
    cells: list[Spec] = []
    skipped: list[Spec] = []
    total = len(spec["cells"])

    def placement(cell: Spec) -> tuple[str, int]:
        return cell["setting"]["device"], cell["setting"]["threads"]

    for (device, threads), group in groupby(spec["cells"], key=placement):
        todo = list(group)
        sessions = {}
        try:
            for name, path in turned(list(spec["artifacts"].items()), spec["seed"]):
                say(at=f"loading '{name}' for {todo[0]['label']}")
                sessions[name] = session(name, path, threads=threads, device=device)
        except MissingError as error:
            if device == "cpu":
                raise
            if device not in {entry["name"] for entry in skipped}:
                skipped.append({"name": device, "reason": str(error)})
            total -= len(todo)
            continue
        for cell in todo:
            cells.append(time_cell(spec, cell, sessions, len(cells), total))
        del sessions
        gc.collect()
    return {"cells": cells, "skipped": skipped}


def time_cell(
    spec: Spec, cell: Spec, sessions: dict[str, ort.InferenceSession], done: int, total: int
) -> Spec:
    """Warm up all artifacts in one cell, then time them in rounds."""
    feed = read_feed(cell["feed"])
    runs, warm, typical_ms = {}, {}, {}
    gc.collect()
    gc.disable()
    try:
        for name, opened in sessions.items():
            say(at=f"'{name}' in {cell['label']}", done=done, total=total)
            runs[name] = runner(name, opened, feed, f" (in {cell['label']})")
            warm[name], typical_ms[name] = warm_up(runs[name], spec["seconds"] / 2)
        say(at=f"the rounds of {', '.join(sessions)} in {cell['label']}")
        lead_in = min(typical_ms.values()) < LEAD_IN_MS
        began = time.perf_counter()
        samples = timed_rounds(spec, runs, lead_in, lambda share: say(done=done + share))
        spent_s = time.perf_counter() - began
    finally:
        gc.enable()
    return {"index": cell["index"], "samples": samples, "warm": warm, "spent_s": spent_s}


def warm_up(once: Callable[[], float], budget_s: float) -> tuple[bool, float]:
    """Run until the times repeat; returns whether they did, and the last median."""
    times: list[float] = []
    end = time.perf_counter() + budget_s
    k = WARM_WINDOW
    while len(times) < WARM_MAX_RUNS and (not times or time.perf_counter() < end):
        times.append(once())
        if len(times) >= 2 * k:
            now, before = np.median(times[-k:]), np.median(times[-2 * k : -k])
            if abs(now / before - 1) <= 0.05:
                return True, float(now)
    return False, float(np.median(times[-k:]))


def timed_rounds(
    spec: Spec,
    runs: dict[str, Callable[[], float]],
    lead_in: bool,
    progress: Callable[[float], None],
) -> dict[str, list[float]]:
    """Samples by artifact, one per round, until time or rounds are spent or all is clear."""
    samples: dict[str, list[float]] = {name: [] for name in runs}
    budget_s = spec["seconds"] * len(runs)
    start = said = time.perf_counter()
    for rounds, order in enumerate(orders(list(runs), spec["seed"])):
        now = time.perf_counter()
        spent = now - start
        if rounds >= spec["max_rounds"] or (rounds >= spec["min_rounds"] and spent > budget_s):
            break
        if rounds and rounds % CHECK_EVERY == 0 and rounds >= spec["min_rounds"]:
            attainable = budget_s * rounds / spent
            wanted = next((n for n in spec["wanted_rounds"] if attainable >= n), 0)
            if rounds >= wanted and narrow(samples, spec["baseline"]):
                break
        if now - said > 0.25:
            progress(min(1.0, max(spent / budget_s, rounds / spec["max_rounds"])))
            said = now
        for name in order:
            if lead_in:
                runs[name]()
            samples[name].append(runs[name]())
    return {name: [round(ms, 4) for ms in times] for name, times in samples.items()}


def orders(names: list[str], seed: int) -> Iterator[list[str]]:
    """The order of each round: shuffled, and turned so that each place comes equally often."""
    random = np.random.default_rng(seed)
    while True:
        shuffled = [names[i] for i in random.permutation(len(names))]
        for turn in range(len(names)):
            yield turned(shuffled, turn)


def turned(items: list[Item], turn: int) -> list[Item]:
    """The items in a circle, begun elsewhere."""
    turn %= len(items)
    return items[turn:] + items[:turn]


def narrow(samples: dict[str, list[float]], baseline: str) -> bool:
    """Whether the intervals of the median and of all ratios to the baseline are within 1 %."""
    base = samples[baseline]
    estimates = [stats.quantile([base], 0.5, resamples=300)] + [
        stats.ratio_of_medians([base], [times], resamples=300)
        for name, times in samples.items()
        if name != baseline
    ]
    return all(estimate.half_width < NARROW for estimate in estimates)


# --- load time, memory, trace ------------------------------------------------------------------


def load(spec: Spec) -> Spec:
    """Milliseconds of repeated loads; a first one, which also starts the runtime, is not kept."""
    name, path = spec["name"], spec["path"]
    times: list[float] = []
    start = time.perf_counter()
    while len(times) <= spec["min_loads"] or (
        len(times) <= spec["max_loads"] and time.perf_counter() - start < spec["seconds"]
    ):
        say(at=f"loading '{name}'")
        began = time.perf_counter_ns()
        session(name, path)
        times.append((time.perf_counter_ns() - began) / 1e6)
        gc.collect()
    return {"load_ms": [round(ms, 4) for ms in times[1:]]}


def memory(spec: Spec) -> Spec:
    """Growth of this process's resident peak by loading the model and running it once."""
    feed = read_feed(spec["feed"])
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak becomes what is resident now
        before = resident_peak()
    except OSError:
        return {"peak_memory_bytes": None}
    say(at=f"loading '{spec['name']}'")
    opened = session(spec["name"], spec["path"])
    say(at=f"the first run of '{spec['name']}'")
    runner(spec["name"], opened, feed)
    return {"peak_memory_bytes": max(0, resident_peak() - before)}


def resident_peak() -> int:
    """VmHWM of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


def trace(spec: Spec) -> Spec:
    """Run models with the runtime's profiler on, turn by turn; returns its files.

    ``plain`` turns off the graph optimisations and the repacking of weights, so that every node
    of the file is run as it stands and shows the shapes of all its inputs.
    """
    folder = Path(spec["folder"])
    sessions: dict[str, ort.InferenceSession] = {}
    runs: dict[str, Callable[[], float]] = {}
    for index, (name, entry) in enumerate(spec["models"].items()):
        say(at=f"loading '{name}' to trace it")
        sessions[name] = session(
            name,
            entry["path"],
            threads=spec["threads"],
            level=ort.GraphOptimizationLevel.ORT_DISABLE_ALL
            if spec["plain"]
            else ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
            entries={"session.disable_prepacking": "1"} if spec["plain"] else None,
            trace=str(folder / f"trace-{index}"),
            optimized=str(folder / f"optimized-{index}.onnx") if entry.get("optimized") else None,
        )
        say(at=f"the first run of '{name}' to trace it")
        runs[name] = runner(name, sessions[name], read_feed(entry["feed"]))
    rounds, end = 0, time.perf_counter() + spec["seconds"]
    while rounds < spec["min_runs"] or (rounds < spec["max_runs"] and time.perf_counter() < end):
        for once in runs.values():
            once()
        rounds += 1
    return {"traces": {name: opened.end_profiling() for name, opened in sessions.items()}}


JOBS: dict[str, Callable[[Spec], Spec]] = {
    "latency": latency,
    "load": load,
    "memory": memory,
    "trace": trace,
}


def main(spec_file: str, result_file: str) -> int:
    """Do the job of the specification and write its result."""
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    try:
        result = {"result": JOBS[spec["job"]](spec)}
    except WorkbenchError as error:
        kind = type(error).__name__
        result = {"error": {"kind": kind, "message": error.message, "hint": error.hint}}
    Path(result_file).write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
