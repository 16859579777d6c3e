"""Random requests: when they come and how long they take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

MINUTE_S = 60.0


def draw_counts(per_minute: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Requests of each minute (int64), independent of one another (Poisson)."""
    return rng.poisson(per_minute)


def draw_arrivals(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Seconds, ascending. Given its count, a Poisson minute's arrivals are uniform in it."""
    import numpy as np

    total = int(counts.sum())
    minutes = np.repeat(np.arange(len(counts)), counts)
    times = (minutes + rng.random(total)) * MINUTE_S
    times.sort()
    return times


def draw_services(count: int, service_s: float, scv: float, rng: np.random.Generator) -> np.ndarray:
    """Service times in seconds of the given mean and squared coefficient of variation: lognormal,
    as ``queueing.service_quantile_of`` takes them to be; all the same where scv is 0.
    """
    import numpy as np

    if scv == 0:
        return np.full(count, service_s)
    sigma = math.sqrt(math.log1p(scv))
    return service_s * np.exp(sigma * rng.standard_normal(count) - sigma**2 / 2)
