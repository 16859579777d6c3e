"""How long requests take on lanes: one at a time or in batches, with or without a response cache.

A lane is whatever computes one inference, or one batch, at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from workbench.cost.batching import Answers, answers
from workbench.cost.case import Case
from workbench.cost.options import Place, TooSlowError
from workbench.cost.profile import Point, ServiceProfile
from workbench.cost.queueing import Queue, servers_for
from workbench.cost.transfer import physical_cores
from workbench.errors import InputError

UTILISATION = 0.7
"""Highest utilisation at the peak. AWS says to begin at half of what was measured and to test
upwards (endpoint-scaling-loadtest); the margin is for arrivals that are not Poisson."""
HIT_S = 0.0005
"""An answer of onnx_server's cache: 0.32 ms in the mean and 0.48 ms (p99) were measured from the
request to the answer, over one connection on an AMD EPYC of two cores; rounded up."""
LARGEST_BATCH = 64
"""Larger batches are passed over: the server runs at most 32 unless told otherwise."""
MOST_LANES = 10_000
_P50, _P99 = 0.5, 0.99
_Z99 = NormalDist().inv_cdf(_P99)
_SLACK, _CLOSE = 1e-10, 1e-6


@dataclass(frozen=True)
class Batches:
    """Batches up to a size that was measured, in units of the mean of one request alone.

    ``times`` are of 1, 2, … requests; between two sizes that were measured they lie on a line.
    """

    times: tuple[float, ...]
    p50: float
    p99: float

    @property
    def size(self) -> int:
        """The most that run together."""
        return len(self.times)

    @property
    def least(self) -> float:
        """The time for each request of a full batch."""
        return self.times[-1] / self.size

    def beyond(self, q: float) -> float:
        """By how much a quantile of a full batch's own time is above its mean; not below 0."""
        return max(0.0, _quantile(q, self.p50, self.p99) - self.times[-1])


@dataclass(frozen=True)
class Served:
    """How requests are answered, and how many of them run together at most."""

    p50_s: float
    p99_s: float
    batch: int = 1


