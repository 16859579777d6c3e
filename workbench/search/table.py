"""The frontier as a table, and what is said of the rest."""

from __future__ import annotations

from collections import Counter

from workbench.objectives import COST, LATENCY, Objective
from workbench.records import Interval
from workbench.report.grids import NONE, Grid, bytes_text, interval_text
from workbench.search.plot import BYTES
from workbench.search.records import Ended, Point, SearchResult, Trial, knobs_text

WORDS = {
    Ended.MEASURED: "measured in full",
    Ended.BROKEN: "broke a constraint",
    Ended.BEATEN: "beaten before all was measured",
    Ended.SAME: "the same artifact as another",
    Ended.REFUSED: "could not be made",
}


def frontier_grid(result: SearchResult) -> Grid:
    """The baseline, the points on the frontier, and those that fell off it when measured again."""
    objectives = result.parsed_objectives
    assert result.baseline is not None
    rows = [_row(result.baseline, objectives), *(_row(p, objectives) for p in result.points)]
    notes = [
        "Figures of one run, side by side; latency and cost are shares of the baseline's, quality "
        "is the difference to it. Brackets are 95 % intervals.",
        tally(result),
    ]
    if any(point.undecided for point in result.points):
        notes.append("? a constraint is undecided: its bound lies within the interval.")
    if not result.frontier:
        notes.append("None is on the frontier: the last column says why.")
    columns = ("variant", *(one.text for one in objectives), "knobs", "frontier")
    return Grid(f"{result.name}: the frontier", columns, tuple(rows), tuple(notes))


def _row(point: Point, objectives: tuple[Objective, ...]) -> tuple[str, ...]:
    name = point.variant + (" (baseline)" if point.trial is None else "")
    figures = (figure_text(one, point.figures[one.text], point) for one in objectives)
    return (name, *figures, knobs_text(point.knobs) or NONE, _standing(point))


def _standing(point: Point) -> str:
    if point.broken:
        mark = "·" if point.trial is None else "✗"  # nobody asked it of the baseline
        return f"{mark} breaks {', '.join(point.broken)}"
    if point.beaten_by:
        return f"· beaten by {point.beaten_by}"
    return f"? {', '.join(point.undecided)}" if point.undecided else "✓"


def figure_text(objective: Objective, found: Interval, point: Point | None = None) -> str:
    """A figure with its interval, in its unit."""
    if objective.name in BYTES:
        return bytes_text(found.value)
    if objective.name in ("parameters", "macs"):
        return f"{found.value:,.0f}"
    if objective.name == COST:
        usd = "" if point is None or point.usd is None else f" (${point.usd:,.2f})"
        return f"{found.value:.3f}{usd}"
    if objective.name == "quality":
        return interval_text(found, 4, sign=True) if found.low != found.high else "0"
    if objective.name == LATENCY and found.low == found.high:
        return "1"
    return interval_text(found) if found.low != found.high else f"{found.value:.5g}"


def tally(result: SearchResult) -> str:
    """How many chains were tried, and how they ended."""
    counted = Counter(trial.ended for trial in result.trials)
    parts = [f"{counted[ended]} {words}" for ended, words in WORDS.items() if counted[ended]]
    every = "all there are" if result.exhausted else "a sample of what there is"
    earlier = f", {result.resumed} of them in an earlier sitting" if result.resumed else ""
    return f"{len(result.trials)} chains tried ({every}){earlier}: {', '.join(parts)}."


def unmet(result: SearchResult) -> list[str]:
    """What is said where no chain keeps the constraints."""
    lines = [f"No chain keeps all constraints: {' · '.join(result.constraints)}.", tally(result)]
    if result.closest is not None:
        trial: Trial = result.trial(result.closest)
        knobs = knobs_text(trial.knobs)
        lines.append(f"The closest is trial {trial.number} ({knobs}): {trial.reason}.")
        known = [one for one in result.parsed_objectives if one.text in trial.figures]
        if known:
            shown = (f"{one.text} {figure_text(one, trial.figures[one.text])}" for one in known)
            lines.append(f"Its figures: {'; '.join(shown)}.")
    return lines
