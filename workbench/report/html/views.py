"""Where charts stand: a figure with its controls, its box, and what it says in words."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.records import Run, Setting
from workbench.report.grids import NONE, bytes_text, interval_text, ms_text
from workbench.report.html.answer import cell_text
from workbench.report.html.frontier import Point, frontier, quality_scale
from workbench.report.html.page import text
from workbench.report.html.speed import MOST_SAMPLES, thins
from workbench.report.html.tables import Cell, interval_cell, table_html


def frontier_view(own: str, run: Run, cells: Sequence[Setting]) -> str:
    """The frontier as a chart, and as a table of each cell."""
    scale = quality_scale(run)
    caption = (
        "Up and to the left is better; the area of a mark is the size. Bars are 95 % intervals. "
        "Hollow marks are beaten: another variant is at least as good in latency, quality and "
        "size, and better in one, going by the values; where intervals overlap that may be chance."
    )
    if scale is None:
        caption = "No quality was measured that all variants have: latency against size. " + caption
    tables = "".join(
        f'<div data-cell="{i}"{"" if i == 0 else " hidden"}>'
        f"{_frontier_table(run, cell, frontier(run, cell))}</div>"
        for i, cell in enumerate(cells)
    )
    return _chart("frontier", own, cells, caption, "Quality against latency") + tables


def latency_view(own: str, run: Run, cells: Sequence[Setting]) -> str:
    """Distributions of one cell, and latency and throughput by batch."""
    spread = (
        "Share of the samples that took no longer; further left is faster, steeper is steadier."
    )
    if thins(run):
        spread += (
            f" Curves of more than {MOST_SAMPLES} samples are drawn by {MOST_SAMPLES} of their "
            "order statistics, both ends included; run.json has all samples."
        )
    made = _chart("distribution", own, cells, spread, "Distribution of latency")
    series = list(dict.fromkeys((c.sequence, c.threads, c.device) for c in cells))
    if any(len({c.batch for c in cells if _series(c) == one}) > 1 for one in series):
        made += _chart(
            "batch", own, [c for c in cells if c.batch == min(x.batch for x in cells)],
            "p50 of a batch and what it makes in throughput: batch / p50. Bars are 95 % intervals.",
            "Latency and throughput by batch", whole=False,
        )  # fmt: skip
    return made


def stages_view(own: str, run: Run) -> str:
    """Bytes of the model's parts after each distinct step."""
    if not any(record.account.bytes_after for v in run.variants for record in v.lineage):
        return ""
    caption = (
        "Bytes of the model after each step, by part; a stage that variants share stands once. "
        "The table below gives the figures."
    )
    return _chart("stages", own, (), caption, "Bytes of the model after each step")


def _series(cell: Setting) -> tuple[int | None, int, str]:
    return cell.sequence, cell.threads, cell.device


def _chart(
    kind: str, own: str, cells: Sequence[Setting], caption: str, label: str, *, whole: bool = True
) -> str:
    choices = ""
    if len(cells) > 1:
        shown = [cell_text(cell, batch=whole) for cell in cells]
        options = "".join(f'<option value="{i}">{text(s)}</option>' for i, s in enumerate(shown))
        choices = (
            f'<label>Measured at <select data-pick="{kind}" id="{own}-{kind}-cell">{options}'
            "</select></label>"
        )
    return (
        f'<figure class="chart" data-chart="{kind}" data-label="{text(label)}">'
        f'<p class="label">{text(label)}</p>'
        f'<div class="controls">{choices}</div>'
        '<div class="legend"></div><div class="plot"></div>'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def _frontier_table(run: Run, cell: Setting, points: Sequence[Point]) -> str:
    scale = quality_scale(run)
    signed = scale is not None and scale.kind == "difference"
    rows: list[list[str | Cell]] = [
        [
            point.variant,
            interval_cell(
                f"{ms_text(point.ms.value)} [{ms_text(point.ms.low)}, {ms_text(point.ms.high)}]",
                point.ms,
            ),
            Cell(NONE)
            if point.quality is None
            else interval_cell(_quality_text(point, signed), point.quality),
            Cell(bytes_text(point.size_bytes), point.size_bytes),
            f"beaten by {point.beaten_by}" if point.beaten_by else "on the frontier",
        ]
        for point in points
    ]
    quality = scale.label if scale else "quality"
    columns = ("variant", "p50 ms", quality, "size", "standing")
    return table_html(f"Frontier at {cell_text(cell)}", columns, rows, head=0)


def _quality_text(point: Point, signed: bool) -> str:
    found = point.quality
    assert found is not None
    if found.low == found.high:
        return "0" if found.value == 0 else f"{found.value:.5f}"
    return interval_text(found, 4, sign=signed)