@dataclass(frozen=True)
class Service:
    """How long one inference takes on a place: seconds, and its spread.

    A share ``hits`` of the requests needs none: a cache answers them in ``hit_s``. ``batches`` are
    the batches that take less time for each request than one alone, the smaller ones first.
    """

    mean_s: float
    p50_s: float
    p99_s: float
    scv: float
    hits: float = 0.0
    hit_s: float = 0.0
    batches: tuple[Batches, ...] = ()

    @property
    def busy_s(self) -> float:
        """Mean seconds of a lane for a request that runs alone or hits the cache."""
        return (1 - self.hits) * self.mean_s + self.hits * self.hit_s

    @property
    def least_s(self) -> float:
        """Mean seconds of a lane for a request where all batches are as good as can be."""
        best = min((batches.least for batches in self.batches), default=1.0)
        return (1 - self.hits) * self.mean_s * best + self.hits * self.hit_s

    def quantile_s(self, q: float) -> float:
        """Seconds within which a share of the requests is answered if none waits."""
        inner = self._of_misses(q)
        return self.hit_s if inner is None else _quantile(inner, self.p50_s, self.p99_s)

    def lanes(self, rate_per_s: float, objective_s: float) -> int | None:
        """The fewest lanes that answer within the objective; None: no number does.

        Raises:
            ValueError: a negative rate.
        """
        return _fewest(self, rate_per_s, objective_s)

    def served(self, rate_per_s: float, lanes: int, objective_s: float) -> Served:
        """How so many lanes answer: with the smallest batches that keep the objective.

        Where none does, with those whose 99th percentile is the least.
        """
        return _served(self, rate_per_s, lanes, objective_s)

    def fewest_lanes(self, rate_per_s: float, objective_s: float) -> int | None:
        """As ``lanes``, computed anew."""
        alone = self._lanes_alone(rate_per_s, objective_s)
        found = [alone] if alone is not None else []
        found += [n for b in self.batches if (n := self._lanes_of(b, rate_per_s, objective_s))]
        return min(found, default=None)

    def served_by(self, rate_per_s: float, lanes: int, objective_s: float) -> Served:
        """As ``served``, computed anew."""
        best = self._alone(rate_per_s, lanes)
        busy = (1 - self.hits) * rate_per_s * self.mean_s / lanes
        if busy <= UTILISATION * (1 + _CLOSE) and best.p99_s <= objective_s * (1 + _CLOSE):
            return best
        for batches in self.batches:
            found = self._batched(batches, rate_per_s, lanes)
            if found.p99_s <= objective_s * (1 + _CLOSE) and math.isfinite(found.p99_s):
                return found
            best = min(best, found, key=lambda served: served.p99_s)
        return best

    def _of_misses(self, q: float) -> float | None:
        """Which quantile of the computed requests is that of all; None: a hit is."""
        return (q - self.hits) / (1 - self.hits) if q > self.hits else None

    def _lanes_alone(self, rate_per_s: float, objective_s: float) -> int | None:
        inner = self._of_misses(_P99)
        if inner is None:
            inner, objective_s = _P50, math.inf if self.hit_s <= objective_s else 0.0
        found = servers_for(
            rate_per_s * (1 - self.hits), self.mean_s, self.scv, objective_s, inner,
            _quantile(inner, self.p50_s, self.p99_s), MOST_LANES, UTILISATION,
        )  # fmt: skip
        # Hits take a little of a lane too, so that their number is not without a bound.
        return None if found is None else max(found, _lanes_for(rate_per_s * self.busy_s))

    def _lanes_of(self, batches: Batches, rate_per_s: float, objective_s: float) -> int | None:
        """Lanes that run batches, each with its share of the requests."""
        inner = self._of_misses(_P99)
        if inner is None:
            allowed = math.inf if self.hit_s <= objective_s else 0.0
        else:
            allowed = objective_s / self.mean_s - batches.beyond(inner)
        most = self._answers(batches).most(allowed, 1) / self.mean_s
        if most <= 0:
            return None
        computing = rate_per_s * (1 - self.hits)
        work = computing * self.mean_s * batches.least + rate_per_s * self.hits * self.hit_s
        found = max(1, math.ceil(computing / most * (1 - _SLACK)), _lanes_for(work))
        return found if found <= MOST_LANES else None

    def _alone(self, rate_per_s: float, lanes: int) -> Served:
        queue = Queue(rate_per_s * (1 - self.hits), self.mean_s, lanes, self.scv)

        def within(q: float) -> float:
            inner = self._of_misses(q)
            if inner is None:
                return self.hit_s
            return queue.response_quantile_s(inner, _quantile(inner, self.p50_s, self.p99_s))

        return Served(within(_P50), within(_P99))

    def _batched(self, batches: Batches, rate_per_s: float, lanes: int) -> Served:
        rate = rate_per_s * (1 - self.hits) / lanes * self.mean_s
        times = self._answers(batches)

        def within(number: int, q: float) -> float:
            inner = self._of_misses(q)
            if inner is None:
                return self.hit_s
            return (times.response(rate, number) + batches.beyond(inner)) * self.mean_s

        return Served(within(0, _P50), within(1, _P99), batches.size)

    def _answers(self, batches: Batches) -> Answers:
        asked = tuple(self._of_misses(q) or _P50 for q in (_P50, _P99))
        return answers(batches.times, UTILISATION, asked)


# Options and regions ask the same of the same service again and again.
@lru_cache(maxsize=50_000)
def _fewest(one: Service, rate_per_s: float, objective_s: float) -> int | None:
    return one.fewest_lanes(rate_per_s, objective_s)


@lru_cache(maxsize=50_000)
def _served(one: Service, rate_per_s: float, lanes: int, objective_s: float) -> Served:
    return one.served_by(rate_per_s, lanes, objective_s)


def _lanes_for(work: float) -> int:
    """Lanes for so many seconds of work a second."""
    return math.ceil(work / UTILISATION * (1 - _SLACK))


def _quantile(q: float, p50: float, p99: float) -> float:
    """Any quantile of a lognormal of which two are known."""
    if q in (_P50, _P99):
        return p50 if q == _P50 else p99
    return float(p50 * (p99 / p50) ** (NormalDist().inv_cdf(q) / _Z99))


