"""``report.md``: the grids of a run as Markdown."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from workbench.artifact import write_atomic
from workbench.records import Run
from workbench.report.grids import Grid, run_grids


def write_report(run: Run, folder: Path) -> Path:
    """Write ``report.md`` into a run directory.

    Raises:
        MissingError: the folder cannot be written.
    """
    path = folder / "report.md"
    write_atomic(path, markdown(run))
    return path


def markdown(run: Run) -> str:
    """The whole report of a run."""
    counts = Counter(verdict.outcome.value for verdict in run.verdicts)
    verdict = ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "none"
    head = [
        f"# {run.name}",
        "",
        f"Model `{run.model}`, task `{run.task}`, {run.created}. Gates: {verdict}.",
        "",
    ]
    if run.smoke:
        head += [
            "**A smoke run: few samples, and random weights unless the model is ONNX. "
            "No figure says anything.**",
            "",
        ]
    return "\n".join([*head, *(grid_markdown(grid) for grid in run_grids(run))])


def grid_markdown(grid: Grid) -> str:
    """One grid as a Markdown section."""
    lines = [
        f"## {grid.title}",
        "",
        _row(grid.columns),
        _row(tuple("---" for _ in grid.columns)),
        *(_row(row) for row in grid.rows),
        "",
        *(f"- {note}" for note in grid.notes),
    ]
    return "\n".join(lines) + "\n"


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
