"""A comparison of runs as grids: the runs, what changed between them, the figures side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from workbench.compare.records import (
    Basis,
    Change,
    Comparison,
    Cost,
    Difference,
    Figures,
    LatencyChange,
    QualityChange,
    Told,
    VariantComparison,
)
from workbench.records import Interval, Latency, Setting
from workbench.report.costs import money
from workbench.report.grids import (
    NONE,
    Grid,
    bytes_text,
    closeness_text,
    interval_text,
    machine_text,
    percentiles_text,
)

SHOWN = 60
"""Characters of a value in the table of changes; ``--json`` has all of it."""

MARKS = {
    Told.BETTER: "✓",
    Told.WORSE: "✗",
    Told.NOT_APART: "≈",
    Told.PERHAPS: "?",
    Told.NOTHING: "",
}
"""The first sign of a difference; colours follow it."""

LEGEND = (
    "✓ better, ✗ worse: the whole interval says so. ≈ not told apart: the interval holds 'no "
    "difference'. ? apart, by an interval that does not hold the drift between the measurements."
)


def comparison_grids(comparison: Comparison) -> tuple[Grid, ...]:
    """All grids of a comparison, in the order in which they are read."""
    grids = [_runs(comparison), _changes(comparison)]
    grids += [_variant(comparison, variant) for variant in comparison.variants]
    return tuple(grid for grid in grids if grid.rows)


def _runs(comparison: Comparison) -> Grid:
    runs = comparison.runs
    rows = (
        ("recipe", *(run.name for run in runs)),
        ("variant", *(run.variant or "all" for run in runs)),
        ("model", *(run.model for run in runs)),
        ("baseline", *(f"{run.baseline} {_digest(run.baseline_digest)}" for run in runs)),
        ("task", *(f"{run.task}, {run.samples or NONE} samples" for run in runs)),
        ("made", *(run.created for run in runs)),
        ("latency measured", *(run.measured for run in runs)),
        ("machine", *(machine_text(run.machine) for run in runs)),
    )
    shown = tuple(row for row in rows if row[0] != "variant" or any(run.variant for run in runs))
    unmatched = (
        f"Without a partner, not compared: {', '.join(names)} of {label}."
        for label, names in comparison.unmatched.items()
    )
    return Grid(
        title=f"Compared with {runs[0].label}",
        columns=("what", runs[0].label, *(run.label for run in runs[1:])),
        rows=shown,
        notes=(*comparison.notes, *unmatched),
    )


def _digest(digest: str | None) -> str:
    return "" if digest is None else f"({digest[:12]})"


def _changes(comparison: Comparison) -> Grid:
    several = len(comparison.runs) > 2
    rows = tuple(
        (*((change.run,) if several else ()), change.aspect.value, *change_text(change))
        for change in comparison.changes
    )
    nothing = (*(("",) if several else ()), "· nothing that is recorded", "", "", "")
    columns = ("what", "key", "before", "after")
    return Grid("What changed", ("run", *columns) if several else columns, rows or (nothing,))


def change_text(change: Change) -> tuple[str, str, str]:
    """Key, before and after."""
    before = NONE if change.kind == "added" else value_text(change.before)
    after = NONE if change.kind == "removed" else value_text(change.after)
    return change.key, before, after


def value_text(value: Any) -> str:
    """A JSON value as a recipe would write it, shortened."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _variant(comparison: Comparison, variant: VariantComparison) -> Grid:
    pair = len(comparison.runs) == 2
    rows: list[tuple[str, ...]] = []
    for name, figure, against in _lines(comparison, variant):
        cells = [NONE if own is None else figure(own) for own in variant.figures]
        told = [
            "" if own is None or change is None else against(own, change)
            for own, change in zip(variant.figures, variant.differences, strict=True)
        ]
        if all(cell == NONE for cell in cells):
            continue
        if pair:
            rows.append((name, *cells, told[1]))
        else:
            both = (f"{cell}\n{said}".strip() for cell, said in zip(cells, told, strict=True))
            rows.append((name, *both))
    labels = tuple(run.label for run in comparison.runs)
    return Grid(
        title=variant.name,
        columns=("figure", *labels, f"against {labels[0]}") if pair else ("figure", *labels),
        rows=tuple(rows),
        notes=tuple(_variant_notes(comparison, variant)),
    )


Line = tuple[str, Callable[[Figures], str], Callable[[Figures, Difference], str]]


def _lines(comparison: Comparison, variant: VariantComparison) -> Iterator[Line]:
    """Name of a figure, how it is shown, and how its difference to the reference is."""
    metrics = {f.quality.metric for f in variant.figures if f and f.quality}
    metric = metrics.pop() if len(metrics) == 1 else "quality"
    yield "size", lambda f: bytes_text(f.footprint.size_bytes), _size
    yield "parameters", lambda f: f"{f.footprint.parameters:,}", _parameters
    yield metric, _score, lambda f, d: quality_text(d.quality)
    yield "Δ to own baseline", _own_difference, lambda f, d: ""
    yield "closeness", lambda f: closeness_text(f.quality), lambda f, d: ""
    yield "peak memory", _memory, lambda f, d: share_text(d.memory)
    yield "load ms", lambda f: interval_text(f.footprint.load_ms, 1), _load
    settings = dict.fromkeys(c.setting for f in variant.figures if f for c in f.latency)
    for setting in settings:
        yield (
            f"p50 / p95 / p99 ms · {setting}",
            lambda f, s=setting: _cell(f, s, percentiles_text),  # type: ignore[misc]
            lambda f, d, s=setting: _speed(d, s),  # type: ignore[misc]
        )
    if comparison.traffic is not None:
        yield "USD a month", lambda f: cost_text(f.cost), _cost