def service(case: Case, speed: float) -> Service:
    """One request alone, where a core (or the GPU) is ``speed`` times the measured one."""
    modifiers = case.modifiers
    # Requests of several models on shared instances do not run together.
    batching = modifiers.batching and case.portfolio == 1
    batches = _batches(case.profile, case.sequence) if batching else ()
    return _service(case.alone, speed, modifiers.cache_hits, batches)


@lru_cache(maxsize=4096)
def _service(point: Point, speed: float, hits: float, batches: tuple[Batches, ...]) -> Service:
    mean = point.mean_ms / point.batch / 1000 / speed
    p50, p99 = (ms / point.batch / 1000 / speed for ms in _quantiles_ms(point))
    sigma = max(0.0, math.log(p99 / p50)) / 2.326 if p99 > 0 and p50 > 0 else 0.0
    return Service(
        mean, p50, max(p99, p50), math.expm1(sigma**2), hits,
        min(HIT_S / speed, mean) if hits else 0.0, batches,
    )  # fmt: skip


def service_on(case: Case, place: Place, speed: float) -> Service:
    """One request alone on an instance type; slower where it has fewer cores than were used."""
    assert place.instance_type is not None
    threads = 1 if case.profile.gpu else case.alone.threads
    cores = physical_cores(case.catalog.instance(place.instance_type))
    return service(case, speed * min(1.0, cores / threads))


def service_of_function(case: Case, speed: float) -> Service:
    """One request alone in a function or small container that has one core at most."""
    return service(case, speed / case.alone.threads)


def lanes(case: Case, place: Place) -> int:
    """Inferences at a time: one a GPU that was measured, else one for so many cores as it took."""
    assert place.instance_type is not None
    kind = case.catalog.instance(place.instance_type)
    if case.profile.gpu:
        return max(1, kind.accelerators)
    return max(1, physical_cores(kind) // case.alone.threads)


def alone_keeps(one: Service, objective_s: float) -> None:
    """Whether the objective is kept by a request that does not wait.

    Raises:
        TooSlowError: it is not, so that no number of lanes will do.
    """
    alone_s = one.quantile_s(_P99)
    if alone_s > objective_s:
        raise TooSlowError(
            f"One inference takes {alone_s * 1000:.0f} ms (p99), the objective is "
            f"{objective_s * 1000:.0f} ms."
        )


@lru_cache(maxsize=64)
def _batches(profile: ServiceProfile, sequence: int | None) -> tuple[Batches, ...]:
    """The measured sizes at which a request costs less than alone.

    Raises:
        InputError: nothing was measured but one size.
    """
    base = profile.alone(sequence)
    curve = {
        point.batch: point
        for point in profile.points(sequence)
        if point.threads == base.threads and point.batch <= LARGEST_BATCH
    }
    if base.batch > 1 or len(curve) < 2:
        sizes = ", ".join(str(size) for size in sorted(curve))
        raise InputError(
            f"--batching needs latency at more than one batch size, 1 among them; "
            f"{profile.name} has {sizes or 'larger ones only'}.",
            hint="Profile it with batches of 1, 2, 4, 8 (latency.batch), or leave --batching out.",
        )
    return tuple(_upto(size, curve) for size in sorted(curve) if _gains(curve[size], base))


def _gains(point: Point, base: Point) -> bool:
    return point.batch > 1 and point.mean_ms / point.batch < base.mean_ms


def _upto(size: int, curve: dict[int, Point]) -> Batches:
    one = curve[1].mean_ms
    p50, p99 = (ms / one for ms in _quantiles_ms(curve[size]))
    return Batches(tuple(ms / one for ms in _times_ms(size, curve)), p50, max(p50, p99))


def _times_ms(size: int, curve: dict[int, Point]) -> Iterator[float]:
    for count in range(1, size + 1):
        below = max(n for n in curve if n <= count)
        above = min(n for n in curve if n >= count)
        share = (count - below) / (above - below) if above > below else 0.0
        yield curve[below].mean_ms + share * (curve[above].mean_ms - curve[below].mean_ms)


def _quantiles_ms(point: Point) -> tuple[float, float]:
    """Median and 99th percentile.

    Without the latter the service is taken for one that spreads by a tenth of its mean.
    """
    return point.p50_ms or point.mean_ms, point.p99_ms or 1.25 * point.mean_ms
