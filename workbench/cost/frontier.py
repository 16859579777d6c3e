"""What no other choice beats in both cost and latency."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from workbench.cost.money import decimal
from workbench.cost.plan import Estimate, FrontierPoint

ALIKE = 0.01
"""Relative; p99 that differ by less count as the same: they are measured less closely than that."""


def frontier(ranked: Iterable[Estimate]) -> tuple[FrontierPoint, ...]:
    """From the cheapest to the fastest; whatever is not on it is no cheaper and no faster than one.

    Args:
        ranked: the cheapest first.
    """
    points: list[FrontierPoint] = []
    for found in ranked:
        if not points:
            points.append(FrontierPoint(estimate=found))
        elif found.p99_ms.mid < points[-1].estimate.p99_ms.mid * (1 - ALIKE):
            paid = _usd_per_ms(points[-1].estimate, found)
            points.append(FrontierPoint(estimate=found, usd_per_ms=paid))
    return tuple(points)


def _usd_per_ms(before: Estimate, after: Estimate) -> Decimal:
    saved = decimal(before.p99_ms.mid) - decimal(after.p99_ms.mid)
    return (after.usd.mid - before.usd.mid) / saved
