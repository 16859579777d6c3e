"""The trend of a folder of runs as one page: a chart for each figure, and all points as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.compare.history import History, Point, Series
from workbench.report.grids import NONE
from workbench.report.html.page import asset, page, text
from workbench.report.html.tables import Cell, grid_html, table_html
from workbench.report.trends import (
    changes_text,
    figure_name,
    machine_label,
    point_text,
    trend_grids,
    value_text,
)


def history_page(history: History) -> str:
    """One self-contained HTML document."""
    groups = dict.fromkeys(_group(one) for one in history.series)
    charts = [
        _chart(history, [one for one in history.series if _group(one) == group]) for group in groups
    ]
    drawn = "".join(
        f'<figure class="trend" data-trend="{index}"><div class="plot"></div>'
        f"<figcaption>{text(chart['title'])}; upright lines are the intervals, cut off at the "
        "frame; a ring marks a change that is larger than its interval.</figcaption></figure>"
        for index, chart in enumerate(charts)
    )
    grids = "".join(grid_html(grid) for grid in trend_grids(history))
    body = (
        f"<h1>Trend of {text(history.folder)}</h1>"
        f"<p>{history.runs} runs; figures of different machines never stand in one line.</p>"
        f'<section id="charts"><h2>Charts</h2>{drawn or "<p>There is no figure to draw.</p>"}'
        f'</section><section id="changes"><h2>Trends and changes</h2>{grids}</section>'
        f'<section id="points"><h2>All points</h2>{_points(history)}</section>'
    )
    links = (("charts", "Charts"), ("changes", "Changes"), ("points", "All points"))
    return page(
        f"Trend of {history.folder}",
        body,
        data={"trends": charts},
        scripts=[asset("history.js")],
        styles=["main > h1 { margin-top: 2.5rem; }"],
        navigation="".join(f'<a href="#{place}">{name}</a>' for place, name in links),
    )


def _group(series: Series) -> tuple[str, int, str]:
    return series.recipe, series.machine, figure_name(series)


def _chart(history: History, series: Sequence[Series]) -> dict[str, Any]:
    first = series[0]
    variants = list(dict.fromkeys(one.variant for one in history.series))
    return {
        "title": f"{first.recipe}: {figure_name(first)} on {machine_label(history, first.machine)}",
        "unit": "MB" if first.unit == "bytes" else first.unit,
        "series": [
            {
                "name": one.variant,
                "index": variants.index(one.variant),
                "points": [_point(one, point) for point in one.points],
            }
            for one in series
        ],
    }


def _point(series: Series, point: Point) -> dict[str, Any]:
    scale = 1e-6 if series.unit == "bytes" else 1.0
    label = f"{point.run}\n{value_text(series, point.value)}"
    if point.told is not None:
        label += f"\n{point_text(series, point)}"
    if point.flagged:
        label += f"\n{changes_text(point.changes, point.told)}"
    return {
        "time": point.created,
        "value": point.value * scale,
        "low": point.low * scale,
        "high": point.high * scale,
        "flagged": point.flagged,
        "label": label,
    }


def _points(history: History) -> str:
    columns = (
        "when",
        "run",
        "recipe",
        "variant",
        "figure",
        "value",
        "against one before",
        "changed",
    )
    rows = [
        (
            point.created,
            point.run,
            f"{one.recipe}, machine {one.machine + 1}",
            one.variant,
            figure_name(one),
            Cell(value_text(one, point.value), point.value, point.low, point.high),
            point_text(one, point),
            changes_text(point.changes) if point.told else NONE,
        )
        for one in history.series
        for point in one.points
    ]
    return table_html("All points", columns, rows)
