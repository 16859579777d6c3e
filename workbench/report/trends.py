"""A history of runs as grids: a trend a row, and what changed by more than its interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from workbench.compare.history import History, Point, Series
from workbench.compare.metrics import COUNTED_FIGURES
from workbench.compare.records import Basis, Change, Told
from workbench.report.comparisons import MARKS, change_text, ratio_text, share_text
from workbench.report.costs import money
from workbench.report.grids import NONE, Grid, bytes_text, interval_text, machine_text, ms_text

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 28
"""Points of a sparkline; of more runs the last are shown."""
NOTES = (
    "Each point is held against the one before. ✓ better, ✗ worse: the whole interval says so; "
    "? apart, by an interval that does not hold the drift between two measurements, or a count "
    "of which neither way is better.",
    "Of 100 points at which nothing changed, up to 5 are flagged: the intervals are of 95 %.",
)


def trend_grids(history: History) -> tuple[Grid, ...]:
    """The trends by recipe and machine, what changed where, and what was left out."""
    groups = dict.fromkeys((one.recipe, one.machine) for one in history.series)
    grids = []
    for recipe, machine in groups:
        series = [one for one in history.series if (one.recipe, one.machine) == (recipe, machine)]
        grids.append(_trends(history, recipe, machine, series))
        grids.append(_changes(recipe, machine, series))
    if not groups:
        told = f"{history.runs} runs below {history.folder} have none of these figures."
        grids.append(Grid("No trend", ("what",), ((told,),)))
    if history.skipped:
        rows = tuple((one.name, one.reason) for one in history.skipped)
        grids.append(Grid("Left out", ("run", "why"), rows))
    return tuple(grid for grid in grids if grid.rows)


def _trends(history: History, recipe: str, machine: int, series: Sequence[Series]) -> Grid:
    rows = tuple(
        (
            one.variant,
            figure_name(one),
            str(len(one.points)),
            sparkline([point.value for point in one.points]),
            value_text(one, one.points[0].value),
            value_text(one, one.points[-1].value),
            point_text(one, one.points[-1]),
            NONE if one.whole is None else point_text(one, one.whole),
        )
        for one in series
    )
    columns = (
        "variant",
        "figure",
        "runs",
        "trend",
        "first",
        "last",
        "last against one before",
        "last against first",
    )
    made = [point.created for one in series for point in one.points]
    notes = [
        f"{min(made)} to {max(made)} on {machine_label(history, machine)}.",
        *NOTES,
    ]
    if history.traffic:
        notes.append(f"Cost: {history.traffic}; {history.region}.")
    return Grid(f"{recipe}, machine {machine + 1}", columns, rows, tuple(notes))


def machine_label(history: History, machine: int) -> str:
    """CPU, cores and instruction sets; versions and load are of the runs."""
    return machine_text(history.machines[machine]).partition("; load")[0]


def figure_name(series: Series) -> str:
    """``latency.p50 · 1 × 16, 1 thr``."""
    return series.metric if series.setting is None else f"{series.metric} · {series.setting}"


def sparkline(values: Sequence[float]) -> str:
    """The last values as blocks from the smallest to the largest; level where all are alike."""
    shown = values[-WIDTH:]
    low, high = min(shown), max(shown)
    if high == low:
        return BLOCKS[3] * len(shown)
    top = len(BLOCKS) - 1
    return "".join(BLOCKS[round((value - low) / (high - low) * top)] for value in shown)


def value_text(series: Series, value: float) -> str:
    """A value with its unit."""
    if series.unit == "bytes":
        return bytes_text(value)
    if series.unit == "ms":
        return f"{ms_text(value)} ms"
    if series.unit == "USD a month":
        return f"{money(Decimal(str(value)))} USD"
    if series.unit == "×":
        return f"{value:.2f}×"
    return f"{value:,.0f}" if value == int(value) and abs(value) > 1 else f"{value:.5g}"


def point_text(series: Series, point: Point) -> str:
    """What a point is against the one before: mark, difference with interval, basis."""
    if point.told is None:
        return NONE
    mark, found = MARKS[point.told], point.difference
    if found is None:
        return f"{mark} {point.basis}".strip()
    if series.metric in COUNTED_FIGURES:
        return share_text(found.value) if found.value == 1 else f"{mark} {share_text(found.value)}"
    if point.basis in ("same files", Basis.SAME.value) and found.low == found.high:
        return f"= {point.basis}"
    if series.metric == "quality":
        return f"{mark} {interval_text(found, 4, sign=True)}, {point.basis}"
    word = " as fast" if series.unit == "ms" else ""
    return f"{mark} {ratio_text(found)}{word}, {point.basis}"


def _changes(recipe: str, machine: int, series: Sequence[Series]) -> Grid:
    rows = tuple(row for one in series for row in _flagged(one))
    ordered = tuple(sorted(rows, key=lambda row: row[0]))
    columns = (
        "when",
        "run",
        "variant",
        "figure",
        "from",
        "to",
        "against one before",
        "what changed",
    )
    return Grid(
        f"{recipe}, machine {machine + 1}: changes larger than their intervals", columns, ordered
    )


def _flagged(series: Series) -> Iterator[tuple[str, ...]]:
    for before, point in zip(series.points, series.points[1:], strict=False):
        if point.flagged:
            yield (
                point.created,
                point.run,
                series.variant,
                figure_name(series),
                value_text(series, before.value),
                value_text(series, point.value),
                point_text(series, point),
                changes_text(point.changes, point.told),
            )


def changes_text(changes: Sequence[Change], told: Told | None = None) -> str:
    """What changed at a point, in a line."""
    if not changes:
        return "nothing that is recorded" if told else NONE
    return "; ".join(_change(change) for change in changes)


def _change(change: Change) -> str:
    key, before, after = change_text(change)
    if change.kind == "added":
        return f"{change.aspect}: + {key} {after}"
    if change.kind == "removed":
        return f"{change.aspect}: − {key} {before}"
    return f"{change.aspect}: {key} {before} → {after}"
