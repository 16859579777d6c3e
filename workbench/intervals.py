"""Intervals of ratios and differences of figures that have intervals of their own.

The ratio of two independent figures is found by the method of variance estimates recovery, on
logarithms: Zou and Donner (2008), Construction of confidence limits about effect measures: a
general approach, Statistics in Medicine 27. It needs no normality and keeps lopsided intervals
lopsided.
"""

from __future__ import annotations

import math

from workbench.records import Interval

COUNTED = "counted"
"""Method of a figure without doubt."""


def exact(value: float, method: str = COUNTED) -> Interval:
    """A figure without doubt."""
    return Interval(value=value, low=value, high=value, n=1, method=method, confidence=1.0)


def ratio(numerator: Interval, denominator: Interval, method: str) -> Interval | None:
    """``numerator / denominator`` of two independent figures; none unless all ends are above 0."""
    if min(numerator.low, denominator.low) <= 0:
        return None
    value = numerator.value / denominator.value
    down = math.hypot(
        math.log(numerator.value / numerator.low), math.log(denominator.high / denominator.value)
    )
    up = math.hypot(
        math.log(numerator.high / numerator.value), math.log(denominator.value / denominator.low)
    )
    return Interval(
        value=value,
        low=value * math.exp(-down),
        high=value * math.exp(up),
        n=min(numerator.n, denominator.n),
        method=method,
        confidence=min(numerator.confidence, denominator.confidence),
    )


def widest_difference(one: Interval, other: Interval, method: str) -> Interval:
    """``one - other``, whatever the two have to do with each other.

    From end to end: where each covers with probability 1 - a and 1 - b, this covers with at least
    1 - a - b (Bonferroni's inequality).
    """
    return Interval(
        value=one.value - other.value,
        low=one.low - other.high,
        high=one.high - other.low,
        n=min(one.n, other.n),
        method=method,
        confidence=max(0.0, round(one.confidence + other.confidence - 1, 6)),
    )
