"""A plot of costs over requests, both axes logarithmic, as SVG text without any library.

The same series give the same text, so that a plot that is kept can be compared with a new one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, GAP = 430, 420, 70
LEFT, TOP, BOTTOM = 64, 66, 52
LINE = 14
"""Least distance of two labels."""


@dataclass(frozen=True)
class Series:
    """A line with the name that stands at its beginning."""

    name: str
    variant: str
    colour: str
    dashed: bool
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    series: tuple[Series, ...]


@dataclass(frozen=True)
class Axes:
    """Powers of ten between which everything lies."""

    x: tuple[int, int]
    y: tuple[int, int]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels within a panel."""
        (x0, x1), (y0, y1) = self.x, self.y
        right = (math.log10(x) - x0) / (x1 - x0) * WIDTH
        down = (y1 - math.log10(y)) / (y1 - y0) * HEIGHT
        return right, down


def svg(panels: Sequence[Panel], axes: Axes, title: str) -> str:
    """The panels side by side."""
    width = LEFT + len(panels) * (WIDTH + GAP) - GAP + 24
    height = TOP + HEIGHT + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(LEFT, 22, title, size=15, weight="bold"),
    ]
    parts += _legend(panels, width)
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate({LEFT + number * (WIDTH + GAP)} {TOP})">')
        parts += _frame(panel.title, axes)
        parts += [_line(series, axes) for series in panel.series]
        parts += _labels(panel.series, axes)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _legend(panels: Sequence[Panel], width: int) -> Iterator[str]:
    kinds = {series.variant: series.dashed for panel in panels for series in panel.series}
    at = width - 24 - 110 * len(kinds)
    for variant, dashed in kinds.items():
        yield f'<path d="M{at} 18h40" stroke="#333333" stroke-width="2.2" {_dash(dashed)}/>'
        yield _text(at + 46, 22, variant)
        at += 110


def _frame(title: str, axes: Axes) -> Iterator[str]:
    yield _text(0, -12, title, size=13, weight="bold")
    for power in range(axes.x[0], axes.x[1] + 1):
        x, _ = axes.at(10**power, 1)
        yield f'<path d="M{x:.1f} 0v{HEIGHT}" stroke="#e4e4e4"/>'
        yield _text(x, HEIGHT + 18, _requests(power), anchor="middle", colour="#444444")
    for power in range(axes.y[0], axes.y[1] + 1):
        _, y = axes.at(1, 10.0**power)
        yield f'<path d="M0 {y:.1f}h{WIDTH}" stroke="#e4e4e4"/>'
        yield _text(-8, y + 4, _usd(power), anchor="end", colour="#444444")
    yield f'<path d="M0 0v{HEIGHT}h{WIDTH}" fill="none" stroke="#444444"/>'
    yield _text(WIDTH / 2, HEIGHT + 40, "requests a month", anchor="middle", colour="#444444")


def _line(series: Series, axes: Axes) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (axes.at(*p) for p in series.points))
    return (
        f'<polyline points="{points}" fill="none" stroke="{series.colour}" stroke-width="2.2" '
        f'stroke-linejoin="round" {_dash(series.dashed)}/>'
    )


def _labels(all_series: Iterable[Series], axes: Axes) -> Iterator[str]:
    """At each line's beginning its name, once where the lines of all variants begin together."""
    begins: dict[str, list[tuple[float, float, Series]]] = {}
    for series in all_series:
        x, y = axes.at(*series.points[0])
        begins.setdefault(series.name, []).append((x, y, series))
    wanted: list[tuple[float, float, str, str]] = []
    for name, lines in begins.items():
        ys = [y for _, y, _ in lines]
        together = max(ys) - min(ys) < LINE
        for x, y, series in lines[:1] if together else lines:
            text = name if together else f"{name} {series.variant}"
            wanted.append((x, sum(ys) / len(ys) if together else y, text, series.colour))
    lowest = -math.inf
    for x, y, text, colour in sorted(wanted, key=lambda label: label[1]):
        # A line that begins at the edge has its name above it, others before them.
        inside = x < 1
        y = max(y - 6 if inside else y + 4, lowest + LINE)
        lowest = y
        yield _text(
            4 if inside else x - 8, y, text, anchor="start" if inside else "end",
            colour=colour, weight="bold", halo=True,
        )  # fmt: skip


def _dash(dashed: bool) -> str:
    return 'stroke-dasharray="6 4"' if dashed else ""


def _text(
    x: float, y: float, text: str, *, size: int = 12, anchor: str = "start",
    colour: str = "#222222", weight: str = "normal", halo: bool = False,
) -> str:  # fmt: skip
    around = ' stroke="#ffffff" stroke-width="3" paint-order="stroke"' if halo else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'font-weight="{weight}" fill="{colour}"{around}>{escape(text)}</text>'
    )


def _requests(power: int) -> str:
    return f"{10 ** (power % 3)} {('', 'K', 'M', 'G')[power // 3]}".strip()


def _usd(power: int) -> str:
    return f"${10**power:,}" if power >= 0 else f"${10.0**power:.{-power}f}"
