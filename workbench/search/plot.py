"""The frontier as a picture: a panel for each objective against the first that is made large."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.artifact import disk_errors, write_atomic
from workbench.errors import MissingError
from workbench.objectives import COST, LATENCY, Objective
from workbench.records import Interval
from workbench.search.records import Ended, Point, SearchResult

SVG_FILE, PNG_FILE = "frontier.svg", "frontier.png"
BLUE, GREY, RED = "#1f6feb", "#9aa0a6", "#c0392b"
BYTES = ("size", "model_size", "memory")


def require_matplotlib() -> Any:
    """The module.

    Raises:
        MissingError: it is not installed.
    """
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise MissingError(
            "matplotlib is not installed, and a search draws its frontier with it.",
            hint="pip install 'workbench[search]'",
        ) from error
    return matplotlib


def write_plots(result: SearchResult, folder: Path) -> None:
    """Write the frontier of a result as ``frontier.svg`` and ``frontier.png``.

    Raises:
        MissingError: the folder cannot be written.
    """
    matplotlib = require_matplotlib()
    with matplotlib.rc_context({"svg.hashsalt": result.name, "font.size": 9}):
        figure = _figure(result)
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.savefig(png, format="png", dpi=160)
    write_atomic(folder / SVG_FILE, svg.getvalue())
    with disk_errors(folder):
        temporary = folder / f".{PNG_FILE}"
        temporary.write_bytes(png.getvalue())
        temporary.replace(folder / PNG_FILE)


def axes_of(objectives: Sequence[Objective]) -> list[tuple[Objective | None, Objective]]:
    """What each panel has across and up; none across is the number of the trial."""
    up = next((one for one in objectives if one.maximise), objectives[-1])
    across = [one for one in objectives if one is not up]
    return [(one, up) for one in across] or [(None, up)]


def _figure(result: SearchResult) -> Any:
    from matplotlib.figure import Figure

    panels = axes_of(result.parsed_objectives)
    figure = Figure(figsize=(4.6 * len(panels) + 0.4, 4.2), layout="constrained")
    for index, ((across, up), axes) in enumerate(
        zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True)
    ):
        _panel(axes, result, across, up, labelled=index == 0)
    figure.suptitle(result.name)
    return figure


def _panel(
    axes: Any, result: SearchResult, across: Objective | None, up: Objective, *, labelled: bool
) -> None:
    tried = [
        (_place(across, trial.figures, trial.number), _scaled(up, trial.figures[up.text]).value)
        for trial in result.trials
        if trial.ended in (Ended.MEASURED, Ended.BEATEN, Ended.BROKEN)
        if up.text in trial.figures and (across is None or across.text in trial.figures)
    ]
    if tried:
        axes.scatter(*zip(*tried, strict=True), s=14, color=GREY, label="tried, measured shortly")
    beaten = [p for p in result.points if not p.on_frontier]
    groups: list[tuple[str, Sequence[Point], str, str]] = [
        ("on the frontier", result.frontier, BLUE, "o"),
        ("measured again, not on it", beaten, RED, "x"),
        ("baseline", [result.baseline] if result.baseline else [], "black", "s"),
    ]
    for label, points, colour, marker in groups:
        for position, point in enumerate(points):
            x, y = _interval(across, point), _scaled(up, point.figures[up.text])
            axes.errorbar(
                x.value, y.value,
                xerr=[[x.value - x.low], [x.high - x.value]],
                yerr=[[y.value - y.low], [y.high - y.value]],
                fmt=marker, color=colour, ms=5, lw=0.8,
                label=label if position == 0 else None,
            )  # fmt: skip
            if point.on_frontier or point.trial is None:
                axes.annotate(
                    point.variant.removeprefix("trial-"),
                    (x.value, y.value), textcoords="offset points", xytext=(5, 4), fontsize=8,
                )  # fmt: skip
    axes.set_xlabel(axis_label(across) if across else "trial")
    axes.set_ylabel(axis_label(up))
    axes.grid(color="#e5e7ea", lw=0.6)
    axes.set_axisbelow(True)
    if labelled:
        axes.legend(fontsize=7, loc="best", frameon=False)


def axis_label(objective: Objective) -> str:
    """What an axis shows, with its unit."""
    if objective.name in BYTES:
        return f"{objective.text}, MB"
    if objective.name in (LATENCY, COST):
        return f"{objective.text}, share of the baseline's"
    return f"{objective.text}, change" if objective.name == "quality" else objective.text


def _place(across: Objective | None, figures: dict[str, Interval], number: int) -> float:
    return float(number) if across is None else _scaled(across, figures[across.text]).value


def _interval(across: Objective | None, point: Point) -> Interval:
    if across is None:
        number = float(point.trial or 0)
        return Interval(value=number, low=number, high=number, n=1)
    return _scaled(across, point.figures[across.text])


def _scaled(objective: Objective, found: Interval) -> Interval:
    """In the unit of its axis; an interval that lies beside its value is drawn up to it."""
    by = 1e-6 if objective.name in BYTES else 1.0
    value = found.value * by
    ends = {"low": min(found.low * by, value), "high": max(found.high * by, value)}
    return found.model_copy(update={"value": value, **ends})
