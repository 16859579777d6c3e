"""Latency of several artifacts side by side.

All are timed together in each of a few fresh processes, which load them in different orders. In
each cell every artifact is warmed up until its times repeat; then come rounds in which each runs
once, in an order that is shuffled and turned, so that none always follows the same one and a noisy
machine favours none. While models are timed, garbage collection is off and the threads of the
others do not spin. Where a model is faster than 50 ms, all run once untimed before each timed run,
so that they find the caches as one that serves alone does. On ``cuda`` the time is from host
memory to host memory.

Rounds end when the time or ``max_rounds`` is spent, or when the medians and ratios are known
within 1 % (once there are 100 samples for a p99, or 20 for a p95, if the time allows them). A cell
that has spent its time before all processes had a turn is left to those that had one, but to no
fewer than three.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError
from workbench.machine import check_memory, machine
from workbench.profile_options import ProfileOptions
from workbench.profiler import stats
from workbench.profiler.child import Message, run_worker, save_feed
from workbench.profiler.graph import model_bytes, read_signature
from workbench.records import Interval, Latency, Setting, Skipped
from workbench.runtime import random_feed

if TYPE_CHECKING:
    from workbench.profiler.child import Feed

P95_SAMPLES, P99_SAMPLES = 20, 100
FEW_PROCESSES = 3
"""Of fewer, what they disagree about says next to nothing (Student's t is 12.7 for two)."""

DEFAULT_VOCABULARY = 1000


def measure_latency(
    artifacts: dict[str, Path],
    *,
    baseline: str,
    options: ProfileOptions,
    feeds: Callable[[Setting], Feed] | None = None,
    vocabulary: int | None = None,
    progress: Callable[[float, float], None] = lambda done, total: None,
) -> tuple[dict[str, tuple[Latency, ...]], tuple[Skipped, ...]]:
    """Measure ONNX files side by side in every cell of the options' grid.

    Args:
        artifacts: the ONNX file of each artifact; all must take the same inputs.
        baseline: name of the artifact that speed-ups refer to.
        options: the grid, and the time for a cell.
        feeds: real inputs of a cell; none: random ones that follow the baseline's signature.
        vocabulary: exclusive bound of random integers.
        progress: called with the cells done (with a fraction) and their number.

    Returns:
        The latencies of each artifact, cell by cell, and what could not be measured here.

    Raises:
        ModelError: a file cannot be loaded, or does not run on the inputs.
        TooLargeError: there is too little memory.
        StepError: the measuring process crashed.
    """
    if baseline not in artifacts:
        raise InputError(f"The baseline '{baseline}' is not among {', '.join(artifacts)}.")
    signature = read_signature(artifacts[baseline])
    check_memory(sum(map(model_bytes, artifacts.values())), ", ".join(artifacts))
    grid, skipped = _possible(options.grid(signature))
    if not grid:
        return {name: () for name in artifacts}, skipped

    def feed(setting: Setting) -> Feed:
        if feeds is not None:
            return feeds(setting)
        sizes = options.sizes(signature, setting)
        return random_feed(signature, sizes, high=vocabulary or DEFAULT_VOCABULARY)

    with tempfile.TemporaryDirectory(prefix="workbench-profile-") as name:
        folder = Path(name)
        cells = [
            _Cell(setting, save_feed(feed(setting), folder / f"feed-{index}.npz"))
            for index, setting in enumerate(grid)
        ]
        spec = {
            "job": "latency",
            "artifacts": {name: str(path.absolute()) for name, path in artifacts.items()},
            "baseline": baseline,
            "seconds": options.seconds / options.processes,
            "min_rounds": max(2, _part(options.min_rounds, options)),
            "max_rounds": max(2, _part(options.max_rounds, options)),
            "wanted_rounds": [_part(P99_SAMPLES, options), _part(P95_SAMPLES, options)],
        }
        for process in range(options.processes):
            open_cells = [c for c in cells if not c.spent(options, len(artifacts))]
            if open_cells:
                todo = {"seed": process, "cells": [_entry(cells, cell) for cell in open_cells]}
                listen = _follower(progress, process, options.processes, len(grid))
                result = run_worker({**spec, **todo}, folder, listen)
                skipped = skipped if process else (*skipped, *_skipped(result))
                for measured in result["cells"]:
                    cells[measured["index"]].results.append(measured)
    progress(len(grid), len(grid))
    measured_cells = [cell for cell in cells if cell.results]
    return {
        name: tuple(
            cell.latency(name, None if name == baseline else baseline) for cell in measured_cells
        )
        for name in artifacts
    }, skipped


@dataclass
class _Cell:
    """A cell, and what each process found in it."""

    setting: Setting
    feed: dict[str, Any]
    results: list[dict[str, Any]] = field(default_factory=list)

    def spent(self, options: ProfileOptions, artifacts: int) -> bool:
        """Whether the time of the cell is used up, and enough rounds are taken."""
        spent_s = sum(result["spent_s"] for result in self.results)
        rounds = sum(len(next(iter(result["samples"].values()))) for result in self.results)
        enough = rounds >= options.min_rounds and len(self.results) >= FEW_PROCESSES
        return enough and spent_s > options.seconds * artifacts

    def latency(self, name: str, baseline: str | None) -> Latency:
        return latency_of(
            self.setting,
            [result["samples"][name] for result in self.results],
            [result["samples"][baseline] for result in self.results] if baseline else None,
            warm=all(result["warm"][name] for result in self.results),
        )


def _entry(cells: list[_Cell], cell: _Cell) -> dict[str, Any]:
    return {
        "index": cells.index(cell),
        "setting": cell.setting.model_dump(),
        "label": str(cell.setting),
        "feed": cell.feed,
    }


def _part(rounds: int, options: ProfileOptions) -> int:
    """The share of one process in a number of rounds."""
    return -(-rounds // options.processes)


def latency_of(
    setting: Setting,
    samples: Sequence[Sequence[float]],
    baseline: Sequence[Sequence[float]] | None,
    *,
    warm: bool = True,
) -> Latency:
    """The record of one artifact in one cell.

    Args:
        setting: the cell.
        samples: milliseconds by process and round.
        baseline: those of the baseline in the same rounds; none for the baseline itself.
        warm: whether the times repeated before the rounds began.
    """
    pooled = [ms for part in samples for ms in part]
    several = f" in {len(samples)} processes" if len(samples) > 1 else " in one process"
    note = several + ("" if warm else "; the times had not settled before the rounds began")

    def percentile(q: float) -> Interval:
        return _interval(stats.quantile(samples, q), len(pooled), f"bootstrap over rounds{note}")

    speedup = None
    if baseline is not None:
        ratio = stats.ratio_of_medians(baseline, samples)
        speedup = _interval(ratio, len(pooled), f"bootstrap over paired rounds{note}")
    return Latency(
        setting=setting,
        p50_ms=percentile(0.5),
        p95_ms=percentile(0.95) if len(pooled) >= P95_SAMPLES else None,
        p99_ms=percentile(0.99) if len(pooled) >= P99_SAMPLES else None,
        mean_ms=round(sum(pooled) / len(pooled), 4),
        speedup=speedup,
        steady=not any(stats.halves_disagree(part) for part in samples),
        samples_ms=tuple(pooled),
    )


def _interval(estimate: stats.Estimate, n: int, method: str) -> Interval:
    return Interval(
        value=round(estimate.value, 5),
        low=round(estimate.low, 5),
        high=round(estimate.high, 5),
        n=n,
        method=method,
        confidence=round(estimate.confidence, 3),
    )


def _possible(grid: tuple[Setting, ...]) -> tuple[tuple[Setting, ...], tuple[Skipped, ...]]:
    cores = machine().cores
    excess = sorted({setting.threads for setting in grid if setting.threads > cores})
    skipped = tuple(
        Skipped(name=f"{threads} threads", reason=f"This machine allows {cores} cores.")
        for threads in excess
    )
    return tuple(setting for setting in grid if setting.threads <= cores), skipped


def _skipped(result: dict[str, Any]) -> tuple[Skipped, ...]:
    return tuple(Skipped.model_validate(entry) for entry in result["skipped"])


def _follower(
    progress: Callable[[float, float], None], process: int, processes: int, cells: int
) -> Callable[[Message], None]:
    total = 1.0

    def follow(message: Message) -> None:
        nonlocal total
        total = message.get("total", total)
        if "done" in message:
            progress(cells * (process + message["done"] / total) / processes, cells)

    return follow
