"""Views of a run: the grids that the terminal and the Markdown report show."""

from workbench.report.grids import Grid, run_grids
from workbench.report.markdown import write_report

__all__ = ["Grid", "run_grids", "write_report"]
