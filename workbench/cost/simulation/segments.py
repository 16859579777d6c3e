"""A month cut into times of one rate and one number of lanes, and which of them are hard."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.cost.simulation.samples import MINUTE_S

if TYPE_CHECKING:
    import numpy as np

    from workbench.cost.simulation.steps import Steps

BUSY = 0.9
"""From this utilisation on a queue takes too long to become steady for the closed form."""
SETTLE_S = 60.0
"""Seconds before and after a busy time that are simulated with it."""


@dataclass(frozen=True)
class Load:
    """What comes, and how long it takes."""

    per_minute: np.ndarray
    """Expected requests: float64 ``[minutes]``."""
    counts: np.ndarray
    """Requests that came: int64 ``[minutes]``."""
    service_s: float
    scv: float

    @property
    def end_s(self) -> float:
        """Length in seconds."""
        return len(self.per_minute) * MINUTE_S


@dataclass(frozen=True)
class Segments:
    """Times within a minute during which the lanes stay as they are."""

    edges: np.ndarray
    minutes: np.ndarray
    rates: np.ndarray
    lanes: np.ndarray
    backlog: np.ndarray
    """Fluid in line at each edge."""
    lost: np.ndarray
    """Fluid that leaves within each segment because it would wait too long."""

    @property
    def weights(self) -> np.ndarray:
        """Expected requests of each."""
        import numpy as np

        weights: np.ndarray = self.rates * np.diff(self.edges)
        return weights


def segments_of(load: Load, lanes: Steps, patience_s: float, refused_at_zero: bool) -> Segments:
    """The segments of a month, with the line as a fluid: what comes less what is served."""
    import numpy as np

    whole = np.arange(len(load.per_minute) + 1) * MINUTE_S
    inside = lanes.times_s[(lanes.times_s > 0) & (lanes.times_s < load.end_s)]
    edges = np.union1d(whole, inside)
    minutes = (edges[:-1] // MINUTE_S).astype(np.int64)
    rates, counts = load.per_minute[minutes] / MINUTE_S, lanes.at(edges[:-1])
    lost = np.zeros(len(rates))
    backlog = np.zeros(len(edges))
    if (rates * load.service_s >= counts).any():
        capacity = counts / load.service_s
        most = _longest_line(edges[1:], counts, lanes, load, patience_s, refused_at_zero)
        waiting = 0.0
        for index, (rate, served, seconds, limit) in enumerate(
            zip(
                rates.tolist(), capacity.tolist(), np.diff(edges).tolist(), most.tolist(),
                strict=True,
            )
        ):  # fmt: skip
            waiting = max(0.0, waiting + (rate - served) * seconds)
            if waiting > limit:
                lost[index] = waiting - limit
                waiting = limit
            backlog[index + 1] = waiting
    return Segments(edges, minutes, rates, counts, backlog, lost)


def _longest_line(
    times_s: np.ndarray,
    counts: np.ndarray,
    lanes: Steps,
    load: Load,
    patience_s: float,
    refused_at_zero: bool,
) -> np.ndarray:
    """What the lanes can serve within the patience, from some times on: more is dropped."""
    import numpy as np

    if math.isinf(patience_s):
        most = np.full(len(times_s), math.inf)
    else:
        most = (lanes.until(times_s + patience_s) - lanes.until(times_s)) / load.service_s
    return np.where((counts == 0) & refused_at_zero, 0.0, most)


def hard_ones(segments: Segments, service_s: float) -> np.ndarray:
    """Which segments have no steady queue, and what follows them until it has settled."""
    import numpy as np

    busy = segments.rates * service_s >= BUSY * segments.lanes
    waiting = (segments.backlog[:-1] > 0) | (segments.backlog[1:] > 0)
    # Nothing comes and nothing is there: calm. All that comes is refused: that needs no events.
    idle = (segments.lanes == 0) & ~waiting
    hard = (busy & ~idle) | waiting
    starts, ends = segments.edges[:-1], segments.edges[1:]
    last = np.maximum.accumulate(np.where(hard, ends, -np.inf))
    followed: np.ndarray = hard | ((starts < last + SETTLE_S) & ~idle)
    return followed


def with_lead(segments: Segments, hard: np.ndarray) -> np.ndarray:
    """The hard segments and what precedes them, so that the line has its length by then."""
    import numpy as np

    starts, ends = segments.edges[:-1], segments.edges[1:]
    following = np.minimum.accumulate(np.where(hard, starts, np.inf)[::-1])[::-1]
    led: np.ndarray = hard | (ends > following - SETTLE_S)
    return led
