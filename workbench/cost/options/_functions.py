"""What services that start a copy for each request share: how often a request meets a cold start.

The copies are taken in a fixed order, the first that is idle: so the higher ones are used seldom
and go cold. Requests that find the first n copies busy come at the rate of an Erlang loss system,
and a copy is gone when none reached it for as long as the provider keeps one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from workbench.cost.case import Case
from workbench.cost.money import decimal
from workbench.cost.options import NotPossibleError
from workbench.cost.options._service import Service

if TYPE_CHECKING:
    import numpy as np

KEPT_S = 300.0
"""How long an idle copy is kept. No provider promises a time; the shortest usually seen."""
START_S = 2.0
"""Start of a container with Python, onnxruntime and the server, without the model: assumed."""
ASSUMED = (
    f"An idle copy is kept for {KEPT_S / 60:.0f} minutes, and starts in {START_S:.0f} s beside the "
    "loading of the model: the provider promises neither."
)
_POINTS_A_DECADE = 16
_SELDOM = 1e-9


@dataclass(frozen=True)
class Cold:
    """Cold starts of a month: the share of the requests that meet one, and how many are billed.

    More traffic can mean fewer cold starts; ``billed`` is the most that any traffic of the same
    shape and no more requests has, so that a bill does not fall by what is a mere estimate.
    """

    share: float
    billed: float


def start_seconds(case: Case, speed: float) -> float:
    """How long a copy takes until it answers."""
    return START_S + (case.profile.load_s or 0.0) / speed


def cold(case: Case, service_s: float) -> Cold:
    """Cold starts of the case's traffic where a request keeps one copy busy for ``service_s``."""
    import numpy as np

    rates = case.hourly_rps
    decades = math.ceil(max(0.0, math.log10(max(float(rates.max()) * KEPT_S, 1.0)))) + 1
    grid, starts = _starts(service_s, decades)
    met = float(np.interp(rates, grid, starts).sum())
    most = float(np.interp(rates, grid, np.maximum.accumulate(starts)).sum())
    share = min(1.0, met / float(rates.sum()))
    return Cold(share, min(most * 3600, case.traffic.requests))


@lru_cache(maxsize=256)
def _starts(service_s: float, decades: int) -> tuple[np.ndarray, np.ndarray]:
    """Cold starts per second at rates from 0 up to ``decades`` above one in the time of keeping."""
    import numpy as np

    exponents = np.arange(-3 * _POINTS_A_DECADE, decades * _POINTS_A_DECADE + 1) / _POINTS_A_DECADE
    rates = np.concatenate([[0.0], 10**exponents / KEPT_S])
    load = rates * service_s
    blocked, starts = np.ones_like(rates), np.zeros_like(rates)
    copy = 0
    while float((rates * blocked).max()) * KEPT_S > _SELDOM:
        copy += 1
        after = load * blocked / (copy + load * blocked)
        starts += rates * (blocked - after) * np.exp(-rates * blocked * KEPT_S)
        blocked = after
    return rates, starts


def billed_s(one: Service, step_ms: int = 1) -> Decimal:
    """Mean billed seconds of a request, each step begun as a whole: of a hit of the cache too."""
    computed, hit = (decimal(billed_ms(s, step_ms)) / 1000 for s in (one.mean_s, one.hit_s))
    hits = decimal(one.hits)
    return (1 - hits) * computed + hits * hit if hits else computed


def billed_ms(seconds: float, step_ms: int = 1) -> int:
    """A time in milliseconds as it is billed: each step begun as a whole."""
    return math.ceil(round(seconds * 1000 / step_ms, 6)) * step_ms


def busy_copies(rate_per_s: float, service_s: float) -> int:
    """Copies that are busy at once in all but one of a thousand moments."""
    load = rate_per_s * service_s
    return max(1, math.ceil(load + 3.09 * math.sqrt(load)))


def check(case: Case, p99_s: float, share: float, starting_s: float, timeout_s: float) -> None:
    """Whether objective, time-out and the allowed share of cold starts are kept.

    Raises:
        NotPossibleError: one is not.
    """
    allowed = case.traffic.cold_start_share
    if share > allowed:
        raise NotPossibleError(
            f"{share:.1%} of the requests would meet a cold start of about {starting_s:.1f} s; "
            f"{allowed:.1%} may."
        )
    if p99_s > timeout_s:
        raise NotPossibleError(f"A request takes {p99_s:.0f} s; the time-out is {timeout_s:.0f} s.")
    objective = case.traffic.p99_ms
    if objective is not None and p99_s * 1000 > objective:
        raise NotPossibleError(
            f"A request takes {p99_s * 1000:.0f} ms (p99), the objective is {objective:.0f} ms."
        )
