"""Waits of many (rate, servers) regimes at once: ``queueing.Queue`` for arrays."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def erlang_c_of(servers: np.ndarray, loads: np.ndarray) -> np.ndarray:
    """``queueing.erlang_c`` for each pair; one sweep up to the largest number of servers."""
    import numpy as np

    order = np.argsort(servers, kind="stable")
    counts, load = servers[order], loads[order]
    blocked = np.ones(len(load))
    for count in range(1, int(counts[-1]) + 1 if len(counts) else 1):
        first = int(np.searchsorted(counts, count))  # those with fewer servers are done
        upper = load[first:] * blocked[first:]
        blocked[first:] = upper / (count + upper)
    stable = load < counts
    busy = np.where(stable, load / counts, 0.0)
    found = np.empty(len(load))
    found[order] = np.where(stable, blocked / (1 - busy * (1 - blocked)), 1.0)
    return found


def service_quantiles(service_s: float, scv: float, quantiles: np.ndarray) -> np.ndarray:
    """Seconds: the lognormal's quantiles."""
    import numpy as np

    sigma = math.sqrt(math.log1p(scv))
    normal = NormalDist()
    z = np.array([normal.inv_cdf(float(q)) for q in quantiles])
    return service_s * np.exp(z * sigma - sigma**2 / 2)


def wait_quantiles(
    rates_per_s: np.ndarray,
    servers: np.ndarray,
    service_s: float,
    scv: float,
    quantiles: np.ndarray,
) -> np.ndarray:
    """Seconds ``[regimes, quantiles]``; infinite in regimes that are not stable.

    The same formulas as ``Queue.wait_quantile_s``, whose docstrings have their sources.
    """
    import numpy as np

    busy = rates_per_s * service_s / servers
    waits = erlang_c_of(servers, rates_per_s * service_s)[:, None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        of_waiting = (1 + scv) / 2 / (servers / service_s - rates_per_s)
        if scv < 1:
            many = (servers - 1) * (np.sqrt(4 + 5 * servers) - 2) / (16 * servers)
            gamma = np.where(busy > 0, many * (1 - busy) / busy, np.where(servers > 1, 0.24, 0.0))
            of_waiting = of_waiting / (scv + (1 - scv) / (1 + np.minimum(gamma, 0.24)))
        wait = of_waiting[:, None] * np.log(waits / (1 - quantiles[None, :]))
    found: np.ndarray = np.where(waits > 1 - quantiles[None, :], wait, 0.0)
    return np.where((busy < 1)[:, None], found, np.inf)
