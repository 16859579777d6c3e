"""A fixed base of instances, and a serverless endpoint for what comes above it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, ClassVar

from workbench.cost.case import Case, per_minute_of
from workbench.cost.catalog import Catalog
from workbench.cost.catalog.limits import limit
from workbench.cost.money import Bill, Line, Quantity, hours
from workbench.cost.options import Capacity, NotPossibleError, NowhereError, Option, Place
from workbench.cost.options._functions import busy_copies, check, cold, start_seconds
from workbench.cost.options._hosting import check_credits, hosting_bill, real_time_reasons
from workbench.cost.options._instances import (
    data_units,
    fleet,
    instance_types,
    least_instances,
    least_usd,
    storage_units,
)
from workbench.cost.options._levels import sustained_rps
from workbench.cost.options._limits import check_concurrency
from workbench.cost.options._service import Service, service_of_function
from workbench.cost.options.serverless import ASSUMPTIONS, SERVICE, duration, serverless_reasons
from workbench.cost.traffic import Traffic

if TYPE_CHECKING:
    import numpy as np

CANDIDATES = 12
"""Sizes of the base that are tried, evenly from the least to one below the peak's fleet."""
SLOWER = 0.9
"""Speed that a serverless CPU, which AWS does not tell, is taken to have at most."""
OVERFLOW = "serverless duration"


@dataclass(frozen=True)
class Overflow(Case):
    """A case whose rate is what a base leaves over."""

    base_rps: float = 0.0

    @cached_property
    def per_minute(self) -> np.ndarray:
        """Expected requests in each minute above the base's."""
        whole = Case(self.profile, self.traffic, self.catalog, self.region, self.hours)
        return over_base(whole, self.base_rps)


def over_base(case: Case, base_rps: float) -> np.ndarray:
    """Expected requests in each minute above a base's rate."""
    return _above(case.per_minute, base_rps)


class Hybrid(Option):
    """Fixed base of instances with a serverless endpoint for the overflow."""

    name: ClassVar[str] = "hybrid"
    savings_plan: ClassVar[bool] = True
    sagemaker: ClassVar[bool] = True
    unmoved: ClassVar[bool] = False
    regional: ClassVar[bool] = True

    def places(self, case: Case) -> Iterable[Place]:
        """All hosted CPU types, each with the smallest memory size that holds the model."""
        sizes = [int(memory) for memory in limit("serverless", "memory_mb").value]
        fits = [m for m in sizes if not serverless_reasons(case, Place(memory_mb=m))]
        memory = fits[0] if fits else sizes[-1]
        for place in instance_types(case, "hosting"):
            yield place.model_copy(update={"memory_mb": memory})

    def reasons(self, case: Case, place: Place) -> list[str]:
        """Both must take the model."""
        if case.portfolio > 1:
            return [
                f"A base and an overflow are for one model; the portfolio has {case.portfolio}."
            ]
        small = Place(memory_mb=place.memory_mb)
        return [*real_time_reasons(case, place), *serverless_reasons(case, small)]

    def floor(self, case: Case, place: Place) -> Decimal:
        """The fewest instances that the availability allows."""
        return least_usd(case, place, "hosting")

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """The base that makes base and overflow together the cheapest, if any does."""
        top = fleet(case, place, speed, case.peak_rps)
        least = least_instances(case)
        if top.instances <= least:
            raise NowhereError(f"{least} instance(s) serve the peak: nothing flows over.")
        beside = min(speed, SLOWER)
        one = service_of_function(case, beside)
        starting = start_seconds(case, beside)
        base, over = self._cheapest(case, place, speed, one, (least, top.instances))
        flowing = float(over.per_minute.sum())
        peak = float(over.per_minute.max()) / 60
        copies = busy_copies(peak, one.busy_s)
        check_concurrency(copies)
        share = cold(over, one.mean_s).share * flowing / case.traffic.requests
        p99_s = max(top.p99_ms / 1000, one.quantile_s(0.99)) + (starting if share > 0.01 else 0.0)
        check(case, p99_s, share, starting, float(limit("serverless", "timeout_s").value))
        total = base * case.hours
        kept = replace(case, traffic=case.traffic.scaled(case.traffic.requests - flowing))
        check_credits(kept, place, speed, total)
        return Capacity(
            units={
                "instances": hours(total),
                OVERFLOW: duration(flowing, one),
                **storage_units(case, place, total),
                **data_units(case),
            },
            instances=base,
            p50_ms=top.p50_ms,
            p99_ms=p99_s * 1000,
            batch=top.batch,
            cold_share=share,
            assumptions=tuple(_assumptions(base, flowing / case.traffic.requests, place)),
        )

    def _cheapest(
        self, case: Case, place: Place, speed: float, one: Service, bounds: tuple[int, int]
    ) -> tuple[int, Overflow]:
        """The size of the base, and what it leaves over."""
        least, top = bounds
        assert place.instance_type is not None
        step = max(1, (top - least) // CANDIDATES)
        hour = case.catalog.hourly(place.instance_type, case.region, "hosting").usd
        second = _second(case.catalog, place, case.region).price.usd
        best: tuple[Decimal, int, float] | None = None
        for base in range(least, top, step):
            served = sustained_rps(case, place, speed, base)
            flowing = _flowing(case.arriving, case.hours, served)
            usd = hour * base * case.hours + second * duration(flowing, one).amount
            if flowing > 0 and (best is None or usd < best[0]):
                best = (usd, base, served)
        if best is None or best[0] >= hour * top * case.hours:
            raise NotPossibleError(
                f"No base with an overflow is cheaper than {top} fixed instances of this type."
            )
        over = Overflow(
            case.profile, case.traffic, case.catalog, case.region, case.hours, case.sequence,
            base_rps=best[2],
        )  # fmt: skip
        return best[1], over

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Instance-hours, seconds of the overflow, storage, data."""
        base = hosting_bill(units, ("instances",), place, catalog, region)
        over = _second(catalog, place, region)
        line = over.model_copy(update={"quantity": units[OVERFLOW]})
        return Bill(lines=(base.lines[0], line, *base.lines[1:]))


@lru_cache(maxsize=4096)
def _flowing(traffic: Traffic, hours: int, base_rps: float) -> float:
    """Requests of a month above a base's rate."""
    return float(_above(per_minute_of(traffic, hours), base_rps).sum())


def _above(per_minute: np.ndarray, base_rps: float) -> np.ndarray:
    import numpy as np

    return np.maximum(per_minute - base_rps * 60, 0.0)


def _second(catalog: Catalog, place: Place, region: str) -> Line:
    """A line of one second of the overflow's memory size."""
    price = catalog.item("aws", SERVICE, f"duration-{place.memory_mb}", region)
    return Line(item=OVERFLOW, quantity=Quantity(amount=Decimal(1), unit=price.per), price=price)


def _assumptions(base: int, share: float, place: Place) -> Iterator[str]:
    yield (
        f"{base} instance(s) all month; {share:.1%} of the requests flow over to a serverless "
        f"endpoint of {(place.memory_mb or 0) / 1024:g} GB."
    )
    yield "What divides the requests between the two is your own and is not priced."
    yield f"Its CPU is taken for the instance's, or for {SLOWER} of the measured one if slower."
    yield from ASSUMPTIONS
