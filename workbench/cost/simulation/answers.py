"""How a month's requests are answered while lanes come and go: by closed form, or by events.

Most minutes are calm: a steady queue, far shorter-lived than a minute, whose waits ``regimes``
gives in closed form. Where the lanes are busy for 90 % and more, or there are none, or a line is
still being worked off, requests go one by one through ``queue.fifo``. If that were more events than
allowed, the line grows and shrinks there as a fluid does, by what comes less what is served
(Newell, Applications of Queueing Theory, 1982): right where what is waiting is much more than the
root of what comes, too short by about that root elsewhere.

The service does not depend on the wait: the waits of all closed forms are put together, and their
sum with the service is taken once, over all pairs of their quantiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.cost.simulation.mixture import condensed, quantile_grid, weighted_quantiles
from workbench.cost.simulation.queue import fifo
from workbench.cost.simulation.regimes import service_quantiles, wait_quantiles
from workbench.cost.simulation.samples import draw_arrivals, draw_services
from workbench.cost.simulation.segments import hard_ones, segments_of, with_lead

if TYPE_CHECKING:
    import numpy as np

    from workbench.cost.simulation.segments import Load, Segments
    from workbench.cost.simulation.steps import Steps

FLUID_BUSY = 0.98
"""The noise around the fluid is that of a steady queue that is not busier than this."""
PIECES, MOST_PIECES = 16, 40_000
"""Into how many pieces a fluid's segment is cut, and how many there are at most."""
EVENTS = 1_000_000
"""Requests that are simulated one by one: about a second."""


@dataclass(frozen=True)
class Answered:
    """Response times in seconds with the requests that each stands for; see ``results.Answers``."""

    values_s: np.ndarray
    weights: np.ndarray
    dropped: float
    short: float
    simulated: float

    @property
    def served(self) -> float:
        """Requests that were answered."""
        return float(self.weights.sum())

    @property
    def requests(self) -> float:
        """Requests that came."""
        return self.served + self.dropped

    def fields(self) -> dict[str, float]:
        """The fields of ``results.Answers``."""
        p50, p99 = weighted_quantiles(self.values_s, self.weights, (0.5, 0.99))
        return {
            "requests": self.requests,
            "p50_ms": 1000 * p50,
            "p99_ms": 1000 * p99,
            "dropped_share": self.share(self.dropped),
            "simulated_share": self.share(self.simulated),
        }

    def share(self, part: float) -> float:
        """A part of all requests, within 0 and 1."""
        return min(1.0, max(0.0, part / self.requests)) if self.requests else 0.0


def answer(
    load: Load,
    lanes: Steps,
    rng: np.random.Generator,
    *,
    patience_s: float = math.inf,
    refused_at_zero: bool = False,
    events: float = EVENTS,
) -> Answered:
    """The response times of a month.

    Args:
        load: what comes.
        lanes: requests that can be served at a time.
        rng: draws arrivals within minutes, and service times.
        patience_s: a request that would wait longer is dropped.
        refused_at_zero: whether requests fail while there is no lane; otherwise they wait.
        events: most requests to simulate one by one; ``inf`` simulates all.
    """
    import numpy as np

    segments = segments_of(load, lanes, patience_s, refused_at_zero)
    everything = load.counts.sum() <= events
    hard = np.ones(len(segments.rates), bool) if everything else hard_ones(segments, load.service_s)
    included = hard if everything else with_lead(segments, hard)
    weights = segments.weights
    calm = _calm(segments, ~hard & (segments.lanes > 0), load)
    if everything or weights[included].sum() <= events:
        parts = [
            _with_service([calm], load),
            _by_events(segments, hard, included, load, lanes, rng, patience_s, refused_at_zero),
        ]
    else:
        fluid = _fluid(segments, hard, load, lanes)
        dropped = max(0.0, float(weights[hard].sum()) - fluid.served)
        parts = [
            _with_service([calm, fluid], load),
            Answered(np.empty(0), np.empty(0), dropped, 0.0, 0.0),
        ]
    if refused_at_zero and not everything:
        refused = float(weights[~hard & (segments.lanes == 0)].sum())
        parts.append(Answered(np.empty(0), np.empty(0), refused, 0.0, 0.0))
    short = segments.rates * load.service_s >= segments.lanes
    return Answered(
        np.concatenate([part.values_s for part in parts]),
        np.concatenate([part.weights for part in parts]),
        sum(part.dropped for part in parts),
        float(weights[short].sum()),
        sum(part.simulated for part in parts),
    )


