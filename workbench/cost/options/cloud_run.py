"""Containers on Google Cloud Run, billed while they answer or all the time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import ClassVar

from workbench.cost.case import Case, per_minute_of
from workbench.cost.catalog import Catalog
from workbench.cost.money import Bill, Line, Quantity, Unit, decimal, gb_seconds, requests
from workbench.cost.options import Capacity, Option, Place
from workbench.cost.options._functions import (
    ASSUMED,
    billed_s,
    busy_copies,
    check,
    cold,
    start_seconds,
)
from workbench.cost.options._instances import least_instances
from workbench.cost.options._levels import one_model
from workbench.cost.options._regions import google
from workbench.cost.options._service import UTILISATION, Service, service
from workbench.cost.options._tasks import core_share, lanes, memory_reasons, sizes, tasks
from workbench.cost.options._tiers import beyond
from workbench.cost.traffic import Traffic
from workbench.cost.transfer import UNTOLD

SIZES_MB = {
    "1": (512, 1024, 2048, 4096),
    "2": (1024, 4096, 8192),
    "4": (2048, 8192, 16384),
    "8": (4096, 16384, 32768),
}
"""Memory by vCPUs; 8 vCPUs and 32 GiB are the most (Cloud Run, CPU limits)."""
ROUNDED_MS = 100
"""Billed time is rounded up to tenths of a second."""
PAYLOAD_BYTES = 32 * 2**20
SUMMED = 1 - 1e-9
"""A floor is below the sum over all minutes, whatever that is rounded to."""
TIMEOUT_S = 3600
"""Both by Cloud Run's quotas (a request over HTTP/1; 60 minutes)."""

ITEMS = {
    "vcpu": "cpu-request-based",
    "memory": "memory-request-based",
    "vcpu always": "cpu-instance-based",
    "memory always": "memory-instance-based",
    "requests": "requests",
}
FREE = {
    "vcpu": Decimal(180_000),
    "memory": Decimal(360_000),
    "requests": Decimal(2_000_000),
}
"""What Google gives each month, by several public READMEs; the page itself was not read."""


class CloudRun(Option):
    """Google Cloud Run, billed while requests are answered.

    Each model of a portfolio is a service of its own.
    """

    name: ClassVar[str] = "cloud-run"
    provider: ClassVar[str] = "gcp"
    regional: ClassVar[bool] = True

    free_tier: bool = False

    def places(self, case: Case) -> Iterable[Place]:
        """Sizes of a container."""
        return sizes(SIZES_MB)

    def reasons(self, case: Case, place: Place) -> list[str]:
        """Memory, payload."""
        return memory_reasons(case, place) + _payload_reasons(case)

    def floor(self, case: Case, place: Place) -> Decimal:
        """The requests with the least time that they can be billed for, without any start."""
        one = service(case, UNTOLD.mid * core_share(case, place))
        shared_s = one.busy_s / (lanes(case, place) * UTILISATION)
        seconds = case.traffic.requests * min(_rounded_s(one), shared_s) * SUMMED
        units = _units(case, place, decimal(seconds))
        return self.bill(units, place, case.catalog, case.region).usd

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """vCPU-seconds and GB-seconds of the time in which a copy answers, and of its start."""
        one = service(case, speed * core_share(case, place))
        starting = start_seconds(case, speed)
        model = one_model(case)
        met = cold(model, one.mean_s / lanes(case, place))
        p99_s = one.quantile_s(0.99) + (starting if met.share > 0.01 else 0.0)
        check(case, p99_s, met.share, starting, TIMEOUT_S)
        seconds = _billed_seconds(model, one, lanes(case, place)) + decimal(met.billed * starting)
        seconds *= case.portfolio
        copies = math.ceil(busy_copies(model.peak_rps, one.busy_s) / lanes(case, place))
        return Capacity(
            units=_units(case, place, seconds),
            instances=copies * case.portfolio,
            p50_ms=one.quantile_s(0.5) * 1000,
            p99_ms=p99_s * 1000,
            cold_share=met.share,
            assumptions=tuple(_assumptions(case)),
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """vCPU-seconds, GB-seconds, requests."""
        lines = []
        for name, quantity in units.items():
            paid = beyond(quantity, FREE[name]) if self.free_tier and name in FREE else quantity
            price = catalog.item("gcp", "cloud-run", ITEMS[name], google(region))
            lines.append(Line(item=name, quantity=paid, price=price))
        return Bill(lines=tuple(lines))


class CloudRunAlways(CloudRun):
    """Google Cloud Run, containers billed all the time."""

    name: ClassVar[str] = "cloud-run-always"

    def floor(self, case: Case, place: Place) -> Decimal:
        """The fewest containers that the availability allows, for each model's service."""
        units = _always(case, place, least_instances(case) * case.portfolio)
        return self.bill(units, place, case.catalog, case.region).usd

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Containers of the peak, all month; requests are not billed."""
        found = tasks(case, place, speed, one_model(case).peak_rps)
        containers = found.instances * case.portfolio
        return Capacity(
            units=_always(case, place, containers),
            instances=containers,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            batch=found.batch,
            assumptions=(_where(case), "Data transfer is not priced; no free tier."),
        )


def vcpu_seconds(place: Place, seconds: int | float | str | Decimal) -> Quantity:
    """All vCPUs of a container are billed, so N of them N times."""
    assert place.vcpus is not None
    return Quantity(amount=place.vcpus * decimal(seconds), unit=Unit.VCPU_SECOND)


def _units(case: Case, place: Place, seconds: Decimal) -> dict[str, Quantity]:
    return {
        "vcpu": vcpu_seconds(place, seconds),
        "memory": gb_seconds(place.memory_mb or 0, seconds),
        "requests": requests(case.traffic.requests),
    }


def _always(case: Case, place: Place, containers: int) -> dict[str, Quantity]:
    seconds = Decimal(containers * case.hours * 3600)
    return {
        "vcpu always": vcpu_seconds(place, seconds),
        "memory always": gb_seconds(place.memory_mb or 0, seconds),
    }


def _rounded_s(one: Service) -> float:
    return float(billed_s(one, ROUNDED_MS))


def _billed_seconds(case: Case, one: Service, each: int) -> Decimal:
    """Container-seconds: each request's time, rounded up, but no more than containers are there.

    Requests that one container answers at once are billed once; the least that may be hoped for
    depends on how they meet, so the bound is taken.
    """
    return decimal(_minutes_of(case.arriving, case.hours, one.busy_s, _rounded_s(one), each))


@lru_cache(maxsize=1024)
def _minutes_of(traffic: Traffic, hours: int, busy_s: float, rounded_s: float, each: int) -> float:
    """Container-seconds of a month, from the seconds of a request as they are and as billed."""
    import numpy as np

    arrivals = per_minute_of(traffic, hours)
    there = np.ceil(arrivals / 60 * busy_s / (each * UTILISATION))
    return float(np.minimum(arrivals * rounded_s, there * 60).sum())


def _payload_reasons(case: Case) -> list[str]:
    size = max(case.traffic.payload_in_bytes, case.traffic.payload_out_bytes)
    if size <= PAYLOAD_BYTES:
        return []
    return [f"A payload of {size / 1e6:.1f} MB is over Cloud Run's limit of 32 MiB."]


def _where(case: Case) -> str:
    return f"Priced in Google's region {google(case.region)}, for {case.region}."


def _assumptions(case: Case) -> Iterator[str]:
    yield _where(case)
    yield ASSUMED
    yield "Each request's time is rounded up to 100 ms, at most the time of the containers there."
    yield "The free tier is not included; data transfer is not priced."
