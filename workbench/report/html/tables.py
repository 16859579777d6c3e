"""Tables in HTML: sortable, each figure with its raw value and interval behind the text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.records import Interval
from workbench.report.grids import NONE, Grid
from workbench.report.html.page import text

TONES = {"✓": "good", "✗": "bad", "?": "open"}
"""Colour by the first sign of a cell, as in the terminal; the sign says the same without."""


SHORT = 14
"""Characters up to which a column's texts are kept on one line."""
_NUMBER = re.compile(r"[+-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?")


@dataclass(frozen=True)
class Cell:
    """A cell's text, with the number behind it where there is one; ``tone`` is a CSS class."""

    shown: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    tone: str = ""


def interval_cell(shown: str, interval: Interval | None, scale: float = 1.0) -> Cell:
    """A cell of an interval; its raw values are multiplied by ``scale``."""
    if interval is None:
        return Cell(NONE)
    low, high = interval.low * scale, interval.high * scale
    return Cell(shown, interval.value * scale, low, high)


def grid_html(grid: Grid, *, caption: str | None = None, quiet: bool = False) -> str:
    """A grid of text as a table."""
    return table_html(caption or grid.title, grid.columns, grid.rows, grid.notes, quiet=quiet)


def table_html(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str | Cell]],
    notes: Sequence[str] = (),
    *,
    head: int | None = None,
    quiet: bool = False,
) -> str:
    """A ``<figure>`` with a table in a box that scrolls, room for its buttons, and its notes.

    Args:
        caption: plain text; escaped here, as are all cells and notes.
        columns: headers.
        rows: cells; a column whose cells are all numbers is set to the right.
        notes: sentences below.
        head: the column that names the row.
        quiet: the caption is for readers of the screen only, as a heading says the same.
    """
    made = [[c if isinstance(c, Cell) else Cell(c) for c in row] for row in rows]
    numeric = [
        any(_is_number(row[i]) for row in made)
        and all(_is_number(row[i]) or row[i].shown in (NONE, "") for row in made)
        for i in range(len(columns))
    ]
    kinds = [
        "number"
        if numeric[i]
        else "short"
        if all(len(row[i].shown) <= SHORT for row in made)
        else ""
        for i in range(len(columns))
    ]
    head_row = "".join(
        f'<th scope="col"{_class(kind)}>{text(name)}</th>'
        for name, kind in zip(columns, kinds, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(_cell(c, kinds[i], header=i == head) for i, c in enumerate(row)) + "</tr>"
        for row in made
    )
    said = "".join(f"<li>{text(note)}</li>" for note in notes)
    label = text(caption)
    return (
        f'<figure class="table{" quiet" if quiet else ""}">'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f'<table class="sortable"><caption>{label}</caption>'
        f"<thead><tr>{head_row}</tr></thead><tbody>{body}</tbody></table></div>"
        + '<div class="tools"></div>'
        + (f'<ul class="notes">{said}</ul>' if said else "")
        + "</figure>"
    )


def _is_number(cell: Cell) -> bool:
    return cell.value is not None or _NUMBER.fullmatch(cell.shown) is not None


def _cell(cell: Cell, kind: str, *, header: bool) -> str:
    raw = "".join(
        f' data-{name}="{figure!r}"'
        for name, figure in (("value", cell.value), ("low", cell.low), ("high", cell.high))
        if figure is not None
    )
    tone = cell.tone or TONES.get(cell.shown[:1], "")
    main, bracket, rest = cell.shown.partition(" [")
    if not bracket or cell.value is None:
        shown = text(cell.shown)
    else:
        shown = f'{text(main)} <span class="of">[{text(rest)}</span>'
    name = "th" if header else "td"
    scope = ' scope="row"' if header else ""
    return f"<{name}{scope}{_class(kind, tone)}{raw}>{shown}</{name}>"


def _class(*names: str) -> str:
    kept = " ".join(filter(None, names))
    return f' class="{kept}"' if kept else ""
