"""What a report shows, as grids of text; how it looks is the renderers' business."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.records import (
    Footprint,
    Interval,
    Latency,
    Machine,
    Measurement,
    Outcome,
    Quality,
    Run,
    Skipped,
    StepRecord,
    VariantResult,
)

NONE = "–"


@dataclass(frozen=True)
class Grid:
    """A titled table of text; ``notes`` stand below it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def run_grids(run: Run) -> tuple[Grid, ...]:
    """All grids of a run, in the order in which they are read."""
    measured = {v.name: v.measurement.latency for v in run.variants if v.measurement}
    baseline = run.baseline.name
    latency = latency_grid(measured, baseline=baseline)
    steps = [_steps(run), *curve_grids(run)]
    grids = [_summary(run), latency, *steps, worst_grid(run), gates_grid(run)]
    return tuple(grid for grid in grids if grid.rows)


def bytes_text(size: float) -> str:
    """A size in MB or kB, to three figures."""
    if size >= 1e6:
        return f"{size / 1e6:.1f} MB"
    return f"{size / 1e3:.1f} kB"


def interval_text(interval: Interval | None, digits: int = 3, sign: bool = False) -> str:
    """``value [low, high]``."""
    if interval is None:
        return NONE
    plus = "+" if sign else ""
    return (
        f"{interval.value:{plus}.{digits}f} "
        f"[{interval.low:{plus}.{digits}f}, {interval.high:{plus}.{digits}f}]"
    )


def speedup_text(interval: Interval | None) -> str:
    """``1.93× [1.90, 1.96]``."""
    if interval is None:
        return NONE
    return f"{interval.value:.2f}× [{interval.low:.2f}, {interval.high:.2f}]"


def percentiles_text(cell: Latency) -> str:
    """``p50 / p95 / p99`` in ms; a percentile that too few samples support is a dash."""
    values = (cell.p50_ms, cell.p95_ms, cell.p99_ms)
    return " / ".join(NONE if v is None else ms_text(v.value) for v in values)


def ms_text(value: float) -> str:
    """Milliseconds to three figures."""
    if value < 1:
        return f"{value:.3f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def machine_text(machine: Machine) -> str:
    """CPU, cores, instruction sets and the load."""
    isa = [name for name in machine.isa if name not in ("avx", "avx512f")]
    return (
        f"{f'{machine.instance_type}: ' if machine.instance_type else ''}"
        f"{machine.cpu}, {machine.cores} cores, {', '.join(isa) or 'no vector extensions known'}; "
        f"load {machine.load_average}; onnxruntime {machine.versions.get('onnxruntime', '?')}"
    )


