"""Markdown for a pull request: the verdict, a table, and the cells to unfold.

GitHub takes comments of 65,536 characters; the cells are left out from the end where they would not
fit.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.check.records import CheckResult, CheckVerdict
from workbench.gates import WORST_FIRST
from workbench.records import Outcome

LIMIT = 60_000
"""Characters; room is left for what a workflow adds."""

MARKS = {
    Outcome.PASS: "✅ pass",
    Outcome.FAIL: "❌ fail",
    Outcome.UNDECIDED: "❔ undecided",
    Outcome.NOT_JUDGED: "➖ not judged",
}


def render(result: CheckResult) -> str:
    """The summary."""
    verdicts = sorted(result.verdicts, key=lambda v: WORST_FIRST.index(v.outcome))
    sign = "✅" if result.passed else "❌"
    head = [f"### {sign} {_cell(result.run.name)}: {_cell(result.headline)}", ""]
    if result.smoke:
        head += ["A smoke run: it shows that everything works, and no figure says anything.", ""]
    foot = ["", *(f"- {_cell(note)}" for note in _notes(result)), ""]
    columns = ("", "variant", "gate", "why")
    rows = [_row(verdict) for verdict in verdicts]
    table = [_line(columns), _line(["---"] * len(columns)), *(_line(row) for row in rows)]
    room = LIMIT - sum(len(line) + 1 for line in (*head, *foot))
    kept = _fitting(table, room)
    lines = [*head, *(kept if rows else [])]
    if len(kept) < len(table):
        lines += ["", f"{len(table) - len(kept)} more lines do not fit here."]
    room -= sum(len(line) + 1 for line in kept)
    details = [part for verdict in verdicts for part in _details(verdict)]
    unfolded = ["", "<details><summary>Cell by cell</summary>", "", *details, "", "</details>"]
    if details and sum(len(line) + 1 for line in unfolded) < room:
        lines += unfolded
    elif details:
        lines += ["", "The cells do not fit here; `workbench check --json` has them."]
    return "\n".join([*lines, *foot])


def _row(verdict: CheckVerdict) -> tuple[str, ...]:
    named = "" if verdict.name == verdict.gate else f"{verdict.name}: "
    why = verdict.reason + (f" ({verdict.note})" if verdict.note else "")
    if verdict.samples_needed:
        why += f"; about {verdict.samples_needed} more {verdict.samples} would decide it"
    return (
        MARKS[verdict.outcome],
        _cell(verdict.variant),
        f"{_cell(named)}`{verdict.gate.replace('`', '')}`",
        _cell(why),
    )


def _details(verdict: CheckVerdict) -> list[str]:
    if len(verdict.cells) < 2:
        return []
    columns = ("cell", "", "why", "by")
    rows = [
        _line((str(cell.setting), MARKS[cell.outcome], _cell(cell.reason), _cell(cell.how)))
        for cell in verdict.cells
    ]
    title = f"**{_cell(verdict.variant)}** · `{verdict.gate.replace('`', '')}`"
    return [title, "", _line(columns), _line(["---"] * len(columns)), *rows, ""]


def _notes(result: CheckResult) -> list[str]:
    run = result.run
    notes = [f"Run of {run.created}, model {run.model}."]
    if result.previous:
        notes.append(f"Against {result.previous.name} of {result.previous.created}.")
    if result.processes:
        notes.append(
            f"Measured side by side in {result.processes} processes, "
            f"{result.seconds_measured:.0f} s, on {result.machine.cpu}, "
            f"load {result.machine.load_average}."
        )
    notes.append(
        f"With no change, at most {result.false_failure:.0%} of checks fail; undecided: the "
        "interval spans the bound."
    )
    return [*notes, *result.notes]


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    return kept


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _cell(text: str) -> str:
    """Text that is not read as HTML, a mention or emphasis."""
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "&#64;")):
        text = text.replace(sign, written)
    for sign in "*_`[]~":
        text = text.replace(sign, f"\\{sign}")
    return text