def _size(figures: Figures, change: Difference) -> str:
    return "the same files" if change.identical else share_text(change.size)


def _parameters(figures: Figures, change: Difference) -> str:
    return share_text(change.parameters)


def share_text(ratio: float | None) -> str:
    """``-74.2 %``: how much more or less than the reference."""
    if ratio is None:
        return ""
    if ratio == 1:
        return "="
    digits = 1 if abs(ratio - 1) >= 0.001 else 4
    return f"{100 * (ratio - 1):+.{digits}f} %"


def _score(figures: Figures) -> str:
    return NONE if figures.quality is None else interval_text(figures.quality.score, 4)


def _own_difference(figures: Figures) -> str:
    if figures.quality is None:
        return NONE
    return interval_text(figures.quality.difference, 4, sign=True)


def quality_text(change: QualityChange) -> str:
    """The difference with its interval and what it rests on."""
    if change.basis == "not compared":
        return f"not compared: {change.why}"
    if change.basis == "same files":
        return "= the same files, the same data"
    if change.basis == "intervals":
        apart = "apart" if change.told in (Told.BETTER, Told.WORSE) else "overlap"
        return f"{MARKS[change.told]} intervals {apart}; not paired: {change.why}"
    basis = "paired" if change.basis == "paired" else "paired differences, end to end"
    basis += f": {change.why}" if change.why else ""
    return f"{MARKS[change.told]} {interval_text(change.difference, 4, sign=True)}, {basis}"


def _memory(figures: Figures) -> str:
    peak = figures.footprint.peak_memory_bytes
    return NONE if peak is None else bytes_text(peak)


def _load(figures: Figures, change: Difference) -> str:
    if change.load is None:
        return ""
    holds = change.load.low <= 1 <= change.load.high
    return f"{MARKS[Told.NOT_APART if holds else Told.PERHAPS]} {ratio_text(change.load)}"


def ratio_text(ratio: Interval) -> str:
    """``1.08× [1.03, 1.13]``."""
    return f"{ratio.value:.3g}× [{ratio.low:.3g}, {ratio.high:.3g}]"


def _cell(figures: Figures, setting: Setting, text: Callable[[Latency], str]) -> str:
    found = next((cell for cell in figures.latency if cell.setting == setting), None)
    return NONE if found is None else text(found) + ("" if found.steady else " ~")


def _speed(change: Difference, setting: Setting) -> str:
    return next((speed_text(c) for c in change.latency if c.setting == setting), "not measured")


def speed_text(change: LatencyChange) -> str:
    """How many times as fast as the reference, and what that rests on."""
    if change.speed is None:
        return change.basis.value
    if change.basis is Basis.SAME:
        return "= the same measurement"
    faster = f"{_speed_ratio(change.speed)} as fast"
    return f"{MARKS[change.told]} {faster}, {change.basis.value}".strip()


def _speed_ratio(speed: Interval) -> str:
    return f"{speed.value:.2f}× [{speed.low:.2f}, {speed.high:.2f}]"


def cost_text(cost: Cost | None) -> str:
    """A month with its range, and where; or why there is none."""
    if cost is None:
        return NONE
    if cost.usd is None:
        return f"not possible: {cost.why}"
    span = (
        ""
        if cost.usd.low == cost.usd.high
        else (f" ({money(cost.usd.low)}–{money(cost.usd.high)})")
    )
    star = "" if cost.measured else " *"
    return f"{money(cost.usd.mid)}{span}, {cost.option} on {cost.place}{star}"


def _cost(figures: Figures, change: Difference) -> str:
    if change.cost is None:
        return ""
    usd = change.cost.usd
    if usd.low == usd.mid == usd.high == 0:
        return "="
    plus = "+" if usd.mid > 0 else ""
    span = "" if usd.low == usd.high else f" ({money(usd.low)} to {money(usd.high)})"
    return f"{MARKS[change.cost.told]} {plus}{money(usd.mid)}{span}"


def _variant_notes(comparison: Comparison, variant: VariantComparison) -> Iterator[str]:
    if variant is not comparison.variants[-1]:
        return
    if comparison.smoke:
        yield "Smoke runs: no figure says anything."
    yield LEGEND
    yield (
        "Brackets are 95 % intervals; of 100 differences that are none, up to 5 are called one. "
        "Memory is the peak of one process, without an interval."
    )
    if any(not c.steady for v in comparison.variants for f in v.figures if f for c in f.latency):
        yield "~ rounds disagree, the machine was busy: trust the ratio, not the time."
    every = [d for v in comparison.variants for d in v.differences if d]
    if any(d.quality.basis == "differences" for d in every):
        yield (
            "Paired differences, end to end: each run's own difference to the same baseline, on "
            "the same samples; the widest interval that the two allow (90 % at least)."
        )
    if any(cell.basis is Basis.OTHER_MACHINE for d in every for cell in d.latency):
        yield (
            "Normalised, other machine: how much more the variant gains over the baseline there. "
            "It does not say how fast it is, nor whether files or machine make the difference."
        )
    if comparison.traffic is not None:
        yield (
            f"Cost: {comparison.traffic}; {comparison.region}, 730 hours, each on its cheapest "
            "possible option, from the latencies that its own run measured, drift included. "
            "* predicted; ranges as predicted."
        )
