"""Instances over a month whose rate moves: how many each rate needs, and how they answer.

Rates are rounded up to levels that are 4 % apart, the same for all traffic, so that what is found
for one is used for the next, and more traffic never needs fewer instances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from workbench.cost.case import Case
from workbench.cost.options import Place
from workbench.cost.options._instances import fleet, least_instances, objective_s
from workbench.cost.options._service import Service, lanes, service_on

if TYPE_CHECKING:
    import numpy as np

_STEPS = 16
"""Levels in a doubling of the rate."""
_LEAST = -20 * _STEPS
"""The lowest level: a request in two weeks."""


@dataclass(frozen=True)
class Minutes:
    """How many minutes of the month have each level of the rate; requests per second."""

    levels: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Instances:
    """What the minutes of a month need: the sum over them, the most, and the slowest answers.

    ``batch`` is the most that run together at the peak.
    """

    hours: float
    peak: int
    p50_ms: float
    p99_ms: float
    batch: int


def minutes(rates: np.ndarray) -> Minutes:
    """Count the minutes of each level; ``rates`` are requests per second of each minute."""
    import numpy as np

    floor = 2.0 ** (_LEAST / _STEPS)
    exact = _STEPS * np.log2(np.maximum(rates, floor))
    levels = np.ceil(exact - 1e-6).astype(int)
    lowest = int(levels.min())
    counts = np.bincount(levels - lowest)
    there = np.flatnonzero(counts)
    return Minutes(tuple((there + lowest).tolist()), tuple(counts[there].tolist()))


@lru_cache(maxsize=16)  # a case keeps what it has computed of its month
def one_model(case: Case) -> Case:
    """The case of one model of the portfolio, where each has an endpoint of its own."""
    if case.portfolio == 1:
        return case
    part = case.traffic.scaled(case.traffic.requests / case.portfolio)
    return replace(case, traffic=part, portfolio=1)


def instances_over(
    case: Case, place: Place, speed: float, month: Minutes, least: int = 0
) -> Instances:
    """The fewest instances in each minute that keep the objective; never above the peak's fleet.

    Raises:
        NotPossibleError: the service itself takes longer than the objective.
    """
    peak_rps = case.peak_rps
    top = fleet(case, place, speed, peak_rps)
    least = max(least, least_instances(case))
    most = max(least, top.instances)
    each, one, objective = lanes(case, place), service_on(case, place, speed), objective_s(case)
    total, worst = 0, {}
    for level, count in zip(month.levels, month.counts, strict=True):
        found = min(most, max(least, _instances(one, level, objective, each)))
        total += found * count
        worst[found] = min(rate_of(level), peak_rps)
    slowest = max(one.served(rate, found * each, objective).p99_s for found, rate in worst.items())
    p99_ms = max(slowest * 1000, top.p99_ms)
    return Instances(total / 60, max(worst), top.p50_ms, p99_ms, top.batch)


def sustained_rps(case: Case, place: Place, speed: float, instances: int) -> float:
    """The highest level of the rate at which so many instances keep the objective; 0: none."""
    each, one, objective = lanes(case, place), service_on(case, place, speed), objective_s(case)
    high = math.floor(_STEPS * math.log2(instances * each / one.least_s))
    low = _LEAST
    if _instances(one, low, objective, each) > instances:
        return 0.0
    while high - low > 1:
        middle = (low + high) // 2
        fits = _instances(one, middle, objective, each) <= instances
        low, high = (middle, high) if fits else (low, middle)
    return rate_of(low)


def rate_of(level: int) -> float:
    """Requests per second of a level."""
    return float(2.0 ** (level / _STEPS))


def _instances(one: Service, level: int, objective: float, each: int) -> int:
    return math.ceil(_lanes(one, level, objective) / each)


@lru_cache(maxsize=100_000)
def _lanes(one: Service, level: int, objective: float) -> int:
    found = one.lanes(rate_of(level), objective)
    # None only beyond the peak, whose fleet was found: the caller holds it to that.
    return found if found is not None else 10**9
