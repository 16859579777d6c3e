"""AWS Lambda, with or without an API Gateway in front of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import ClassVar, Literal

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.catalog.limits import limit
from workbench.cost.money import Bill, Line, Quantity, decimal, gb_seconds, requests
from workbench.cost.options import Capacity, Option, Place
from workbench.cost.options._functions import (
    ASSUMED,
    billed_s,
    busy_copies,
    check,
    cold,
    start_seconds,
)
from workbench.cost.options._instances import SERVER_BYTES
from workbench.cost.options._levels import one_model
from workbench.cost.options._service import service_of_function
from workbench.cost.options._tasks import memory_reasons
from workbench.cost.options._tiers import Tier, beyond, tiered_lines
from workbench.cost.options.real_time import payload_reasons
from workbench.cost.transfer import UNTOLD

FULL_VCPU_MB = 1769
"""The memory at which a function has one vCPU (AWS Lambda developer guide); less has its share."""
SIZES_MB = (512, 1024, FULL_VCPU_MB, 3008, 4096, 6144, 8192, 10240)
CONCURRENCY = 1000
"""Default quota of an account and region; AWS raises it on request."""
GATEWAY_TIMEOUT_S = 29
GATEWAY_PIECE_BYTES = 512 * 1024
"""An HTTP API counts a request for each 512 KB begun."""

FREE = {
    "requests": Decimal(1_000_000),
    "duration-x86": Decimal(400_000),
    "duration-arm": Decimal(400_000),
}
"""What AWS gives each month: requests by Infracost's data, GB-seconds by common knowledge."""

BILLION = Decimal(10**9)
MILLION = Decimal(10**6)
TIERS: Mapping[str, tuple[str, tuple[Tier, ...]]] = {
    "requests": ("lambda", (Tier("requests", None),)),
    "duration-x86": (
        "lambda",
        (
            Tier("duration-x86", 6 * BILLION),
            Tier("duration-x86-tier2", 9 * BILLION),
            Tier("duration-x86-tier3", None),
        ),
    ),
    "duration-arm": (
        "lambda",
        (
            Tier("duration-arm", Decimal("7.5") * BILLION),
            Tier("duration-arm-tier2", Decimal("11.25") * BILLION),
            Tier("duration-arm-tier3", None),
        ),
    ),
    "provisioned": ("lambda", (Tier("provisioned-usage-x86", None),)),
    "provisioned-duration": ("lambda", (Tier("provisioned-duration-x86", None),)),
    "http-api": (
        "api-gateway-http",
        (Tier("requests", 300 * MILLION), Tier("requests-tier2", None)),
    ),
    "rest-api": (
        "api-gateway-rest",
        (
            Tier("requests", 333 * MILLION),
            Tier("requests-tier2", 667 * MILLION),
            Tier("requests-tier3", 19 * BILLION),
            Tier("requests-tier4", None),
        ),
    ),
}
"""What each unit is priced by: the service, and its price steps of a month."""


class Lambda(Option):
    """AWS Lambda, a copy of the function for each request at a time.

    Each model of a portfolio is a function of its own.
    """

    name: ClassVar[str] = "lambda"

    gateway: Literal["none", "http-api", "rest-api"] = "none"
    free_tier: bool = False

    def places(self, case: Case) -> Iterable[Place]:
        """Sizes of memory; up to the size that has a whole vCPU, a smaller one is slower."""
        for memory in SIZES_MB:
            yield Place(memory_mb=memory, vcpus=Decimal(1) if memory >= FULL_VCPU_MB else None)

    def reasons(self, case: Case, place: Place) -> list[str]:
        """Memory, payload, image."""
        return memory_reasons(case, place) + payload_reasons(case, "lambda") + _image_reasons(case)

    def floor(self, case: Case, place: Place) -> Decimal:
        """All requests without any start."""
        one = service_of_function(case, UNTOLD.mid * _share(place))
        billed = decimal(case.traffic.requests) * billed_s(one)
        units = self._units(case, place, billed)
        return self.bill(units, place, case.catalog, case.region).usd

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Billed milliseconds of all requests and of the starts, by memory."""
        share = _share(place)
        one = service_of_function(case, speed * share)
        starting = start_seconds(case, speed * share)
        model = one_model(case)
        met = cold(model, one.mean_s)
        p99_s = one.quantile_s(0.99) + (starting if met.share > 0.01 else 0.0)
        timeout = (
            limit("lambda", "timeout_s").value if self.gateway == "none" else GATEWAY_TIMEOUT_S
        )
        check(case, p99_s, met.share, starting, timeout)
        count = decimal(case.traffic.requests)
        billed = count * billed_s(one)
        billed += decimal(met.billed * starting) * case.portfolio
        copies = busy_copies(model.peak_rps, one.busy_s) * case.portfolio
        return Capacity(
            units=self._units(case, place, billed),
            instances=copies,
            p50_ms=one.quantile_s(0.5) * 1000,
            p99_ms=p99_s * 1000,
            cold_share=met.share,
            assumptions=tuple(_assumptions(self.gateway, copies)),
        )

    def _units(self, case: Case, place: Place, billed_s: Decimal) -> dict[str, Quantity]:
        assert place.memory_mb is not None
        count = decimal(case.traffic.requests)
        units = {
            "requests": requests(count),
            f"duration-{_architecture(case)}": gb_seconds(place.memory_mb, billed_s),
        }
        if self.gateway != "none":
            units[self.gateway] = requests(count * _pieces(case, self.gateway))
        return units

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Requests and duration, by the price steps of a month."""
        lines: list[Line] = []
        for name, quantity in units.items():
            service_name, tiers = TIERS[name]
            paid = beyond(quantity, FREE[name]) if self.free_tier and name in FREE else quantity
            lines += tiered_lines(
                name,
                paid,
                tiers,
                lambda item, of=service_name: catalog.item("aws", of, item, region),  # type: ignore[misc]
            )
        return Bill(lines=tuple(lines))


def _share(place: Place) -> float:
    """The part of a vCPU that comes with the memory."""
    assert place.memory_mb is not None
    return min(1.0, place.memory_mb / FULL_VCPU_MB)


def _image_reasons(case: Case) -> list[str]:
    most = limit("lambda", "image_gb_max")
    size = SERVER_BYTES + (case.profile.model_bytes or 0)
    if size <= float(most.value) * 10**9:
        return []
    return [f"An image of {size / 1e9:.1f} GB is over the limit of {most.text}."]


def _architecture(case: Case) -> str:
    """That of the measured machine: what was measured on x86 says little of Arm."""
    arm = any("neon" in name or "sve" in name for name in case.profile.isa)
    return "arm" if arm else "x86"


def _pieces(case: Case, gateway: str) -> int:
    """How many requests a gateway counts for one."""
    if gateway != "http-api":
        return 1
    size = max(case.traffic.payload_in_bytes, case.traffic.payload_out_bytes)
    return max(1, math.ceil(size / GATEWAY_PIECE_BYTES))


def _assumptions(gateway: str, copies: int) -> Iterator[str]:
    yield ASSUMED
    yield "The free tier is not included; data transfer is not priced."
    if gateway == "none":
        yield "It is called by its own address or by Invoke; no API Gateway is priced."
    if copies > CONCURRENCY:
        yield f"{copies} copies at the peak need a raised quota; an account begins at 1,000."
