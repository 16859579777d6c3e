"""Statistics of quality: every score with its interval, every difference paired."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from workbench.records import Interval

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 1000
CONFIDENCE = 0.95
Z = 1.959963984540054
"""Two-sided 95 % quantile of the standard normal distribution."""

_CELLS = 2_000_000
"""Weights held at once while resampling; 16 MB each."""

Correlation = Callable[["np.ndarray", "np.ndarray", "np.ndarray"], "np.ndarray"]


# --- correlations over pairs of samples ----------------------------------------------------------


def pearson(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's correlation of ``x`` and ``y`` under each row of weights.

    Args:
        weights: float64 ``[resamples, pairs]``, how often each pair was drawn.
        x: float64 ``[pairs]``, or ``[resamples, pairs]``.
        y: likewise.

    Returns:
        float64 ``[resamples]``; 0 where one side does not vary (nothing is correlated with it).
    """
    import numpy as np

    total = weights.sum(1, keepdims=True)
    total[total == 0] = 1
    dx = x - (weights * x).sum(1, keepdims=True) / total
    dy = y - (weights * y).sum(1, keepdims=True) / total
    scale = np.sqrt((weights * dx * dx).sum(1) * (weights * dy * dy).sum(1))
    found = (weights * dx * dy).sum(1)
    # Rounding leaves a variance of about 1e-16 of the squares where nothing varies.
    flat = scale <= 1e-12 * np.maximum(1e-300, (weights * (np.abs(x) * np.abs(y))).sum(1))
    return np.asarray(np.where(flat, 0.0, found / np.where(flat, 1.0, scale)))


def spearman(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation under each row of weights: Pearson's of the mid-ranks.

    Shapes as for :func:`pearson`; ``x`` and ``y`` are ``[pairs]``.
    """
    return pearson(weights, _midranks(weights, x), _midranks(weights, y))


def _midranks(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Mid-ranks ``[resamples, pairs]`` when pair ``p`` occurs ``weights[r, p]`` times."""
    import numpy as np

    order = np.argsort(x, kind="stable")
    starts = np.flatnonzero(np.diff(x[order], prepend=np.nan) != 0)
    groups = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks = groups.cumsum(1) - groups + (groups + 1) / 2
    group_of = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(x)))
    spread = np.empty_like(weights)
    spread[:, order] = ranks[:, group_of]
    return spread


