"""When each request of a month comes, hour by hour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.cost._traffic_window import Window

if TYPE_CHECKING:
    import numpy as np


def drawn(per_minute: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Poisson arrivals: sorted seconds since the month's start, one float64 array for each hour.

    Each hour has a generator of its own, so that an hour is the same whichever came before.
    """
    import numpy as np

    for hour, rates in enumerate(per_minute.reshape(-1, 60)):
        random = np.random.default_rng([seed, hour])
        minutes = np.repeat(np.arange(60), random.poisson(rates))
        yield hour * 3600 + np.sort((minutes + random.random(len(minutes))) * 60)


def replayed(
    window: Window, times: np.ndarray, hours: int, factor: float, seed: int
) -> Iterator[np.ndarray]:
    """The requests of a log at their own times, one sorted float64 array of seconds for each hour.

    A volume of ``factor`` times the log's keeps each request with that chance; above 1 each comes
    once at its own time and its copies anywhere within its minute. Times that were written to the
    second or minute are spread over it, lest requests seem to come at the same instant.
    """
    import numpy as np

    index = window.index(hours)
    edges = np.append(0, np.cumsum(window.minutes)).astype(np.int64)
    if abs(factor - 1) < 1e-9:
        factor = 1.0
    for hour in range(hours):
        random = np.random.default_rng([seed, hour])
        sources = index[hour * 60 : (hour + 1) * 60]
        pieces = [times[edges[i] : edges[i + 1]] - 60 * i for i in sources]
        minute = np.repeat(np.arange(60), [len(piece) for piece in pieces])
        within = np.concatenate(pieces) + window.resolution * random.random(len(minute))
        copies = np.floor(factor + random.random(len(minute))).astype(np.int64)
        own = (minute * 60 + within)[copies > 0]
        again = np.repeat(minute, np.maximum(copies - 1, 0))
        more = (again + random.random(len(again))) * 60
        yield hour * 3600 + np.sort(np.concatenate([own, more]))
