"""Workbench: from a trained model to a small, proven, priced and packaged one.

``load_recipe`` reads a recipe, ``run`` makes and measures its variants, ``load_run`` reads a run
directory back, ``compare_runs`` holds runs against each other. Importing this package pulls in
neither torch nor onnx: what is heavy is imported when it is used.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Since 1.29 onnxruntime reports to its maker unless told otherwise before it is imported. Nothing
# leaves this machine that nobody asked for, and no upload disturbs a measurement.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from workbench.compare import compare_runs
    from workbench.profiler.job import Elsewhere
    from workbench.progress import Progress
    from workbench.recipe import RecipeSource, load_recipe
    from workbench.records import Run
    from workbench.run_directory import load_run
    from workbench.store import Store

__all__ = ["compare_runs", "load_recipe", "load_run", "run"]

_WHERE = {
    "compare_runs": "workbench.compare",
    "load_recipe": "workbench.recipe",
    "load_run": "workbench.run_directory",
}


def run(
    recipe: RecipeSource,
    *,
    runs: Path = Path("runs"),
    smoke: bool = False,
    remeasure: bool = False,
    elsewhere: Elsewhere | None = None,
    store: Store | None = None,
    progress: Progress | None = None,
) -> tuple[Run, Path]:
    """Run a recipe: make, validate, measure and gate its variants, and write the run directory.

    Args:
        recipe: from :func:`load_recipe`.
        runs: folder of run directories.
        smoke: a quick way through everything on a tiny random model.
        remeasure: measure latency again even where it was measured before.
        elsewhere: another machine, which measures the latency in this one's place.
        store: where artifacts are kept; none: the default store.
        progress: is told how the work goes, as is whoever follows ``runs`` (see
            :mod:`workbench.progress.log`) or has set up OpenTelemetry.

    Returns:
        The run and its directory.

    Raises:
        WorkbenchError: anything that stops the run; see :mod:`workbench.errors`.
    """
    from workbench.artifact import check_writable
    from workbench.progress import Several
    from workbench.progress.log import ProgressLog
    from workbench.report import write_report
    from workbench.report.html.report import REPORT_FILE, write_html
    from workbench.resolve import resolve
    from workbench.runner import Runner
    from workbench.tracking.spans import trace_run

    check_writable(runs)
    resolved = resolve(recipe, smoke=smoke)
    with ProgressLog(runs, resolved.name) as log, trace_run(resolved) as spans:
        watchers = Several(*filter(None, (progress, log, spans)))
        runner = Runner(resolved, store, watchers, remeasure=remeasure, elsewhere=elsewhere)
        result = runner.run()
        folder = runner.publish(result, runs)
        write_report(result, folder)
        # The cost explorer takes longer than a small run; who names no traffic may not want it.
        write_html(
            [result],
            folder / REPORT_FILE,
            explorer=result.traffic is not None,
            store=runner.store,
            progress=watchers,
        )
    return result, folder


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'workbench' has no attribute '{name}'")
