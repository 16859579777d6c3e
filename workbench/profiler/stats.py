"""Bootstrap intervals for latencies: medians, percentiles and paired ratios of medians.

A *part* holds the samples of one process, one row per round and one column per artifact, so that
rows are paired. Rounds are drawn with replacement; in blocks where neighbouring rounds resemble
each other, so that slow noise (a clock that sinks, a neighbour that wakes) is not taken for many
independent samples. Where there are several parts, the interval is at least as wide as the one
that their own values give (Student's t, on logarithms: all values are positive).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float64]
    Statistic = Callable[[Samples], Samples]

CONFIDENCE = 0.95
RESAMPLES = 2000

T_975 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14)
"""97.5 % points of Student's t for 1, 2, 3 … degrees of freedom; later ones are about 2.1."""


class Estimate(NamedTuple):
    """A value with its interval and the probability that the interval covers the truth."""

    value: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    @property
    def half_width(self) -> float:
        """Half the interval's width, as a share of the value."""
        return (self.high - self.low) / (2 * abs(self.value)) if self.value else float("inf")


def quantile(
    parts: Sequence[Any], q: float, *, seed: int = 0, resamples: int = RESAMPLES
) -> Estimate:
    """A quantile of all samples with its bootstrap interval.

    No resampling can reach above the largest sample, which lies below the true quantile with a
    probability of qⁿ; the stated confidence is lowered to ``1 - qⁿ`` where that is less than 95 %.
    """
    import numpy as np

    columns = [_column(part) for part in parts]
    total = sum(len(column) for column in columns)
    estimate = bootstrap(
        columns,
        lambda draws: np.quantile(draws[..., 0], q, axis=-1),
        dependence=lambda part: part[:, 0],
        seed=seed,
        resamples=resamples,
    )
    return estimate._replace(confidence=min(CONFIDENCE, 1 - max(q, 1 - q) ** total))


def ratio_of_medians(
    numerators: Sequence[Any],
    denominators: Sequence[Any],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Median over median, paired by rounds; one array of each per process."""
    import numpy as np

    parts = [
        np.stack([np.asarray(a, float), np.asarray(b, float)], axis=1)
        for a, b in zip(numerators, denominators, strict=True)
    ]

    def ratio(draws: Samples) -> Samples:
        medians = np.median(draws, axis=-2)
        result: Samples = medians[..., 0] / medians[..., 1]
        return result

    return bootstrap(
        parts,
        ratio,
        dependence=lambda part: part[:, 0] / part[:, 1],
        seed=seed,
        resamples=resamples,
    )


def bootstrap(
    parts: Sequence[Samples],
    statistic: Statistic,
    *,
    dependence: Callable[[Samples], Samples],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Percentile bootstrap of a statistic over rounds, stratified by part.

    Args:
        parts: one array (rounds, columns) per process.
        statistic: maps (…, rounds, columns) to (…).
        dependence: the series of a part whose autocorrelation decides the length of the blocks.
        seed: of the generator; the same arguments give the same interval.
        resamples: how many times the rounds are drawn.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    draws = np.concatenate(
        [
            part[draw_rounds(len(part), block_length(dependence(part)), resamples, random)]
            for part in parts
        ],
        axis=1,
    )
    value = float(statistic(np.concatenate(parts)[None])[0])
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(x) for x in np.quantile(statistic(draws), [tail, 1 - tail]))
    low, high = min(low, value), max(high, value)
    if len(parts) > 1:
        factor = _between([float(statistic(part[None])[0]) for part in parts])
        low, high = min(low, value / factor), max(high, value * factor)
    return Estimate(value, low, high)


def draw_rounds(
    rounds: int, block: int, resamples: int, random: np.random.Generator
) -> NDArray[np.intp]:
    """Indices (resamples, rounds) of rounds drawn in circular blocks; block 1 is the plain one."""
    import numpy as np

    starts = random.integers(0, rounds, (resamples, -(-rounds // block), 1))
    indices: NDArray[np.intp] = (starts + np.arange(block)) % rounds
    return indices.reshape(resamples, -1)[:, :rounds]


def block_length(series: Any) -> int:
    """Length of the blocks to draw: 1 unless the ranks of neighbours are clearly correlated.

    For a first-order autoregression of correlation r, ``n^(1/3) (2r / (1 - r²))^(2/3)`` is the
    length that serves the variance of a mean best; a quarter of the series is the longest.
    """
    import numpy as np

    n = len(series)
    if n < 12:
        return 1
    ranks = _ranks(np.asarray(series, float))
    ranks = ranks - ranks.mean()
    if not ranks.any():
        return 1
    correlation = float((ranks[1:] * ranks[:-1]).sum() / (ranks**2).sum())
    if correlation < 2 / n**0.5:
        return 1
    correlation = min(correlation, 0.98)
    length = float(n ** (1 / 3) * (2 * correlation / (1 - correlation**2)) ** (2 / 3))
    return max(1, min(round(length), n // 4))


def halves_disagree(samples: Any, *, material: float = 0.03) -> bool:
    """Whether the second half of the samples differs from the first: clearly and materially.

    Clearly: a rank-sum z above 3, or every sample of one half exceeds every one of the other.
    Materially: the medians differ by more than ``material``.
    """
    import numpy as np

    samples = np.asarray(samples, float)
    half = len(samples) // 2
    if half < 4:
        return False
    first, second = samples[:half], samples[half:]
    ranks = _ranks(samples)[:half].sum()
    mean = half * (len(samples) + 1) / 2
    spread = (half * len(second) * (len(samples) + 1) / 12) ** 0.5
    shift = np.median(second) / np.median(first) - 1 if np.median(first) else 0.0
    apart = first.max() < second.min() or second.max() < first.min()
    return bool((apart or abs(ranks - mean) / spread > 3) and abs(shift) > material)


def _ranks(samples: Samples) -> Samples:
    """Ranks from 1; equal samples share the middle of theirs."""
    import numpy as np

    ordered = np.sort(samples)
    first = np.searchsorted(ordered, samples, "left")
    last = np.searchsorted(ordered, samples, "right")
    ranks: Samples = (first + last + 1) / 2
    return ranks


def _between(values: Sequence[float]) -> float:
    """Factor that the interval of a geometric mean of few values reaches up and down, by t."""
    import numpy as np

    degrees = len(values) - 1
    t = T_975[degrees - 1] if degrees <= len(T_975) else 2.1
    return float(np.exp(t * np.std(np.log(values), ddof=1) / len(values) ** 0.5))


def _column(part: Any) -> Samples:
    import numpy as np

    return np.asarray(part, float).reshape(-1, 1)
