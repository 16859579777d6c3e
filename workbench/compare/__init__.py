"""Comparing runs: what changed, what may be compared, the figures side by side, and the trend."""

from workbench.compare.records import Comparison
from workbench.compare.runs import compare_runs
from workbench.compare.sources import Source, read_source

__all__ = ["Comparison", "Source", "compare_runs", "read_source"]
