"""Batch transform: a job every night for all that may wait, and no endpoint."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.catalog.autoscaling import START_REAL_TIME
from workbench.cost.catalog.limits import limit
from workbench.cost.money import Bill, Quantity, decimal, hours
from workbench.cost.options import Capacity, NotPossibleError, Option, Place
from workbench.cost.options._hosting import hosting_bill
from workbench.cost.options._instances import instance_types, memory_reasons
from workbench.cost.options._limits import timeout_reasons
from workbench.cost.options._service import lanes, service
from workbench.cost.options.real_time import payload_reasons
from workbench.cost.traffic import Traffic
from workbench.cost.transfer import physical_cores

DAY_H = 24
NIGHT_H = 8.0
"""How long a night's job may take; a longer one gets more instances."""
START_S = START_REAL_TIME.range.mid
SUMMED = 1 - 1e-9
"""A floor is below the sum over all nights, whatever that is rounded to."""
WORK, START = "instances", "start-up"
ASSUMED = (
    f"One job a night, of at most {NIGHT_H:.0f} hours; a start of {START_S / 60:.0f} minutes is "
    f"taken to be billed ({START_REAL_TIME.range.low / 60:.0f} to "
    f"{START_REAL_TIME.range.high / 60:.0f} minutes were seen of endpoints).",
    "All cores of an instance work; reading and writing take no time beside that.",
    "The answers lie in S3; neither S3 nor a table to look them up (DynamoDB) is priced, as the "
    "catalog has no price of them.",
    "The latencies are the wait for the night; a look-up in the table is not part of it.",
)


class BatchTransform(Option):
    """Batch transform, a job every night; the answers are stored and looked up."""

    name: ClassVar[str] = "batch-transform"
    savings_plan: ClassVar[bool] = True
    job: ClassVar[bool] = True

    def places(self, case: Case) -> Iterable[Place]:
        """All types that take batch transform in the region."""
        return instance_types(case, "batch-transform")

    def reasons(self, case: Case, place: Place) -> list[str]:
        """All traffic must be able to wait; memory, payload, time-out."""
        share = case.traffic.batchable
        waits = [
            f"Only {share:.0%} of the requests may wait for a nightly run ('batchable'); batch "
            "transform answers none of the others."
        ]
        return [
            *(waits if share < 1 else []),
            *memory_reasons(case, place),
            *payload_reasons(case, "batch_transform"),
            *timeout_reasons(service(case, 1.0).p99_s, "batch_transform"),
        ]

    def floor(self, case: Case, place: Place) -> Decimal:
        """The start of one instance each night, without the work."""
        assert place.instance_type is not None
        price = case.catalog.hourly(place.instance_type, case.region, "batch-transform")
        per_day = _per_day(case.arriving, case.hours)
        nights = sum(_likely(requests) for requests in per_day)
        return price.usd * decimal(nights * START_S * SUMMED / 3600) * case.portfolio

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Instance-hours of a night's work and of the start, for all nights."""
        assert place.instance_type is not None
        kind = case.catalog.instance(place.instance_type)
        each = lanes(case, place) if case.profile.gpu else physical_cores(kind)
        per_day = _per_day(case.arriving, case.hours)
        seconds = _seconds(case, speed) / each
        most = int(limit("batch_transform", "instance_count_quota").value)
        room = NIGHT_H * 3600 - START_S
        count, work, start, longest = 1, 0.0, 0.0, 0.0
        for requests in per_day:
            needed = max(1, math.ceil(requests * seconds / room))
            count = max(count, needed)
            work += requests * seconds
            start += needed * START_S * _likely(requests) * case.portfolio
            longest = max(longest, START_S + requests * seconds / needed)
        if count > most:
            raise NotPossibleError(
                f"{count} instances are needed to end within {NIGHT_H:.0f} hours; the quota is "
                f"{most}."
            )
        return Capacity(
            units={WORK: hours(work / 3600), START: hours(start / 3600)},
            instances=count,
            p50_ms=(DAY_H / 2 * 3600 + longest) * 1000,
            p99_ms=(0.99 * DAY_H * 3600 + longest) * 1000,
            assumptions=ASSUMED,
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Instance-hours of work and of start-up."""
        return hosting_bill(units, (WORK, START), place, catalog, region, "batch-transform")


def _likely(requests: float) -> float:
    """That there is anything to do in a night."""
    return 1 - math.exp(-requests)


def _seconds(case: Case, speed: float) -> float:
    """Seconds of one core (or GPU) for an inference, at the batch and threads that do the most."""
    points = case.profile.points(case.sequence)
    cores = (1 if case.profile.gpu else point.threads for point in points)
    least = min(p.mean_ms * n / p.batch for p, n in zip(points, cores, strict=True))
    return least / 1000 / speed


@lru_cache(maxsize=256)
def _per_day(traffic: Traffic, length: int) -> tuple[float, ...]:
    """Requests of each day of the month; the last one may be short."""
    arrivals = traffic.per_minute(length)
    day = DAY_H * 60
    return tuple(float(arrivals[at : at + day].sum()) for at in range(0, len(arrivals), day))
