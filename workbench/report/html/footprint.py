"""Size, work, memory and load time of each variant."""

from __future__ import annotations

from workbench.records import Run
from workbench.report.grids import footprint_grid
from workbench.report.html.tables import Cell, table_html


def footprint_table(run: Run) -> str:
    """The texts of the terminal's grid, with the raw figures (bytes, ms) behind them."""
    footprints = {v.name: v.measurement.footprint for v in run.variants if v.measurement}
    grid = footprint_grid(footprints)
    rows: list[list[str | Cell]] = []
    for shown, own in zip(grid.rows, footprints.values(), strict=True):
        load = own.load_ms
        raw = (own.size_bytes, own.parameters, own.sparsity, own.macs, own.peak_memory_bytes)
        rows.append(
            [
                shown[0],
                *(Cell(said, value) for said, value in zip(shown[1:6], raw, strict=True)),
                Cell(shown[6]) if load is None else Cell(shown[6], load.value, load.low, load.high),
            ]
        )
    columns = ("variant", *grid.columns[1:])
    return table_html(grid.title, columns, rows, grid.notes, head=0, quiet=True)