def _summary(run: Run) -> Grid:
    baseline = run.baseline
    rows = [
        _summary_row(variant, variant.measurement, baseline.measurement)
        for variant in run.variants
        if variant.measurement and baseline.measurement
    ]
    metric = next(
        (
            v.measurement.quality.metric
            for v in run.variants
            if v.measurement and v.measurement.quality
        ),
        "quality",
    )
    samples = [
        v.measurement.quality for v in run.variants if v.measurement and v.measurement.quality
    ]
    notes = [f"Quality: {samples[0].samples} samples of {run.task}."] if samples else []
    notes.append("Brackets are 95 % intervals; Δ is paired with the baseline, sample by sample.")
    notes.append(
        f"Speed-up: geometric mean of the cells (and their range). Measured {run.measured}, "
        f"{machine_text(run.machine)}."
    )
    skipped = {s for v in run.variants if v.measurement for s in v.measurement.skipped}
    notes += sorted(f"Not measured: {s.name}: {s.reason}" for s in skipped)
    return Grid(
        title=f"{run.name} · {run.model}",
        columns=(
            "variant",
            "size",
            metric,
            "Δ to baseline",
            "closeness",
            "speed-up",
            "peak memory",
            "load",
        ),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _summary_row(variant: VariantResult, own: Measurement, base: Measurement) -> tuple[str, ...]:
    footprint = own.footprint
    ratio = footprint.size_bytes / base.footprint.size_bytes
    size = bytes_text(footprint.size_bytes)
    memory = footprint.peak_memory_bytes
    load = footprint.load_ms
    return (
        variant.name + (" (baseline)" if variant.baseline else ""),
        size if variant.baseline else f"{size} ({ratio:.0%})",
        interval_text(own.quality.score if own.quality else None, 4),
        interval_text(own.quality.difference if own.quality else None, 4, sign=True),
        closeness_text(own.quality),
        "1" if variant.baseline else mean_speedup_text(own.latency),
        NONE if memory is None else bytes_text(memory),
        NONE if load is None else f"{ms_text(load.value)} ms",
    )


def closeness_text(quality: Quality | None) -> str:
    """The label-free figures that say most."""
    if quality is None or not quality.agreement:
        return NONE
    shown = {
        "cosine_mean": "cos {:.5f}",
        "cosine_min": "min {:.5f}",
        "label_agreement": "labels {:.1%}",
        "nearest_neighbour": "neighbour {:.1%}",
    }
    parts = [
        text.format(quality.agreement[name])
        for name, text in shown.items()
        if name in quality.agreement
    ]
    return ", ".join(parts) or NONE


def mean_speedup_text(cells: Sequence[Latency]) -> str:
    """Geometric mean of the cells' speed-ups with the range of the cells."""
    ratios = [cell.speedup.value for cell in cells if cell.speedup]
    if not ratios:
        return NONE
    if len(ratios) == 1:
        return speedup_text(cells[0].speedup)
    mean = math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))
    return f"{mean:.2f}× ({min(ratios):.2f}–{max(ratios):.2f})"


def footprint_grid(footprints: dict[str, Footprint]) -> Grid:
    """Size, parameters, work, memory and load time of models by name."""
    rows = [
        (
            name,
            bytes_text(own.size_bytes),
            f"{own.parameters:,}",
            f"{own.sparsity:.1%}",
            NONE if own.macs is None else f"{own.macs / 1e6:,.1f} M",
            NONE if own.peak_memory_bytes is None else bytes_text(own.peak_memory_bytes),
            NONE if own.load_ms is None else f"{interval_text(own.load_ms, 1)} ms",
        )
        for name, own in footprints.items()
    ]
    columns = ("model", "size", "parameters", "zeros", "MACs a sample", "peak memory", "load")
    return Grid("Size and memory", columns, tuple(rows))


