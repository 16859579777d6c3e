"""Numbers of several rounds as text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def shown(values: Sequence[float | None]) -> str:
    """``median (least–most)``, or a dash without values."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    median, least, most = statistics.median(known), min(known), max(known)
    if least == most:
        return short(median)
    return f"{short(median)} ({short(least)}–{short(most)})"


def short(value: float) -> str:
    """Three significant digits; whole numbers from 100 up."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
