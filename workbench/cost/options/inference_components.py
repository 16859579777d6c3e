"""Real-time endpoint with inference components: models share instances, and may go to zero."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.catalog.autoscaling import (
    HIGH_RESOLUTION_IN_ALARM,
    HIGH_RESOLUTION_OUT_ALARM,
    IDLE_TO_ZERO,
    METRIC_PERIOD_HIGH_RESOLUTION,
    START_FROM_ZERO,
    START_REAL_TIME,
)
from workbench.cost.catalog.limits import limit
from workbench.cost.money import Bill, Quantity, decimal
from workbench.cost.options import Capacity, NotPossibleError, Option, Place, TooSlowError
from workbench.cost.options._hosting import check_credits, hosting_bill, real_time_reasons
from workbench.cost.options._instances import (
    SERVER_BYTES,
    USABLE,
    data_units,
    instance_types,
    least_instances,
    least_usd,
    storage_units,
)
from workbench.cost.options._levels import instances_over
from workbench.cost.options._scaling import followed
from workbench.cost.options._zero import NEVER, Zero, to_zero

WAKE_S = START_FROM_ZERO.range.mid
TAIL_S = HIGH_RESOLUTION_IN_ALARM.seconds
RELEASE_S = 300.0
"""From the last copy's end to its instance's: 0 and 10 minutes were both measured."""
LATE_S = (
    METRIC_PERIOD_HIGH_RESOLUTION.range.mid
    + HIGH_RESOLUTION_OUT_ALARM.seconds
    + START_REAL_TIME.range.mid
)


class InferenceComponents(Option):
    """Real-time endpoint of inference components that scales to zero."""

    name: ClassVar[str] = "inference-components"
    savings_plan: ClassVar[bool] = True
    sagemaker: ClassVar[bool] = True

    def places(self, case: Case) -> Iterable[Place]:
        """All types that are hosted in the region."""
        return instance_types(case, "hosting")

    def reasons(self, case: Case, place: Place) -> list[str]:
        """Memory, payload, time-out; and what fails at zero is not redundant."""
        found = real_time_reasons(case, place)
        if case.traffic.availability == "redundant":
            found.append(
                "At zero instances requests fail until one has started, "
                f"{START_FROM_ZERO.range.low / 60:.0f} to {START_FROM_ZERO.range.high / 60:.0f} "
                "minutes: that does not keep availability 'redundant'."
            )
        return found

    def floor(self, case: Case, place: Place) -> Decimal:
        """The fewest instances, while they are not at zero."""
        zero = to_zero(case.arriving, case.hours, WAKE_S, TAIL_S, RELEASE_S)
        month = least_usd(case, place, "hosting")
        return month * decimal(zero.on_hours) / case.hours

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Shared instances while anything is asked for, wake-ups, idle tails."""
        zero = to_zero(case.arriving, case.hours, WAKE_S, TAIL_S, RELEASE_S)
        _check(case, zero)
        packed = math.ceil(case.portfolio / _copies(case, place))
        track = followed(case.arriving, case.hours, LATE_S)
        try:
            found = instances_over(case, place, speed, track.provided, packed)
        except TooSlowError as error:
            # At another volume the pauses of the traffic may be the reason, which come first.
            raise NotPossibleError(str(error)) from error
        least = max(packed, least_instances(case))
        total = found.hours - least * case.hours + least * zero.on_hours
        check_credits(case, place, speed, total)
        return Capacity(
            units={
                **zero.parts(least, total),
                **storage_units(case, place, total),
                **data_units(case),
            },
            instances=found.peak,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            batch=found.batch,
            cold_share=zero.late_share,
            assumptions=tuple(_assumptions(zero)),
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Instance-hours of work, of wake-ups and of idle tails, storage, data."""
        names = ("instances", "wake-ups", "idle tail")
        return hosting_bill(units, names, place, catalog, region)


def _copies(case: Case, place: Place) -> int:
    """Components that one instance holds, by memory and by the least cores of each."""
    assert place.instance_type is not None
    kind = case.catalog.instance(place.instance_type)
    cores = int(kind.vcpus / float(limit("inference_components", "cpu_cores_min").value))
    if case.profile.memory_bytes is None:
        return cores
    usable = float(kind.memory_gib) * 2**30 * USABLE
    return max(1, min(cores, int(usable // (SERVER_BYTES + case.profile.memory_bytes))))


def _check(case: Case, zero: Zero) -> None:
    if case.portfolio == 1 and zero.late_share < NEVER:
        raise NotPossibleError(
            f"The traffic hardly ever pauses for {TAIL_S / 60:.0f} minutes, so one "
            "model is never at zero: it costs what target tracking costs."
        )
    allowed = case.traffic.cold_start_share
    if zero.late_share > allowed:
        raise NotPossibleError(
            f"{zero.late_share:.1%} of the requests come while no instance runs and fail (AWS "
            f"does not queue them); {allowed:.1%} may."
        )


def _assumptions(zero: Zero) -> Iterator[str]:
    low, high = IDLE_TO_ZERO.range.low / 60, IDLE_TO_ZERO.range.high / 60
    yield (
        f"{zero.wakes:.0f} wake-ups a month of {WAKE_S / 60:.0f} minutes, each with an idle tail "
        f"of {(TAIL_S + RELEASE_S) / 60:.0f} minutes ({low:.0f} to {high:.0f} were seen); both are "
        "billed."
    )
    yield "Requests that come at zero fail; the latency is that of the others."
    yield "Not all memory of an instance can be given to components; 90 % is taken."
