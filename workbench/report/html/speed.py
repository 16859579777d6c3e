"""Latency in the report: the table of all cells, and samples thin enough for a page."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.records import Latency, Run
from workbench.report.grids import NONE, latency_grid, ms_text, speedup_text
from workbench.report.html.tables import Cell, interval_cell, table_html

MOST_SAMPLES = 101
"""Of one variant in one cell: more are drawn by so many of their order statistics."""


def thinned(samples: Sequence[float]) -> list[float]:
    """The samples in order; of many, evenly spaced order statistics, both ends included."""
    ordered = sorted(samples)
    last = len(ordered) - 1
    if last < MOST_SAMPLES:
        return ordered
    steps = MOST_SAMPLES - 1
    return [ordered[round(i * last / steps)] for i in range(MOST_SAMPLES)]


def thins(run: Run) -> bool:
    """Whether any of the run's samples are left out of the page."""
    return any(
        len(cell.samples_ms) > MOST_SAMPLES
        for v in run.variants
        if v.measurement
        for cell in v.measurement.latency
    )


def latency_table(run: Run) -> str:
    """Every variant in every cell."""
    measured = {v.name: v.measurement.latency for v in run.variants if v.measurement}
    skipped = {s for v in run.variants if v.measurement for s in v.measurement.skipped}
    base = run.baseline.name
    grid = latency_grid(measured, baseline=base, skipped=sorted(skipped, key=str))
    settings = dict.fromkeys(cell.setting for cells in measured.values() for cell in cells)
    columns = ["variant", "batch", "sequence", "threads", "device", "p50 ms", "p95 ms", "p99 ms",
               "speed-up", "samples"]  # fmt: skip
    dropped = [] if any(setting.sequence for setting in settings) else ["sequence"]
    dropped += [] if any(setting.device != "cpu" for setting in settings) else ["device"]
    rows = []
    for setting in settings:
        for name, found in measured.items():
            for cell in found:
                if cell.setting == setting:
                    rows.append(_row(name, cell, baseline=name == base))
    kept = [i for i, column in enumerate(columns) if column not in dropped]
    return table_html(
        grid.title,
        [columns[i] for i in kept],
        [[row[i] for i in kept] for row in rows],
        (*grid.notes, "Brackets are 95 % intervals where no other confidence is told."),
        head=0,
    )


def _row(name: str, cell: Latency, *, baseline: bool) -> list[str | Cell]:
    setting = cell.setting
    doubt = "" if cell.steady else " ~"

    def percentile(which: str) -> Cell:
        found = getattr(cell, f"{which}_ms")
        if found is None:
            return Cell(NONE)
        shown = f"{ms_text(found.value)}{doubt} [{ms_text(found.low)}, {ms_text(found.high)}"
        told = "" if found.confidence >= 0.95 else f"; {found.confidence:.0%}"
        return interval_cell(f"{shown}{told}]", found)

    return [
        name,
        Cell(str(setting.batch), setting.batch),
        Cell(NONE) if setting.sequence is None else Cell(str(setting.sequence), setting.sequence),
        Cell(str(setting.threads), setting.threads),
        setting.device,
        percentile("p50"),
        percentile("p95"),
        percentile("p99"),
        Cell("1", 1.0) if baseline else interval_cell(speedup_text(cell.speedup), cell.speedup),
        Cell(str(cell.p50_ms.n), cell.p50_ms.n),
    ]
