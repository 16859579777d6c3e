"""Quantiles of values that count differently much."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def weighted_quantiles(
    values: np.ndarray, weights: np.ndarray, quantiles: tuple[float, ...]
) -> tuple[float, ...]:
    """For each quantile the smallest value that this share of the weight does not exceed.

    Infinite where there is no weight.
    """
    import numpy as np

    kept = weights > 0
    values, weights = values[kept], weights[kept]
    if not len(values):
        return tuple(math.inf for _ in quantiles)
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    places = np.searchsorted(below, np.array(quantiles) * below[-1] * (1 - 1e-12))
    return tuple(float(value) for value in values[order][places.clip(max=len(values) - 1)])


def condensed(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same distribution as one value for each cell of the grid below, and their weights."""
    import numpy as np

    quantiles, cells = quantile_grid()
    found = weighted_quantiles(values, weights, tuple(quantiles.tolist()))
    return np.array(found), cells * weights.sum()


def quantile_grid() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that stand for a distribution, and the weight of each; finer in the tail.

    30 cells up to 0.89 and 49 beyond, 12 for each power of ten that is left to 1; 0.99 is the
    middle of a cell, so that a 99th percentile is not one of a neighbour's.
    """
    import numpy as np

    ratio = 10 ** (-1 / 12)
    tail = 0.2 / (1 + ratio) * ratio ** np.arange(49)
    edges = np.concatenate([np.linspace(0, 1 - tail[0], 31), 1 - tail[1:], [1.0]])
    return (edges[:-1] + edges[1:]) / 2, np.diff(edges)
