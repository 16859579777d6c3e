"""A line before servers that come and go, event by event (Kiefer and Wolfowitz, 1955)."""

from __future__ import annotations

import math
from heapq import heappop, heappush, heapreplace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from workbench.cost.simulation.steps import Steps


def fifo(
    arrivals_s: np.ndarray, services_s: np.ndarray, lanes: Steps, patience_s: float = math.inf
) -> np.ndarray:
    """When each request begins to be served: seconds, NaN for one that would wait too long.

    First come, first served; the state is the time at which each lane becomes free. A lane that
    vanishes ends its request first, and idle lanes vanish before busy ones. A request that would
    wait longer than ``patience_s`` leaves without having been served.

    Args:
        arrivals_s: ascending.
        services_s: one for each arrival.
        lanes: how many requests can be served at a time.
        patience_s: longest wait.
    """
    if len(lanes.counts) == 1 and math.isinf(patience_s):
        count = int(lanes.counts[0])
        if count == 1 or (count > 1 and len(services_s) and services_s.min() == services_s.max()):
            return _cyclic(arrivals_s, services_s, count)
    return _by_heap(arrivals_s, services_s, lanes, patience_s)


def _cyclic(arrivals_s: np.ndarray, services_s: np.ndarray, lanes: int) -> np.ndarray:
    """Equal services end in the order they begin, so that request n takes the lane of n - lanes.

    Each lane is then a queue of its own, whose departures are a running maximum (Lindley, 1952).
    """
    import numpy as np

    padded = -(-len(arrivals_s) // lanes) * lanes
    missing = padded - len(arrivals_s)
    arrivals = np.append(arrivals_s, np.full(missing, np.inf)).reshape(-1, lanes)
    services = np.append(services_s, np.zeros(missing)).reshape(-1, lanes)
    done = np.cumsum(services, axis=0)
    before = done - services
    starts = np.maximum.accumulate(arrivals - before, axis=0) + before
    found: np.ndarray = starts.reshape(-1)[: len(arrivals_s)]
    return found


def _by_heap(
    arrivals_s: np.ndarray, services_s: np.ndarray, lanes: Steps, patience_s: float
) -> np.ndarray:
    import numpy as np

    free = [0.0] * int(lanes.counts[0])  # when each lane becomes free: a heap
    times = [*lanes.times_s[1:].tolist(), math.inf]
    deltas = [*np.diff(lanes.counts).tolist(), 0]
    place = 0
    change = times[0]
    starts = [math.nan] * len(arrivals_s)
    for index, (arrival, service) in enumerate(
        zip(arrivals_s.tolist(), services_s.tolist(), strict=True)
    ):
        start = _start(arrival, free)
        while change <= start and change < math.inf:
            _change(free, deltas[place], change)
            place += 1
            change = times[place]
            start = _start(arrival, free)
        if start - arrival <= patience_s and start < math.inf:
            starts[index] = start
            heapreplace(free, start + service)
    return np.array(starts)


def _start(arrival: float, free: list[float]) -> float:
    if not free:
        return math.inf
    first = free[0]
    return first if first > arrival else arrival


def _change(free: list[float], delta: int, now: float) -> None:
    """Lanes appear free, or the ones that are free first vanish."""
    for _ in range(delta):
        heappush(free, now)
    for _ in range(min(-delta, len(free))):
        heappop(free)
