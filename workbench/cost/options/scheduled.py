"""Real-time endpoint whose number of instances is set by a timetable of the week."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.catalog.autoscaling import START_REAL_TIME
from workbench.cost.money import Bill, Quantity, hours
from workbench.cost.options import Capacity, Option, Place
from workbench.cost.options._hosting import check_credits, hosting_bill, real_time_reasons
from workbench.cost.options._instances import data_units, instance_types, least_usd, storage_units
from workbench.cost.options._levels import Minutes, instances_over, minutes, one_model
from workbench.cost.traffic import Traffic

if TYPE_CHECKING:
    import numpy as np

WEEK = 168
AHEAD_H = 1 / 6
"""Instances are asked for ten minutes ahead, the slowest start that was seen."""
AHEAD = "started ahead"
ASSUMED = (
    f"Each hour of the week has the instances of its busiest minute of the month, asked for "
    f"{START_REAL_TIME.range.high / 60:.0f} minutes ahead; the traffic keeps to its week.",
    "A timetable does not go below 1 instance; deleting the endpoint by night is not priced.",
)


class Scheduled(Option):
    """Real-time endpoint with a timetable of the week for its instances."""

    name: ClassVar[str] = "scheduled"
    savings_plan: ClassVar[bool] = True
    sagemaker: ClassVar[bool] = True

    def places(self, case: Case) -> Iterable[Place]:
        """All types that are hosted in the region."""
        return instance_types(case, "hosting")

    def reasons(self, case: Case, place: Place) -> list[str]:
        """Memory, payload, time-out; bursts keep to no timetable."""
        bursts = case.traffic.shape.kind == "bursts"
        said = ["Bursts come at no fixed time of the week; a timetable does not know them."]
        return [*(said if bursts else []), *real_time_reasons(case, place)]

    def floor(self, case: Case, place: Place) -> Decimal:
        """The fewest instances that the availability allows."""
        return least_usd(case, place, "hosting")

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Instances by the hour of the week, and those that start before their hour."""
        model = one_model(case)
        present, with_start = _timetable(model.arriving, case.hours)
        planned = instances_over(model, place, speed, present)
        # An hour's last minutes have the next hour's instances where it has more.
        early = instances_over(model, place, speed, with_start)
        total = early.hours * case.portfolio
        check_credits(case, place, speed, total)
        used = min(planned.hours * case.portfolio, total)
        return Capacity(
            units={
                "instances": hours(used),
                AHEAD: hours(total - used),
                **storage_units(case, place, total),
                **data_units(case),
            },
            instances=planned.peak * case.portfolio,
            p50_ms=planned.p50_ms,
            p99_ms=planned.p99_ms,
            batch=planned.batch,
            assumptions=ASSUMED,
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Instance-hours, storage, data."""
        return hosting_bill(units, ("instances", AHEAD), place, catalog, region)


@lru_cache(maxsize=256)
def _timetable(traffic: Traffic, length: int) -> tuple[Minutes, Minutes]:
    """The rates that each minute is planned for, without and with the starts ahead."""
    import numpy as np

    busiest = traffic.per_minute(length).reshape(-1, 60).max(axis=1) / 60
    week = np.zeros(WEEK)
    for start in range(0, length, WEEK):
        part = busiest[start : start + WEEK]
        week[: len(part)] = np.maximum(week[: len(part)], part)
    planned: np.ndarray = np.repeat(week[np.arange(length) % WEEK], 60)
    ahead = round(AHEAD_H * 60)
    return minutes(planned), minutes(np.maximum(planned, np.roll(planned, -ahead)))
