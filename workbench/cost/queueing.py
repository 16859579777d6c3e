"""Waiting in line in closed form: how long requests wait, and how many servers keep an objective.

Requests arrive independently of one another (Poisson), in one line, first come first served, before
servers that are alike; a server is whatever answers one request at a time (a lane of an instance).
Times are seconds, rates requests per second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

_SLACK = 1e-9
"""Relative; so that 8 busy servers of 10 are not above a ceiling of 0.8 by rounding."""


@lru_cache(maxsize=8192)
def erlang_c(servers: int, load: float) -> float:
    """Probability that a request has to wait in M/M/c (Erlang, 1917); 1 where load ≥ servers.

    By the recursion on Erlang's loss formula B, whose terms stay between 0 and 1, so that nothing
    overflows with thousands of servers (Cooper, Introduction to Queueing Theory, 1981, chapter 3).

    Args:
        servers: at least 1.
        load: arrivals per service time (erlang), 0 or more.

    Raises:
        ValueError: fewer than one server, or a negative load.
    """
    if servers < 1 or not load >= 0:
        raise ValueError(f"no queue: {servers} servers, load {load}")
    if load >= servers:
        return 1.0
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def service_quantile_of(service_s: float, scv: float, quantile: float) -> float:
    """Seconds within which a share of services ends, of which only mean and spread are known.

    Taken as lognormal, which measured latencies resemble. A lognormal of fixed mean has its largest
    quantile at a spread of sigma = z; beyond, the quantile is held, since more spread is no gain.
    """
    z = NormalDist().inv_cdf(quantile)
    sigma = min(math.sqrt(math.log1p(scv)), max(z, 0.0))
    return service_s * math.exp(z * sigma - sigma**2 / 2)


@dataclass(frozen=True)
class Queue:
    """A queue M/G/c in its steady state.

    ``scv`` is the squared coefficient of variation of the service time, variance / mean²: 1 if it
    is exponential, 0 if it is always the same. A queue that is not stable (utilisation ≥ 1) waits
    for ever: its times are ``inf``.

    Raises:
        ValueError: a rate or scv below 0, a service time not above 0, fewer than one server.
    """

    rate_per_s: float
    service_s: float
    servers: int
    scv: float = 1.0

    def __post_init__(self) -> None:
        sensible = self.rate_per_s >= 0 and self.service_s > 0 and self.scv >= 0
        if not sensible or self.servers < 1:
            raise ValueError(f"no queue: {self}")

    @property
    def utilisation(self) -> float:
        """Busy share of the servers; above 1 when more comes than they can serve."""
        return self.rate_per_s * self.service_s / self.servers

    @property
    def stable(self) -> bool:
        """Whether the line does not grow without end."""
        return self.utilisation < 1

    @property
    def wait_probability(self) -> float:
        """Share of requests that wait: Erlang's C; exact in M/M/c and M/G/1, close in M/G/c."""
        return erlang_c(self.servers, self.rate_per_s * self.service_s)

    @property
    def mean_wait_s(self) -> float:
        """Mean wait of all requests in seconds, those that do not wait included.

        For scv ≥ 1 the wait of M/M/c times (1 + scv) / 2 (Lee and Longton, 1959; Allen and Cunneen
        in Allen, 1990). For scv < 1 Kimura's interpolation (1986) between M/M/c and M/D/c, the
        latter by Cosmetatos (1975) with the bound of Kimura that Whitt (1993, eq. 2.17) gives.
        Both are exact in M/M/c and in M/G/1 (Pollaczek, 1930; Khinchine, 1932).
        """
        return self.wait_probability * self._mean_of_waiting_s if self.stable else math.inf

    @property
    def _mean_of_waiting_s(self) -> float:
        """Mean wait in seconds of those that wait."""
        exponential = 1 / (self.servers / self.service_s - self.rate_per_s)
        factor = (1 + self.scv) / 2
        if self.scv < 1:
            factor /= self.scv + (1 - self.scv) / (1 + self._fixed_service_correction)
        return factor * exponential

    @property
    def _fixed_service_correction(self) -> float:
        """How much longer M/D/c waits than half of M/M/c: Cosmetatos's γ, at most 0.24."""
        busy, count = self.utilisation, self.servers
        if count == 1:
            return 0.0
        if busy == 0:
            return 0.24
        many = (count - 1) * (math.sqrt(4 + 5 * count) - 2) / (16 * count)
        return min(0.24, many * (1 - busy) / busy)

    def wait_quantile_s(self, q: float) -> float:
        """Seconds within which a share ``q`` of requests begins to be served.

        The wait of those that wait is taken as exponential with the mean above (Allen, Probability,
        Statistics, and Queueing Theory, 1990, tables of M/M/c and M/G/1): exact in M/M/c; longer
        than in truth where scv < 1, shorter far in the tail where scv > 1.

        Raises:
            ValueError: ``q`` is not within [0, 1).
        """
        if not 0 <= q < 1:
            raise ValueError(f"no quantile: {q}")
        if not self.stable:
            return math.inf
        waits = self.wait_probability
        if waits <= 1 - q:
            return 0.0
        return self._mean_of_waiting_s * math.log(waits / (1 - q))

    def response_quantile_s(self, q: float, service_quantile_s: float) -> float:
        """Seconds within which a share ``q`` is answered, given the service's own quantile.

        Wait and service are independent: their means add, and what their quantiles are above the
        means adds as the root of the squares, as it does for normal variables. Exact where nothing
        waits or the service is always the same; 1 % above M/M/1 at a utilisation of 0.8 (q = 0.99).
        Below the mean the quantiles themselves are added (the median of M/M/1 comes out 12 % low).
        """
        wait = self.wait_quantile_s(q)
        if not math.isfinite(wait):
            return math.inf
        mean = self.mean_wait_s
        spread = max(service_quantile_s - self.service_s, 0.0)
        beyond = max(wait - mean, 0.0)
        return service_quantile_s + min(wait, mean) + math.hypot(beyond, spread) - spread


