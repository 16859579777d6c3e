"""Judges a run's gates again, against its baseline and against an earlier run."""

from __future__ import annotations

from workbench.check.records import CheckResult, CheckVerdict
from workbench.check.run import check_run

__all__ = ["CheckResult", "CheckVerdict", "check_run"]
