"""How long requests take on a lane that runs those that wait together, as one batch.

A lane that becomes free takes all that wait, at most ``b``; an idle one begins with the first
request at once. Requests come independently of one another (Poisson), and a batch of k takes a
fixed time. That is Bailey's bulk-service queue (N. T. J. Bailey, On queueing processes with bulk
service, 1954) with a time that depends on the batch, as inference servers have it (Y. Inoue,
Queueing analysis of GPU-based inference servers with dynamic batching, 2021). What waits when a
batch ends is a Markov chain, which is solved here; the times follow from it by conditioning on the
batch during which a request comes (arrivals of a Poisson process see time averages).

Only ratios enter: times are in units of a batch of one, rates are requests per such unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

STEPS = 32
"""Rates at which the chain is solved; between them times are interpolated."""
PARTS = 32
"""Into which a running batch is divided, for when a request comes."""
BIN = 0.01
"""Resolution of the times; they are rounded up."""
ROUNDS = 10_000
"""Most steps of the chain; it settles in far fewer below the ceiling."""
_SELDOM = 1e-6
_NONE = -70.0
_SLACK = 1e-9


@dataclass(frozen=True)
class Answers:
    """Times of a lane by its rate: for each quantile asked for, at ascending rates from 0."""

    rates: tuple[float, ...]
    times: tuple[tuple[float, ...], ...]

    def response(self, rate: float, quantile: int) -> float:
        """The time at a rate, of the quantile of that number; infinite beyond the last rate."""
        rates, times = self.rates, self.times[quantile]
        if rate > rates[-1] * (1 + _SLACK):
            return float("inf")
        place = min(int(rate / rates[1]), len(rates) - 2)
        share = min(1.0, rate / rates[1] - place)
        return times[place] + share * (times[place + 1] - times[place])

    def most(self, objective: float, quantile: int) -> float:
        """The highest rate at which the quantile keeps an objective; 0: none does."""
        rates, times = self.rates, self.times[quantile]
        if times[0] > objective:
            return 0.0
        place = max(i for i, time in enumerate(times) if time <= objective)
        if place == len(rates) - 1:
            return rates[-1]
        share = (objective - times[place]) / (times[place + 1] - times[place])
        return (place + share) * rates[1]


@lru_cache(maxsize=256)
def answers(times: tuple[float, ...], ceiling: float, quantiles: tuple[float, ...]) -> Answers:
    """The times of a lane that takes up to ``len(times)`` requests.

    Args:
        times: of a batch of 1, 2, … requests; the first is 1.
        ceiling: highest busy share of a lane whose batches are all full.
        quantiles: that are asked for, each in (0, 1).
    """
    top = ceiling * len(times) / times[-1]
    rates = tuple(top * step / STEPS for step in range(STEPS + 1))
    found = [[times[0]] * len(quantiles)]
    for rate in rates[1:]:
        # More traffic is never taken to be answered sooner, whatever the curve.
        now = _quantiles(rate, times, quantiles)
        found.append([max(pair) for pair in zip(now, found[-1], strict=True)])
    return Answers(rates, tuple(zip(*found, strict=True)))


def _quantiles(rate: float, times: tuple[float, ...], quantiles: tuple[float, ...]) -> list[float]:
    import numpy as np

    waiting = _waiting(rate, times)
    weights: list[np.ndarray] = [np.array([waiting[0]])]  # who finds nothing is served at once
    values: list[np.ndarray] = [np.array([times[0]])]
    for time, left in zip(times, _left(waiting, len(times)), strict=True):
        if left.sum() < _SELDOM:
            continue
        rest = time * (1 - (np.arange(PARTS) + 0.5) / PARTS)
        come = _poisson(rate * (time - rest), 2 * len(waiting))
        before = np.stack([np.convolve(left, row) for row in come])
        _add(rate, times, rest, before * (rate * time / PARTS), weights, values)
    bins = np.ceil(np.concatenate(values) / BIN - _SLACK).astype(int)
    shares = np.cumsum(np.bincount(bins, np.concatenate(weights)))
    shares = shares / shares[-1]
    return [float(np.searchsorted(shares, q - _SLACK)) * BIN for q in quantiles]


def _add(
    rate: float,
    times: tuple[float, ...],
    rest: np.ndarray,
    before: np.ndarray,
    weights: list[np.ndarray],
    values: list[np.ndarray],
) -> None:
    """Requests that come while a batch runs for ``rest`` more, with so many before them."""
    import numpy as np

    most, length = len(times), np.array(times)
    later = _poisson(rate * rest, most)
    for ahead in range(most):
        # Its batch begins when the running one ends, with those that come until then.
        room = most - 1 - ahead
        join = np.column_stack([later[:, :room], 1 - later[:, :room].sum(axis=1)])
        weights.append((before[:, ahead : ahead + 1] * join).ravel())
        values.append((rest[:, None] + length[ahead:][None, :]).ravel())
    for full in range(1, before.shape[1] // most + 1):
        part = before[:, full * most : (full + 1) * most].sum(axis=1)
        if part.sum() < _SELDOM:
            continue
        weights.append(part)
        values.append(rest + full * times[-1] + max(times))


def _waiting(rate: float, times: tuple[float, ...]) -> np.ndarray:
    """How many wait when a batch ends: the stationary distribution of the chain."""
    import numpy as np

    count = 4 * len(times) + 60
    come = _poisson(rate * np.array(times), count)
    found = np.zeros(count)
    found[0] = 1.0
    for _ in range(ROUNDS):
        parts = _left(found, len(times))
        now = np.concatenate(parts[:-1]) @ come[:-1]
        now += np.convolve(parts[-1], come[-1])[:count]
        now /= now.sum()
        if abs(now - found).max() < _SLACK:
            break
        found = now
    return np.asarray(now)


def _left(waiting: np.ndarray, most: int) -> list[np.ndarray]:
    """For batches of 1, 2, … ``most``: the probabilities of 0, 1, … that stay behind them."""
    import numpy as np

    alone = waiting[0] + waiting[1]  # where nothing waits, the next request begins the batch
    return [np.array([alone]), *(waiting[k : k + 1] for k in range(2, most)), waiting[most:]]


def _poisson(means: np.ndarray, count: int) -> np.ndarray:
    """Probabilities of 0, 1, … below ``count`` arrivals, a row for each mean."""
    import numpy as np

    numbers = np.arange(count)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(numbers[1:]))])
    logs = np.log(np.maximum(means, 1e-300))[:, None]
    logs = numbers * logs - means[:, None] - factorials
    # Without what is too small to count, which processors are slow with.
    return np.where(logs > _NONE, np.exp(np.maximum(logs, _NONE)), 0.0)