def servers_for(
    rate_per_s: float,
    service_s: float,
    scv: float,
    objective_s: float,
    quantile: float = 0.99,
    service_quantile_s: float | None = None,
    most: int = 10_000,
    ceiling: float = 0.8,
) -> int | None:
    """The fewest servers that are busy at most ``ceiling`` and answer within the objective.

    Args:
        rate_per_s: arrivals per second.
        service_s: mean service time in seconds.
        scv: squared coefficient of variation of the service time.
        objective_s: seconds within which the share ``quantile`` is to be answered; may be ``inf``.
        quantile: for example 0.99.
        service_quantile_s: that quantile of the service time; without it, of a lognormal.
        most: where the search ends.
        ceiling: highest utilisation, in (0, 1].

    Returns:
        None where the service alone takes longer than the objective, so that no number will do, or
        where more than ``most`` are needed.

    Raises:
        ValueError: arguments that make no queue.
    """
    if not 0 < ceiling <= 1:
        raise ValueError(f"no ceiling: {ceiling}")
    if service_quantile_s is None:
        service_quantile_s = service_quantile_of(service_s, scv, quantile)

    def enough(servers: int) -> bool:
        queue = Queue(rate_per_s, service_s, servers, scv)
        if not queue.stable or queue.utilisation > ceiling * (1 + _SLACK):
            return False
        return queue.response_quantile_s(quantile, service_quantile_s) <= objective_s

    if service_quantile_s > objective_s:
        return None
    # By doubling and then halving: a small answer does not cost Erlang's sum over `most`.
    low, high = 0, max(1, math.ceil(rate_per_s * service_s / ceiling * (1 - _SLACK)))
    while not enough(min(high, most)):
        if high >= most:
            return None
        low, high = high, 2 * high
    high = min(high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