def latency_grid(
    latencies: dict[str, tuple[Latency, ...]], *, baseline: str, skipped: Iterable[Skipped] = ()
) -> Grid:
    """Latency of models by name, cell by cell."""
    settings = dict.fromkeys(cell.setting for cells in latencies.values() for cell in cells)
    found = {(name, cell.setting): cell for name, cells in latencies.items() for cell in cells}
    rows = []
    for setting in settings:
        names = [name for name in latencies if (name, setting) in found]
        for name in names:
            cell = found[name, setting]
            rows.append(
                (
                    str(setting) if name == names[0] else "",
                    name,
                    percentiles_text(cell) + ("" if cell.steady else " ~"),
                    "1" if name == baseline else speedup_text(cell.speedup),
                    str(cell.p50_ms.n),
                )
            )
    notes = ["p95 is given from 20 samples on, p99 from 100."]
    if any(not cell.steady for cell in found.values()):
        notes.append("~ rounds disagree, the machine was busy: trust the ratio, not the time.")
    notes += [f"Not measured: {item.name}: {item.reason}" for item in skipped]
    sequence = any(setting.sequence for setting in settings)
    return Grid(
        title="Latency, all variants interleaved in the same processes",
        columns=(
            "batch × sequence, threads" if sequence else "batch, threads",
            "variant",
            "p50 / p95 / p99 ms",
            "speed-up",
            "samples",
        ),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _steps(run: Run) -> Grid:
    """What each step did, each once, with the variants that share it."""
    rows = []
    seen: set[str] = set()
    for variant in run.variants:
        for record in variant.lineage:
            if record.key in seen:
                continue
            seen.add(record.key)
            users = [v.name for v in run.variants if any(r.key == record.key for r in v.lineage)]
            parity = record.account.parity
            distance = NONE if parity is None else f"{parity.max_abs:.1e}"
            rows.append(
                (
                    record.step,
                    ", ".join(users),
                    record.account.summary,
                    distance,
                    f"{record.seconds:.1f} s",
                )
            )
    return Grid(
        title="What each step did",
        columns=("step", "variants", "account", "worst output difference", "took"),
        rows=tuple(rows),
    )


def curve_grids(run: Run) -> list[Grid]:
    """The trade-off curve of each step that weighed candidates, such as ``quantize: auto``."""
    records = {record.key: record for v in run.variants for record in v.lineage}
    return [curve_grid(record) for record in records.values() if "curve" in record.account.choices]


def curve_grid(record: StepRecord) -> Grid:
    """The candidates that a step weighed, the cheapest first; an arrow marks the chosen one."""
    choices = record.account.choices
    curve = choices["curve"]
    notes = [f"Budget: {choices['within']}. Judged: {choices['judged']}."]
    if choices["for"] != "size":
        notes.append(
            "Timed: the fastest of those that keep the budget, and the last that does not."
        )
    return Grid(
        title=f"Candidates of {record.step} for least {choices['for']}, of which → was taken",
        columns=(
            "",
            "layers",
            "size",
            f"Δ {curve[0]['metric']}",
            "closeness",
            "speed-up",
            "USD a month",
            "within the budget",
        ),
        rows=tuple(map(_curve_row, curve)),
        notes=tuple(notes),
    )


def _curve_row(point: dict[str, Any]) -> tuple[str, ...]:
    quality = Quality(
        metric=point["metric"],
        difference=_interval(point["difference"]),
        agreement=point["agreement"],
        samples=0,
    )
    usd = point["usd_month"]
    return (
        "→" if point["chosen"] else "",
        ", ".join(f"{count} {scheme}" for scheme, count in point["layers"].items()),
        bytes_text(point["size_bytes"]),
        interval_text(quality.difference, 4, sign=True),
        closeness_text(quality),
        speedup_text(_interval(point["speedup"])),
        NONE if usd is None else f"{usd:,.2f}",
        "yes" if point["keeps"] else f"no: {point['budget']}",
    )


def _interval(found: dict[str, float] | None) -> Interval | None:
    return None if found is None else Interval(**found, n=0)


def worst_grid(run: Run, most: int = 3) -> Grid:
    """The samples that suffered most, at most ``most`` of each variant."""
    rows = tuple(
        (variant.name, worst.sample, f"{worst.value:.4f}", worst.detail)
        for variant in run.variants
        if variant.measurement and variant.measurement.quality and not variant.baseline
        for worst in variant.measurement.quality.worst[:most]
    )
    return Grid(
        title="Samples that suffered most",
        columns=("variant", "sample", "value", "detail"),
        rows=rows,
    )


MARKS = {
    Outcome.PASS: "✓ pass",
    Outcome.FAIL: "✗ FAIL",
    Outcome.UNDECIDED: "? undecided",
    Outcome.NOT_JUDGED: "· not judged",
}


def gates_grid(run: Run) -> Grid:
    """Every gate's verdict and its reason."""
    rows = tuple((MARKS[v.outcome], v.variant, v.gate, v.reason) for v in run.verdicts)
    undecided = any(v.outcome is Outcome.UNDECIDED for v in run.verdicts)
    notes = ("Undecided: the interval spans the bound; more samples or rounds would tell.",)
    return Grid(
        title="Gates",
        columns=("outcome", "variant", "gate", "why"),
        rows=rows,
        notes=notes if undecided else (),
    )
