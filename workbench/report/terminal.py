"""The grids of a run in the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workbench.report.grids import Grid

STYLES = {"✓": "green", "✗": "bold red", "?": "yellow", "·": "dim"}
"""Colour by the first sign of a cell; the sign itself says the same without colour."""


def print_grid(console: Console, grid: Grid) -> None:
    """Print one grid."""
    table = Table(
        title=Text(grid.title),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for column in grid.columns:
        table.add_column(Text(column), overflow="fold")
    for row in grid.rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell[:1], "")) for cell in row))
    console.print(table)
    for note in grid.notes:
        console.print(Text(f"  {note}", style="dim"))
    console.print()
