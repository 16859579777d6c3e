"""Serverless endpoint of SageMaker: paid by the time of inference and the size of the memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.catalog.limits import limit
from workbench.cost.money import Bill, Line, Quantity, Unit, decimal, requests
from workbench.cost.options import Capacity, Option, Place
from workbench.cost.options._functions import (
    ASSUMED,
    billed_s,
    busy_copies,
    check,
    cold,
    start_seconds,
)
from workbench.cost.options._instances import data_units, sagemaker_lines
from workbench.cost.options._levels import one_model
from workbench.cost.options._limits import check_concurrency, endpoint_reasons, timeout_reasons
from workbench.cost.options._service import Service, service_of_function
from workbench.cost.options._tasks import memory_reasons
from workbench.cost.options.real_time import payload_reasons
from workbench.cost.transfer import UNTOLD

SERVICE = "sagemaker-serverless"
ASSUMPTIONS = (
    ASSUMED,
    "AWS does not tell what CPU a memory size has: all sizes are taken to have one vCPU's speed, "
    "and a larger one to be no faster.",
    "The time of inference is billed, in whole milliseconds; a start is taken not to be.",
)


class Serverless(Option):
    """Serverless endpoint, a copy for each request at a time, none when nothing comes."""

    name: ClassVar[str] = "serverless"
    sagemaker: ClassVar[bool] = True
    regional: ClassVar[bool] = True

    def places(self, case: Case) -> Iterable[Place]:
        """The memory sizes from 1 to 6 GB."""
        for memory in limit("serverless", "memory_mb").value:
            yield Place(memory_mb=int(memory))

    def reasons(self, case: Case, place: Place) -> list[str]:
        """Memory, payload, time-out, disk, endpoints."""
        return serverless_reasons(case, place)

    def floor(self, case: Case, place: Place) -> Decimal:
        """The seconds of inference without the data."""
        seconds = duration(case.traffic.requests, service_of_function(case, UNTOLD.mid))
        return self.bill({"duration": seconds}, place, case.catalog, case.region).usd

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Seconds of inference."""
        model, one = one_model(case), service_of_function(case, speed)
        starting, met = start_seconds(case, speed), cold(model, one.mean_s)
        p99_s = one.quantile_s(0.99) + (starting if met.share > 0.01 else 0.0)
        check(case, p99_s, met.share, starting, float(limit("serverless", "timeout_s").value))
        copies = busy_copies(model.peak_rps, one.busy_s)
        check_concurrency(copies)
        return Capacity(
            units={
                "duration": duration(case.traffic.requests, one),
                "requests": requests(case.traffic.requests),
                **data_units(case),
            },
            instances=copies * case.portfolio,
            p50_ms=one.quantile_s(0.5) * 1000,
            p99_ms=p99_s * 1000,
            cold_share=met.share,
            assumptions=(*ASSUMPTIONS, *quota(case, copies)),
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Seconds at the price of the memory size; requests, which cost nothing; data."""
        prices = {"duration": f"duration-{place.memory_mb}", "requests": "requests"}
        lines = [
            Line(item=name, quantity=units[name], price=catalog.item("aws", SERVICE, item, region))
            for name, item in prices.items()
            if name in units
        ]
        return Bill(lines=(*lines, *sagemaker_lines(dict(units), catalog, region)))


def serverless_reasons(case: Case, place: Place) -> list[str]:
    """Why a serverless endpoint cannot hold or answer the model."""
    return [
        *memory_reasons(case, place),
        *payload_reasons(case, "serverless"),
        *timeout_reasons(service_of_function(case, 1.0).p99_s, "serverless"),
        *_disk_reasons(case),
        *endpoint_reasons(case),
    ]


def duration(count: float, one: Service) -> Quantity:
    """Billed seconds: each request in whole milliseconds."""
    return Quantity(amount=decimal(count) * billed_s(one), unit=Unit.SECOND)


def quota(case: Case, copies: int) -> Iterator[str]:
    """A sentence where the account's quota of the region must be raised."""
    most = limit("serverless", "account_concurrency_per_region")
    allowed = most.value.get(case.region, most.value["other"])
    if copies * case.portfolio > allowed:
        yield f"{copies * case.portfolio} at once need a raised quota: an account has {most.text}."


def _disk_reasons(case: Case) -> list[str]:
    most = limit("serverless", "ephemeral_disk_gb")
    size = case.profile.model_bytes or 0
    if size <= float(most.value) * 10**9:
        return []
    return [f"A model of {size / 1e9:.1f} GB is over the disk's {most.text}."]
