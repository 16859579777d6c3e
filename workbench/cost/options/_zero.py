"""Scaling to zero: how long an instance runs, how often it wakes, and who waits for it.

A request that finds nothing wakes an instance, which serves ``wake_s`` later, until ``tail_s`` have
passed without a request; it is billed for ``release_s`` more. Requests come independently of one
another, so at a rate r nothing serves in 1 / (r wake_s + exp(r tail_s)) of the time, and that share
of the requests wakes an instance: the means of such a cycle. Where the rate moves, what came in the
time before stands for r. The month is taken as a circle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from workbench.cost.money import Quantity, hours
from workbench.cost.traffic import Traffic

if TYPE_CHECKING:
    import numpy as np

NEVER = 1e-6
"""Below this share of requests an endpoint is taken never to be at zero."""


@dataclass(frozen=True)
class Zero:
    """A month of an endpoint that goes to zero.

    ``off_share`` are the requests that find nothing and wake it, ``waking_share`` those that come
    while it wakes; ``woken_rps`` is the rate at the time of the wakes.
    """

    on_hours: float
    wakes: float
    off_share: float
    waking_share: float
    woken_rps: float
    wake_s: float
    idle_s: float

    @property
    def late_share(self) -> float:
        """Requests that come while nothing runs."""
        return min(1.0, self.off_share + self.waking_share)

    def wait_s(self, quantile: float, wake_s: float) -> float:
        """Seconds of waiting for a start that a share of all requests stays within.

        Who wakes the endpoint waits all of ``wake_s``; who comes meanwhile, the rest of it.
        """
        beyond = 1 - quantile
        if self.off_share >= beyond:
            return wake_s
        if self.late_share <= beyond or self.waking_share <= 0:
            return 0.0
        return wake_s * (1 - (beyond - self.off_share) / self.waking_share)

    def parts(self, instances: int, all_hours: float) -> dict[str, Quantity]:
        """All instance-hours as three units: serving, waking, and idle before zero."""
        if self.late_share < NEVER:
            return {"instances": hours(all_hours)}
        waking = min(all_hours, self.wakes * self.wake_s / 3600 * instances)
        idle = min(all_hours - waking, self.wakes * self.idle_s / 3600 * instances)
        serving = max(0.0, all_hours - waking - idle)
        return {
            "instances": hours(serving), "wake-ups": hours(waking), "idle tail": hours(idle),
        }  # fmt: skip


@lru_cache(maxsize=256)
def to_zero(
    traffic: Traffic, hours: int, wake_s: float, tail_s: float, release_s: float = 0.0
) -> Zero:
    """How a traffic keeps an endpoint awake."""
    import numpy as np

    arrivals = traffic.per_minute(hours)
    # Nothing is at zero where so much came that exp would be too large to hold.
    kept = np.minimum(_before(arrivals, tail_s / 60), 700.0)
    off = 1 / (_before(arrivals, wake_s / 60) + np.exp(kept))
    gone = off * np.exp(-_before(arrivals, release_s / 60))
    waking_now = arrivals * off
    waking = np.minimum(1 - off, _before(waking_now, wake_s / 60))
    total, wakes = float(arrivals.sum()), float(waking_now.sum())
    return Zero(
        on_hours=float((1 - gone).sum()) / 60,
        wakes=wakes,
        off_share=wakes / total,
        waking_share=float((arrivals * waking).sum()) / total,
        woken_rps=float((arrivals * waking_now).sum()) / wakes / 60 if wakes > 0 else 0.0,
        wake_s=wake_s,
        idle_s=tail_s + release_s,
    )


def _before(values: np.ndarray, length: float) -> np.ndarray:
    """The sum over so many minutes before each one, that one included, of a circle."""
    import numpy as np

    length = min(length, float(len(values)))
    whole = math.floor(length)
    circle = np.concatenate([values[len(values) - whole :], values])
    sums = np.concatenate([[0.0], np.cumsum(circle)])
    found = sums[whole + 1 :] - sums[1 : len(values) + 1] if whole else np.zeros_like(values)
    rest = length - whole
    return np.asarray(found + rest * np.roll(values, whole)) if rest else np.asarray(found)
