"""Asynchronous endpoint: a queue before instances that go to zero when it is empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.catalog.autoscaling import ASYNC_WAKE_BILLED, START_ASYNC
from workbench.cost.money import Bill, Quantity, decimal
from workbench.cost.options import Capacity, NotPossibleError, Option, Place
from workbench.cost.options._hosting import check_credits, hosting_bill
from workbench.cost.options._instances import (
    data_units,
    instance_types,
    least_instances,
    least_usd,
    memory_reasons,
    storage_units,
)
from workbench.cost.options._levels import instances_over, one_model
from workbench.cost.options._limits import timeout_reasons
from workbench.cost.options._scaling import backlog_waits_s, followed
from workbench.cost.options._service import lanes, service, service_on
from workbench.cost.options._zero import Zero, to_zero
from workbench.cost.options.real_time import payload_reasons

WAKE_S = START_ASYNC.range.mid
TAIL_S = ASYNC_WAKE_BILLED.range.mid - WAKE_S
"""Idle until zero: what a burst is billed beyond its own work, without the start."""


class Asynchronous(Option):
    """Asynchronous endpoint that scales to zero; requests wait in a queue until it wakes."""

    name: ClassVar[str] = "asynchronous"
    savings_plan: ClassVar[bool] = True
    sagemaker: ClassVar[bool] = True

    def places(self, case: Case) -> Iterable[Place]:
        """All types that take asynchronous endpoints in the region."""
        return instance_types(case, "async")

    def reasons(self, case: Case, place: Place) -> list[str]:
        """Memory, payload, time-out."""
        return [
            *memory_reasons(case, place),
            *payload_reasons(case, "asynchronous"),
            *timeout_reasons(service(case, 1.0).p99_s, "asynchronous", "invocation_timeout_s"),
        ]

    def floor(self, case: Case, place: Place) -> Decimal:
        """The fewest instances, while they are not at zero."""
        zero = to_zero(one_model(case).arriving, case.hours, WAKE_S, TAIL_S)
        month = least_usd(case, place, "async") * case.portfolio
        return month * decimal(zero.on_hours) / case.hours

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Instances while there is something to do, wake-ups, idle tails."""
        model = one_model(case)
        zero = to_zero(model.arriving, case.hours, WAKE_S, TAIL_S)
        track = followed(model.arriving, case.hours)
        waits = _waits_s(model, place, speed, zero)
        found = instances_over(model, place, speed, track.late)
        p50_s, p99_s = waits[0] + found.p50_ms / 1000, waits[1] + found.p99_ms / 1000
        objective = case.traffic.p99_ms
        if objective is not None and p99_s * 1000 > objective:
            # The queue may not grow while instances start: there must be more of them.
            found = instances_over(model, place, speed, track.provided)
            p50_s = zero.wait_s(0.5, WAKE_S) + found.p50_ms / 1000
            p99_s = zero.wait_s(0.99, START_ASYNC.range.high) + found.p99_ms / 1000
            _check(model, zero, p99_s)
        least = least_instances(case)
        # Above the least the fleet follows the rate; the least itself comes and goes with zero.
        each = found.hours - least * case.hours + least * zero.on_hours
        total = each * case.portfolio
        check_credits(case, place, speed, total)
        return Capacity(
            units={
                **zero.parts(least * case.portfolio, total),
                **storage_units(case, place, total),
                **data_units(case),
            },
            instances=found.peak * case.portfolio,
            p50_ms=p50_s * 1000,
            p99_ms=p99_s * 1000,
            batch=found.batch,
            cold_share=zero.late_share,
            assumptions=tuple(_assumptions(zero, case.portfolio)),
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Instance-hours of work, of wake-ups and of idle tails, storage, data."""
        names = ("instances", "wake-ups", "idle tail")
        return hosting_bill(units, names, place, catalog, region, "async")


def _waits_s(case: Case, place: Place, speed: float, zero: Zero) -> tuple[float, float]:
    """Median and 99th percentile of the wait for instances: at zero, and in rises of the rate."""
    lanes_on = lanes(case, place) * least_instances(case)
    mean_s = service_on(case, place, speed).busy_s
    drain_s = zero.woken_rps * WAKE_S * mean_s / lanes_on
    grown = backlog_waits_s(case.arriving, case.hours, lanes_on / mean_s)
    return (
        max(zero.wait_s(0.5, WAKE_S + drain_s), grown[0]),
        max(zero.wait_s(0.99, START_ASYNC.range.high + drain_s), grown[1]),
    )


def _check(case: Case, zero: Zero, p99_s: float) -> None:
    objective = case.traffic.p99_ms
    if objective is not None and p99_s * 1000 > objective:
        raise NotPossibleError(
            f"{zero.late_share:.1%} of the requests come while no instance runs and wait up to "
            f"{START_ASYNC.range.high / 60:.0f} minutes: the p99 is {p99_s:.3g} s, the objective "
            f"{objective / 1000:.3g} s."
        )


def _assumptions(zero: Zero, models: int) -> Iterator[str]:
    low, high = START_ASYNC.range.low / 60, START_ASYNC.range.high / 60
    yield (
        f"{zero.wakes * models:.0f} wake-ups a month of {WAKE_S / 60:.0f} minutes ({low:.0f} to "
        f"{high:.0f} were seen), each with an idle tail of {TAIL_S / 60:.0f} minutes; both are "
        "billed."
    )
    yield (
        f"{zero.late_share:.1%} of the requests wait in the queue for an instance; the p99 takes "
        f"a wake-up of {high:.0f} minutes."
    )
    yield "S3, where the answers (and requests above 128 kB) lie, and SNS are not priced."
