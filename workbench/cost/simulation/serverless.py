"""A serverless endpoint: one environment for each request at a time, kept for a while.

A request takes the environment that was used last among the idle ones; without one, a new one
starts (cold), and beyond the limit of concurrency it is refused (throttled). How long an idle
environment is kept is not published for SageMaker: ``keep_alive_s`` is an assumption.

Two ways: event by event, or in closed form. There, level i is the environment that serves when i
requests are in service. With Poisson arrivals the number in service has Erlang's distribution, so
that level i is entered at a rate r = arrivals × P(i − 1), and it has gone cold with probability
exp(−∫ r) over the last ``keep_alive_s``, as if entries were independent of one another. That is
exact for the first level. Left out are that entries come in clumps and that a cold start holds its
environment for longer; the tests hold cold starts within a fifth of the events', where few requests
are throttled (where many are and keep being cold, a third was seen).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from workbench.cost.simulation.answers import EVENTS, Answered
from workbench.cost.simulation.mixture import quantile_grid
from workbench.cost.simulation.regimes import service_quantiles
from workbench.cost.simulation.results import ServerlessResult
from workbench.cost.simulation.samples import MINUTE_S, draw_arrivals, draw_counts, draw_services

if TYPE_CHECKING:
    import numpy as np

KEEP_ALIVE_S = 300.0
"""An assumption: functions elsewhere are kept for 5 to 15 minutes; the short end is the dearer."""
CONCURRENCY = 200
"""Most that an endpoint may have (limits.yaml)."""
_ONCE = 0.5
"""A level that is entered so often in the month is taken to have been reached."""


@dataclass(frozen=True)
class Pool:
    """Settings of an endpoint; seconds."""

    cold_s: float
    concurrency: int = CONCURRENCY
    keep_alive_s: float = KEEP_ALIVE_S
    provisioned: int = 0

    def __post_init__(self) -> None:
        if self.concurrency < 1 or not 0 <= self.provisioned <= self.concurrency:
            raise ValueError(f"no pool: {self}")
        if not (self.cold_s >= 0 and self.keep_alive_s >= 0):
            raise ValueError(f"no pool: {self}")


def simulate_serverless(
    per_minute: np.ndarray,
    service_s: float,
    scv: float,
    cold_s: float,
    concurrency: int = CONCURRENCY,
    keep_alive_s: float = KEEP_ALIVE_S,
    *,
    provisioned: int = 0,
    seed: int = 0,
    events: float = EVENTS,
) -> ServerlessResult:
    """A month of a serverless endpoint.

    Args:
        per_minute: expected requests of each minute.
        service_s: mean time of one request.
        scv: squared coefficient of variation of the service time (lognormal).
        cold_s: what a new environment takes before its first request is served.
        concurrency: requests at a time; more are refused.
        keep_alive_s: how long an idle environment is kept. An assumption: AWS publishes none.
        provisioned: environments that are always warm.
        seed: of all that is drawn.
        events: up to so many requests are simulated one by one; beyond, the closed form is used.

    Raises:
        ValueError: settings that make no pool.
    """
    import numpy as np

    pool = Pool(cold_s, concurrency, keep_alive_s, provisioned)
    if per_minute.sum() > events:
        return _by_levels(per_minute, service_s, scv, pool)
    rng = np.random.default_rng(seed)
    arrivals = draw_arrivals(draw_counts(per_minute, rng), rng)
    return _by_events(arrivals, draw_services(len(arrivals), service_s, scv, rng), pool)


def _by_events(arrivals_s: np.ndarray, services_s: np.ndarray, pool: Pool) -> ServerlessResult:
    import numpy as np

    busy: list[tuple[float, bool]] = []  # (end, whether provisioned): a heap
    idle: deque[float] = deque()  # when each became idle, the last used at the end
    spare, peak = pool.provisioned, 0
    extra = [0.0] * len(arrivals_s)
    for index, (now, service) in enumerate(
        zip(arrivals_s.tolist(), services_s.tolist(), strict=True)
    ):
        while busy and busy[0][0] <= now:
            ended, lasting = heappop(busy)
            if lasting:
                spare += 1
            else:
                idle.append(ended)
        while idle and idle[0] + pool.keep_alive_s < now:
            idle.popleft()
        if len(busy) >= pool.concurrency:
            extra[index] = math.nan
            continue
        lasting = spare > 0
        if lasting:
            spare -= 1
        elif idle:
            idle.pop()
        else:
            extra[index] = pool.cold_s or math.ulp(0.0)  # still told apart from a warm one
        heappush(busy, (now + extra[index] + service, lasting))
        peak = max(peak, len(busy))
    extras = np.array(extra)
    served = ~np.isnan(extras)
    responses = (services_s + extras)[served]
    refused, total = float((~served).sum()), len(arrivals_s)
    answered = Answered(responses, np.ones(len(responses)), refused, 0.0, float(total))
    return ServerlessResult(
        **answered.fields(),
        cold_share=answered.share(float((extras[served] > 0).sum())),
        throttled_share=answered.share(refused),
        billed_s=float(services_s[served].sum()),
        peak_concurrency=peak,
    )


def _by_levels(
    per_minute: np.ndarray, service_s: float, scv: float, pool: Pool
) -> ServerlessResult:
    import numpy as np

    rates = per_minute / MINUTE_S
    load = rates * service_s
    # In logarithms, since exp(-load) is 0 beyond 745: log P(i) = i log a − log i! − log of the sum.
    with np.errstate(divide="ignore"):
        log_load = np.log(load)
    norm = np.zeros(len(load))
    log_terms = np.zeros(len(load))
    for level in range(1, pool.concurrency + 1):
        log_terms = log_terms + log_load - math.log(level)
        norm = np.logaddexp(norm, log_terms)
    cold = np.zeros(len(load))
    peak = 0
    log_terms = np.zeros(len(load))
    for level in range(1, pool.concurrency + 1):
        probability = np.exp(log_terms - norm)
        entries = rates * probability
        if level > pool.provisioned:
            cold += _cold_starts(entries, pool.keep_alive_s)
        if entries.sum() * MINUTE_S >= _ONCE:
            peak = level
        log_terms = log_terms + log_load - math.log(level)
    blocked = np.exp(log_terms - norm)
    refused = float((per_minute * blocked).sum())
    served = float(per_minute.sum()) - refused
    colds = min(float(cold.sum()), served)
    quantiles, cells = quantile_grid()
    times = service_quantiles(service_s, scv, quantiles)
    answered = Answered(
        np.concatenate([times, times + pool.cold_s]),
        np.concatenate([cells * (served - colds), cells * colds]),
        refused, 0.0, 0.0,
    )  # fmt: skip
    return ServerlessResult(
        **answered.fields(),
        cold_share=answered.share(colds),
        throttled_share=answered.share(refused),
        billed_s=served * service_s,
        peak_concurrency=peak,
    )


def _cold_starts(entries_per_s: np.ndarray, keep_alive_s: float) -> np.ndarray:
    """Cold starts of one level in each minute, from how often it is entered.

    The minute's first entry is cold if there was none in the time before; half of the minute is
    part of that time on the average.
    """
    import numpy as np

    before = keep_alive_s - MINUTE_S / 2
    if before < 0:
        return entries_per_s * MINUTE_S * np.exp(-entries_per_s * keep_alive_s)
    total = np.append(0.0, np.cumsum(entries_per_s * MINUTE_S))
    edges = np.arange(len(total)) * MINUTE_S
    past = total[:-1] - np.interp(edges[:-1] - before, edges, total, left=0.0)
    starts: np.ndarray = -np.expm1(-entries_per_s * MINUTE_S) * np.exp(-past)
    return starts
