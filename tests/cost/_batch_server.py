"""A server of one model, event by event, that runs waiting requests together as onnx_server does.

A lane that becomes free takes those that wait, up to the largest batch and to what a lane gets when
the requests that were there at a time are dealt out evenly.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Sequence

FORGET = 0.01
"""As the server's own: weight of a new count in the peak, where it is smaller."""


def answered(
    times: Sequence[float], rate: float, lanes: int, count: int, seed: int = 1, sigma: float = 0.0
) -> list[float]:
    """Sorted times from arrival to answer, without the first twentieth.

    ``times`` are of batches of 1, 2, … requests, each multiplied by a lognormal of mean 1.
    """
    draw = random.Random(seed)
    waiting: deque[float] = deque()
    running: list[tuple[float, list[float]]] = []
    peak, inside, found = 0.0, 0, []
    coming = draw.expovariate(rate)
    while len(found) < count:
        if running and running[0][0] <= coming:
            now, batch = heapq.heappop(running)
            inside -= len(batch)
            found.extend(now - came for came in batch)
        else:
            now = coming
            waiting.append(now)
            inside += 1
            peak = max(inside, peak + FORGET * (inside - peak))
            coming = now + draw.expovariate(rate)
        while waiting and len(running) < lanes:
            size = min(len(waiting), len(times), max(1, math.ceil(peak / lanes)))
            batch = [waiting.popleft() for _ in range(size)]
            spread = draw.lognormvariate(-(sigma**2) / 2, sigma) if sigma else 1.0
            heapq.heappush(running, (now + times[size - 1] * spread, batch))
    return sorted(found[count // 20 :])


def quantile(sorted_times: Sequence[float], q: float) -> float:
    """The time that a share of the requests stays within."""
    return sorted_times[int(q * len(sorted_times))]
