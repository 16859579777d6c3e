"""What scaling by a metric provides: it follows the rate late, and lets go of it later."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from workbench.cost.catalog.autoscaling import (
    COOLDOWN_IN,
    METRIC_LAG,
    SCALE_IN_ALARM,
    SCALE_OUT_ALARM,
    START_REAL_TIME,
)
from workbench.cost.options._levels import Minutes, minutes
from workbench.cost.options._service import UTILISATION
from workbench.cost.traffic import Traffic

if TYPE_CHECKING:
    import numpy as np

LATE_S = METRIC_LAG.range.mid + SCALE_OUT_ALARM.seconds + START_REAL_TIME.range.mid
"""From a rise of the rate to an instance that serves it: lag of the metric, alarm, start."""
HELD_S = SCALE_IN_ALARM.seconds + COOLDOWN_IN.range.mid
"""From a fall of the rate to the end of an instance: alarm, cooldown."""
TOLERATED = 0.005
"""Share of requests that may come in rises that are too steep: half of what a p99 allows."""


@dataclass(frozen=True)
class Followed:
    """The rates that are provided for.

    ``headroom`` is by what factor the fleet must be larger than the present rate needs, because
    the rate rises while instances start. ``needed`` are the minutes' own rates; ``late`` is what is
    provided without headroom, where requests may wait until instances have started.
    """

    headroom: float
    needed: Minutes
    provided: Minutes
    late: Minutes


@lru_cache(maxsize=256)
def followed(
    traffic: Traffic, hours: int, late_s: float = LATE_S, held_s: float = HELD_S
) -> Followed:
    """How target tracking follows a traffic, if it is set as low as the steepest rise asks for.

    The headroom depends on the shape of the traffic and not on its volume.
    """
    import numpy as np

    unit = _unit(traffic.scaled(1), hours, late_s, held_s)
    rates, kept = unit.rates * traffic.requests, unit.kept * traffic.requests
    provided = np.minimum(kept * unit.headroom, rates.max()) if unit.headroom > 1 else kept
    return Followed(unit.headroom, minutes(rates), minutes(provided), minutes(kept))


@dataclass(frozen=True)
class _Unit:
    """Of a month of one request: its rate in each minute, what serves then, what is billed then."""

    rates: np.ndarray
    serving: np.ndarray
    kept: np.ndarray
    headroom: float


@lru_cache(maxsize=32)
def _unit(traffic: Traffic, hours: int, late_s: float, held_s: float) -> _Unit:
    import numpy as np

    rates = traffic.per_minute(hours) / 60
    late, held = math.ceil(late_s / 60), math.ceil(held_s / 60)
    serving = np.roll(highest(rates, held), late)
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = np.where(rates > 0, rates / serving, 0.0)
    headroom = max(1.0, _quantile(rise, rates))
    return _Unit(rates, serving, highest(rates, held + late), headroom)


@lru_cache(maxsize=4096)
def backlog_waits_s(traffic: Traffic, hours: int, least_rps: float) -> tuple[float, float]:
    """Median and 99th percentile of the wait in a queue whose instances follow without headroom.

    Args:
        traffic: of one queue.
        hours: of the month.
        least_rps: what the fewest instances answer when they are always busy.
    """
    import numpy as np

    unit = _unit(traffic.scaled(1), hours, LATE_S, HELD_S)
    rates = unit.rates * traffic.requests
    serving = np.maximum(unit.serving * traffic.requests / UTILISATION, least_rps)
    if not (rates > serving).any():
        return 0.0, 0.0
    # Three times round the month, of which the second is taken: no queue is cut off.
    came = np.cumsum(np.tile(rates * 60, 3))
    grown = came - np.cumsum(np.tile(serving * 60, 3))
    queue = grown - np.minimum.accumulate(np.minimum(grown, 0.0))
    # A request is begun when as many were served as had come with it.
    at = np.arange(len(came), dtype=float)
    wait = (np.interp(came, came - queue, at) - at)[len(rates) : 2 * len(rates)] * 60
    waits = queue[len(rates) : 2 * len(rates)] > 0
    wait, weights = wait[waits], rates[waits]
    order = np.argsort(wait, kind="stable")
    covered = 1 - (weights.sum() - np.cumsum(weights[order])) / rates.sum()

    def quantile(share: float) -> float:
        place = int(np.searchsorted(covered, share))
        none = 1 - weights.sum() / rates.sum() >= share
        return 0.0 if none else float(wait[order[min(place, len(order) - 1)]])

    return quantile(0.5), quantile(0.99)


def highest(rates: np.ndarray, window: int) -> np.ndarray:
    """The highest of each minute and the ``window`` before it; the month is taken as a circle."""
    import numpy as np

    found, done = rates, 1
    while done < window + 1:
        step = min(done, window + 1 - done)
        found = np.maximum(found, np.roll(found, step))
        done += step
    return found


def _quantile(rise: np.ndarray, weights: np.ndarray) -> float:
    """The rise that all but the tolerated share of the requests stay within."""
    import numpy as np

    order = np.argsort(rise, kind="stable")
    covered = np.cumsum(weights[order]) / weights.sum()
    place = int(np.searchsorted(covered, 1 - TOLERATED))
    return float(rise[order[min(place, len(order) - 1)]])
