"""Real-time endpoint whose instances follow the rate: target tracking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.catalog.autoscaling import METRIC_LAG, SCALE_OUT_ALARM, START_REAL_TIME
from workbench.cost.money import Bill, Quantity, hours
from workbench.cost.options import Capacity, Option, Place
from workbench.cost.options._hosting import check_credits, hosting_bill, real_time_reasons
from workbench.cost.options._instances import (
    data_units,
    instance_types,
    least_instances,
    least_usd,
    storage_units,
)
from workbench.cost.options._levels import instances_over, one_model
from workbench.cost.options._scaling import HELD_S, LATE_S, TOLERATED, followed

WASTE = "scale-out waste"
"""Instances that start, that stand ready for a rise, or that wait for their end."""


class TargetTracking(Option):
    """Real-time endpoint whose instances follow the rate."""

    name: ClassVar[str] = "target-tracking"
    savings_plan: ClassVar[bool] = True
    sagemaker: ClassVar[bool] = True
    unmoved: ClassVar[bool] = False

    def places(self, case: Case) -> Iterable[Place]:
        """All types that are hosted in the region."""
        return instance_types(case, "hosting")

    def reasons(self, case: Case, place: Place) -> list[str]:
        """Memory, payload, time-out."""
        return real_time_reasons(case, place)

    def floor(self, case: Case, place: Place) -> Decimal:
        """The fewest instances that the availability allows."""
        return least_usd(case, place, "hosting")

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Instances that the rate needs, and those beyond that scaling late and slowly keeps."""
        model = one_model(case)
        track = followed(model.arriving, case.hours)
        needed = instances_over(model, place, speed, track.needed)
        provided = instances_over(model, place, speed, track.provided)
        total = provided.hours * case.portfolio
        check_credits(case, place, speed, total)
        used = min(needed.hours * case.portfolio, total)
        return Capacity(
            units={
                "instances": hours(used),
                WASTE: hours(total - used),
                **storage_units(case, place, total),
                **data_units(case),
            },
            instances=provided.peak * case.portfolio,
            p50_ms=provided.p50_ms,
            p99_ms=provided.p99_ms,
            batch=provided.batch,
            assumptions=tuple(_assumptions(model, track.headroom)),
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Instance-hours of use and of waste, storage, data."""
        return hosting_bill(units, ("instances", WASTE), place, catalog, region)


def _assumptions(case: Case, headroom: float) -> Iterator[str]:
    low, high = (
        METRIC_LAG.range.low + SCALE_OUT_ALARM.seconds + START_REAL_TIME.range.low,
        METRIC_LAG.range.high + SCALE_OUT_ALARM.seconds + START_REAL_TIME.range.high,
    )
    yield (
        f"An instance serves {LATE_S / 60:.0f} minutes after the rate rose ({low / 60:.0f} to "
        f"{high / 60:.0f} were seen) and ends {HELD_S / 60:.0f} minutes after it fell; both are "
        "billed."
    )
    if headroom > 1.01:
        yield (
            f"The target is so low that the fleet bears {headroom:.2g} times the present rate: so "
            f"steeply the traffic rises meanwhile, for all but {TOLERATED:.1%} of the requests."
        )
    yield f"There is never less than {least_instances(case)} instance(s): MinCapacity."
