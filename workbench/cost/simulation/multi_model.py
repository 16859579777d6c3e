"""Many models on a fixed number of instances: those used last stay in memory (LRU).

Model k is asked for in proportion to k ** -exponent (Zipf) and lives on one instance, as SageMaker
routes it. A request for a model that is not in memory loads it, in place of the one that was used
longest ago; who asks for it meanwhile waits for the same load. Loading holds no lane.

Two ways: event by event, or by the approximation of Che, Tung and Wang (2002): a model is in memory
if it was asked for during the last x requests, where x is such that the memory is full on average.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.cost.simulation.answers import EVENTS, Answered, answer
from workbench.cost.simulation.mixture import condensed
from workbench.cost.simulation.queue import fifo
from workbench.cost.simulation.results import MultiModelResult
from workbench.cost.simulation.samples import MINUTE_S, draw_arrivals, draw_counts, draw_services
from workbench.cost.simulation.scaling import TIMEOUT_S
from workbench.cost.simulation.segments import Load
from workbench.cost.simulation.steps import Steps

if TYPE_CHECKING:
    import numpy as np

_WAITS = 16


@dataclass(frozen=True)
class Portfolio:
    """Models, and the memory for them: ``fits`` on each of the instances; loading in seconds."""

    models: int
    exponent: float
    instances: int
    fits: int
    load_s: float

    def __post_init__(self) -> None:
        if min(self.models, self.instances, self.fits) < 1:
            raise ValueError(f"no portfolio: {self}")
        if not (self.exponent >= 0 and self.load_s >= 0):
            raise ValueError(f"no portfolio: {self}")

    def popularity(self) -> np.ndarray:
        """Share of the requests of each model, largest first."""
        import numpy as np

        weights = np.arange(1, self.models + 1, dtype=np.float64) ** -self.exponent
        shares: np.ndarray = weights / weights.sum()
        return shares

    def miss_probabilities(self, requests: float) -> np.ndarray:
        """Of each model: the probability that a request finds it not in memory (Che).

        Where all fit, each is loaded once, at the first of so many ``requests``.
        """
        import numpy as np

        popularity = self.popularity()
        misses = np.empty(self.models)
        for instance in range(self.instances):
            mine = popularity[instance :: self.instances]
            # At least the first request of each model misses.
            first = -np.expm1(-mine * requests) / np.maximum(mine * requests, 1e-300)
            again = np.exp(-mine * _window(mine, self.fits)) if len(mine) > self.fits else 0.0
            misses[instance :: self.instances] = np.minimum(1.0, np.maximum(first, again))
        return misses


def _window(popularity: np.ndarray, fits: int) -> float:
    """Che's characteristic time, in requests of the whole endpoint: Σ (1 − exp(−p x)) = fits."""
    import numpy as np

    low, high = 0.0, 1.0
    while -np.expm1(-popularity * high).sum() < fits and high < 1e300:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        enough = -np.expm1(-popularity * middle).sum() >= fits
        low, high = (low, middle) if enough else (middle, high)
    return high


def simulate_multi_model(
    per_minute: np.ndarray,
    service_s: float,
    lanes_per_instance: int,
    scv: float,
    models: int,
    fits: int,
    load_s: float,
    instances: int = 1,
    exponent: float = 1.0,
    *,
    timeout_s: float = TIMEOUT_S,
    seed: int = 0,
    events: float = EVENTS,
) -> MultiModelResult:
    """A month of a multi-model endpoint with a fixed number of instances.

    Args:
        per_minute: expected requests of each minute, to all models together.
        service_s: mean time of one request on a lane.
        lanes_per_instance: requests that an instance serves at a time.
        scv: squared coefficient of variation of the service time (lognormal).
        models: how many there are.
        fits: how many an instance has memory for.
        load_s: fetching and loading one.
        instances: how many, all month.
        exponent: of Zipf's law; 0: all alike, 1: the second is asked for half as often.
        timeout_s: a request that would wait longer for a lane is dropped.
        seed: of all that is drawn.
        events: up to so many requests are simulated one by one; beyond, Che's approximation.

    Raises:
        ValueError: no models, no instances, or a negative time.
    """
    import numpy as np

    portfolio = Portfolio(models, exponent, instances, fits, load_s)
    rng = np.random.default_rng(seed)
    counts = draw_counts(per_minute, rng)
    load = Load(per_minute, counts, service_s, scv)
    lanes = Steps.constant(instances * lanes_per_instance)
    if counts.sum() <= events:
        answered, misses, cold = _by_events(load, lanes, portfolio, timeout_s, rng)
    else:
        answered = answer(load, lanes, rng, patience_s=timeout_s, events=events)
        answered, misses, cold = _with_loads(answered, portfolio, per_minute)
    return MultiModelResult(
        **answered.fields(),
        cold_share=answered.share(cold),
        miss_share=answered.share(misses),
        instance_hours=instances * load.end_s / 3600,
        peak_instances=instances,
        utilisation=answered.served * service_s / lanes.total_s(load.end_s),
    )


