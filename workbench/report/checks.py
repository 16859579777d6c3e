"""What a check shows in the terminal, as grids."""

from __future__ import annotations

from workbench.check.records import CellVerdict, CheckResult, CheckVerdict
from workbench.records import Outcome
from workbench.report.grids import MARKS, Grid


def check_grids(result: CheckResult) -> tuple[Grid, ...]:
    """The verdicts, then the cells of those that did not pass."""
    against = f" against {result.previous.path}" if result.previous else ""
    notes = [*result.notes]
    if result.processes:
        notes.append(
            f"{result.processes} processes measured for {result.seconds_measured:.0f} s; "
            f"load of the machine {result.machine.load_average}."
        )
    undecided = [v for v in result.verdicts if v.outcome is Outcome.UNDECIDED]
    if undecided:
        more = any(verdict.samples == "processes" for verdict in undecided)
        notes.append(
            f"Undecided: the interval spans the bound{'; --decide measures on' if more else ''}."
        )
    verdicts = Grid(
        title=f"Check of {result.run.path}{against}",
        columns=("outcome", "variant", "gate", "by", "why"),
        rows=tuple(_row(verdict) for verdict in result.verdicts),
        notes=tuple(notes),
    )
    cells = Grid(
        title="Cells that did not pass",
        columns=("outcome", "variant", "gate", "by", "why"),
        rows=tuple(
            _cell(verdict, cell)
            for verdict in result.verdicts
            if len(verdict.cells) > 1
            for cell in verdict.cells
            if cell.outcome is not Outcome.PASS
        ),
    )
    return tuple(grid for grid in (verdicts, cells) if grid.rows)


def _row(verdict: CheckVerdict) -> tuple[str, ...]:
    named = verdict.gate if verdict.name == verdict.gate else f"{verdict.name}: {verdict.gate}"
    why = verdict.reason
    if verdict.note and verdict.outcome is not Outcome.PASS:
        why += f" ({verdict.note})"
    return (MARKS[verdict.outcome], verdict.variant, named, *_figures(verdict, why))


def _cell(verdict: CheckVerdict, cell: CellVerdict) -> tuple[str, ...]:
    return (MARKS[cell.outcome], verdict.variant, verdict.gate, *_figures(cell, cell.reason))


def _figures(verdict: CheckVerdict | CellVerdict, why: str) -> tuple[str, ...]:
    if verdict.samples_needed:
        why += f"; about {verdict.samples_needed} more {verdict.samples} would decide it"
    return (verdict.how, why)