def _calm(segments: Segments, calm: np.ndarray, load: Load) -> Answered:
    """The waits of steady queues: each regime's as a grid of quantiles."""
    import numpy as np

    if not calm.any():
        return Answered(np.empty(0), np.empty(0), 0.0, 0.0, 0.0)
    quantiles, cells = quantile_grid()
    regimes, which = np.unique(
        np.stack([segments.rates[calm], segments.lanes[calm]]), axis=1, return_inverse=True
    )
    requests = np.bincount(which.reshape(-1), weights=segments.weights[calm])
    lanes = regimes[1].astype(np.int64)
    waits = wait_quantiles(regimes[0], lanes, load.service_s, load.scv, quantiles)
    return Answered(waits.reshape(-1), np.outer(requests, cells).reshape(-1), 0.0, 0.0, 0.0)


def _with_service(waits: list[Answered], load: Load) -> Answered:
    """Responses from waits."""
    import numpy as np

    values = np.concatenate([part.values_s for part in waits])
    weights = np.concatenate([part.weights for part in waits])
    dropped = sum(part.dropped for part in waits)
    if not weights.sum():
        return Answered(np.empty(0), np.empty(0), dropped, 0.0, 0.0)
    quantiles, cells = quantile_grid()
    services = service_quantiles(load.service_s, load.scv, quantiles)
    grid, shares = condensed(values, weights)
    return Answered(
        np.add.outer(grid, services).reshape(-1), np.outer(shares, cells).reshape(-1),
        dropped, 0.0, 0.0,
    )  # fmt: skip


def _by_events(
    segments: Segments,
    hard: np.ndarray,
    included: np.ndarray,
    load: Load,
    lanes: Steps,
    rng: np.random.Generator,
    patience_s: float,
    refused_at_zero: bool,
) -> Answered:
    import numpy as np

    wanted = np.zeros(len(load.counts), bool)
    wanted[segments.minutes[included]] = True
    arrivals = draw_arrivals(np.where(wanted, load.counts, 0), rng)
    places = segments.edges.searchsorted(arrivals, side="right") - 1
    kept = included[places]
    arrivals, places = arrivals[kept], places[kept]
    starts = np.full(len(arrivals), np.nan)
    able = segments.lanes[places] > 0 if refused_at_zero else np.ones(len(arrivals), bool)
    services = draw_services(len(arrivals), load.service_s, load.scv, rng)
    starts[able] = fifo(arrivals[able], services[able], lanes, patience_s)
    counted = hard[places]
    responses = (starts + services - arrivals)[counted]
    answered = responses[~np.isnan(responses)]
    dropped = float(counted.sum() - len(answered))
    return Answered(answered, np.ones(len(answered)), dropped, 0.0, float(counted.sum()))


def _fluid(segments: Segments, hard: np.ndarray, load: Load, lanes: Steps) -> Answered:
    """Waits until the line is served, or of a steady queue where those are longer.

    The line changes within a segment, which is therefore taken in pieces.
    """
    import numpy as np

    quantiles, cells = quantile_grid()
    pieces = max(1, min(PIECES, MOST_PIECES // max(1, int(hard.sum()))))
    along = (np.arange(pieces) + 0.5) / pieces
    places = np.repeat(np.flatnonzero(hard), pieces)
    along = np.tile(along, int(hard.sum()))
    elapsed = np.diff(segments.edges)[places] * along
    middle = segments.edges[places] + elapsed
    growth = (segments.rates - segments.lanes / load.service_s)[places]
    before, after = segments.backlog[places], segments.backlog[places + 1]
    # Not evenly from one end to the other: it may have been worked off, or full, long before.
    line = (before + growth * elapsed).clip(0.0, np.maximum(before, after))
    # The last step lasts for ever: up to a time by which it has served whatever is in line.
    far = load.end_s + (float(line.max(initial=0.0)) + 1) * load.service_s
    times = np.append(lanes.times_s[lanes.times_s < far], far)
    served = np.interp(lanes.until(middle) + line * load.service_s, lanes.until(times), times)
    ever = (lanes.at(served) > 0) & ((lanes.counts[-1] > 0) | (served < far))
    served, middle, places = served[ever], middle[ever], places[ever]
    able = lanes.at(served)
    rates = np.minimum(segments.rates[places], FLUID_BUSY * able / load.service_s)
    steady = wait_quantiles(rates, able, load.service_s, load.scv, quantiles)
    values = np.maximum(steady, np.maximum(served - middle, 0.0)[:, None])
    requests = np.maximum((segments.weights - segments.lost)[places], 0.0) / pieces
    return Answered(values.reshape(-1), np.outer(requests, cells).reshape(-1), 0.0, 0.0, 0.0)