def _by_events(
    load: Load, lanes: Steps, portfolio: Portfolio, timeout_s: float, rng: np.random.Generator
) -> tuple[Answered, float, float]:
    """Answers, misses and cold requests."""
    import numpy as np

    arrivals = draw_arrivals(load.counts, rng)
    wanted = rng.choice(portfolio.models, size=len(arrivals), p=portfolio.popularity())
    delays, misses = loading_delays(arrivals, wanted, portfolio)
    services = draw_services(len(arrivals), load.service_s, load.scv, rng)
    ready = arrivals + delays
    order = np.argsort(ready, kind="stable")  # in line once the model is there
    starts = np.empty(len(arrivals))
    starts[order] = fifo(ready[order], services[order], lanes, timeout_s)
    responses = starts + services - arrivals
    served = ~np.isnan(responses)
    dropped = float((~served).sum())
    kept = responses[served]
    answered = Answered(kept, np.ones(len(kept)), dropped, 0.0, float(len(arrivals)))
    return answered, misses, float((delays > 0).sum()) if portfolio.load_s else misses


def loading_delays(
    arrivals_s: np.ndarray, wanted: np.ndarray, portfolio: Portfolio
) -> tuple[np.ndarray, int]:
    """How long each request waits for its model, in seconds, and how many loads there were."""
    import numpy as np

    memories: list[OrderedDict[int, float]] = [OrderedDict() for _ in range(portfolio.instances)]
    delays = np.zeros(len(arrivals_s))
    misses = 0
    for index, (now, model) in enumerate(zip(arrivals_s.tolist(), wanted.tolist(), strict=True)):
        memory = memories[model % portfolio.instances]
        ready = memory.get(model)
        if ready is None:
            misses += 1
            if len(memory) >= portfolio.fits:
                memory.popitem(last=False)
            ready = memory[model] = now + portfolio.load_s
        else:
            memory.move_to_end(model)
        if ready > now:
            delays[index] = ready - now
    return delays, misses


def _with_loads(
    answered: Answered, portfolio: Portfolio, per_minute: np.ndarray
) -> tuple[Answered, float, float]:
    """The same answers with loads before some; then misses and cold requests.

    Who comes during a load waits for what is left of it: evenly between nothing and all of it.
    """
    import numpy as np

    total = float(per_minute.sum())
    popularity = portfolio.popularity()
    missing = portfolio.miss_probabilities(total)
    # The rate that an average request sees: busy minutes count more.
    rate = float((per_minute**2).sum()) / total / MINUTE_S
    joining = np.minimum(missing * popularity * rate * portfolio.load_s, 1 - missing)
    miss, join = float(popularity @ missing), float(popularity @ joining)
    values, weights = condensed(answered.values_s, answered.weights)
    waits = (np.arange(_WAITS) + 0.5) / _WAITS * portfolio.load_s
    changed = Answered(
        np.concatenate([
            values, values + portfolio.load_s, (values[:, None] + waits[None, :]).reshape(-1),
        ]),
        np.concatenate([
            weights * (1 - miss - join), weights * miss,
            np.repeat(weights * join / _WAITS, _WAITS),
        ]),
        answered.dropped, answered.short, answered.simulated,
    )  # fmt: skip
    return changed, miss * changed.requests, (miss + join) * changed.requests