def pair_interval(
    correlation: Correlation,
    scores: np.ndarray,
    values: np.ndarray,
    reference: np.ndarray | None,
    left: np.ndarray,
    right: np.ndarray,
    *,
    seed: int = 0,
) -> tuple[Interval, Interval | None]:
    """A correlation over pairs with its interval, and the difference to a reference's.

    The samples are drawn anew, not the pairs, because pairs that share a sample are not
    independent: a pair counts (times its left was drawn) × (times its right was drawn), and pairs
    of a sample with itself are left out. The vertex bootstrap of Snijders and Borgatti (1999),
    Non-parametric standard errors and tests for network statistics, Connections 22(2). Artifact
    and reference are judged on the same draws.

    Args:
        correlation: :func:`pearson` or :func:`spearman`.
        scores: human scores, float64 ``[pairs]``.
        values: the artifact's similarities, float64 ``[pairs]``.
        reference: the baseline's, or none.
        left: position of each pair's one sample, int ``[pairs]``.
        right: position of the other.
        seed: of the draws.

    Returns:
        The artifact's correlation and, with a reference, the difference artifact − reference.
    """
    import numpy as np

    units, position = np.unique(np.concatenate([left, right]), return_inverse=True)
    left, right = position[: len(left)], position[len(left) :]
    count = len(units)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    drawn: list[np.ndarray] = []
    paired: list[np.ndarray] = []
    step = max(1, _CELLS // len(scores))
    for start in range(0, RESAMPLES, step):
        part = draws[start : start + step].astype(np.float64)
        weights = part[:, left] * part[:, right]
        found = correlation(weights, values, scores)
        drawn.append(found)
        if reference is not None:
            paired.append(found - correlation(weights, reference, scores))
    one = np.ones((1, len(scores)))
    value = float(correlation(one, values, scores)[0])
    method = f"bootstrap of {count} samples ({len(scores)} pairs)"
    score = _percentile(value, np.concatenate(drawn), count, method)
    if reference is None:
        return score, None
    gap = value - float(correlation(one, reference, scores)[0])
    return score, _percentile(gap, np.concatenate(paired), count, f"paired {method}")


def _percentile(value: float, drawn: np.ndarray, n: int, method: str) -> Interval:
    import numpy as np

    low, high = np.percentile(drawn, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return Interval(
        value=value, low=min(value, float(low)), high=max(value, float(high)), n=n, method=method
    )


# --- shares of samples ---------------------------------------------------------------------------


def wilson(right: int, n: int) -> Interval:
    """A share with Wilson's score interval (1927), which holds near 0 and 1 and for few samples."""
    share = right / n
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    low = 0.0 if right == 0 else centre - half
    high = 1.0 if right == n else centre + half
    return Interval(value=share, low=low, high=high, n=n, method="Wilson")


def paired_share_difference(gained: int, lost: int, n: int) -> Interval:
    """Difference of two shares over the same samples, with Tango's score interval.

    Tango (1998), Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design, Statistics in Medicine 17. Unlike a bootstrap it does not claim
    certainty when no sample changed: the interval is then ± z² / (n + z²).

    Args:
        gained: samples that only the artifact has right.
        lost: samples that only the reference has right.
        n: all samples.
    """
    value = (gained - lost) / n

    def statistic(delta: float) -> float:
        a = 2 * n
        b = -gained - lost + (2 * n - gained + lost) * delta
        c = -lost * delta * (1 - delta)
        q = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
        variance = n * (2 * q + delta * (1 - delta))
        gap = gained - lost - n * delta
        return gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap)

    def bound(inner: float, outer: float, target: float) -> float:
        for _ in range(60):
            middle = (inner + outer) / 2
            if abs(statistic(middle)) < target:
                inner = middle
            else:
                outer = middle
        return inner

    return Interval(
        value=value,
        low=bound(value, -1.0, Z),
        high=bound(value, 1.0, Z),
        n=n,
        method="Tango, paired",
    )


def mcnemar_p(gained: int, lost: int) -> float:
    """Two-sided p of McNemar's exact test: whether as many samples were gained as were lost."""
    changed, fewer = gained + lost, min(gained, lost)
    if changed == 0:
        return 1.0
    if changed > 1000:  # the binomial tail, with continuity correction
        z = (abs(gained - lost) - 1) / math.sqrt(changed)
        return min(1.0, math.erfc(z / math.sqrt(2)))
    tail = sum(math.comb(changed, k) for k in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**changed))


# --- agreement of outputs ------------------------------------------------------------------------


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of each sample's flattened outputs, float64 ``[samples]``.

    Two outputs that are all zero agree (1); one of them alone does not (0).
    """
    import numpy as np

    a = a.reshape(len(a), -1).astype(np.float64)
    b = b.reshape(len(b), -1).astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    both_zero = ~a.any(1) & ~b.any(1)
    cosine = (a * b).sum(1) / np.where(lengths == 0, 1.0, lengths)
    return np.asarray(np.where(both_zero, 1.0, np.clip(cosine, -1.0, 1.0)))


def unit_rows(outputs: np.ndarray) -> np.ndarray:
    """Each sample's flattened outputs at length 1, float32 ``[samples, values]``; zeros stay."""
    import numpy as np

    flat = outputs.reshape(len(outputs), -1).astype(np.float32)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.where(lengths == 0, 1.0, lengths))


def same_nearest(outputs: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Whether each sample's nearest other sample (by cosine) is the same, bool ``[samples]``.

    A tie counts as the same when the reference's nearest is among the nearest (within 1e-6).
    """
    import numpy as np

    ours, theirs = unit_rows(outputs), unit_rows(reference)
    same = np.empty(len(ours), bool)
    step = max(1, _CELLS // max(1, len(ours)))
    for start in range(0, len(ours), step):
        rows = np.arange(start, min(start + step, len(ours)))
        near, wanted = ours[rows] @ ours.T, theirs[rows] @ theirs.T
        near[rows - start, rows] = wanted[rows - start, rows] = -np.inf
        chosen = near[rows - start, wanted.argmax(1)]
        same[rows] = chosen >= near.max(1) - 1e-6
    return same
