"""Real-time endpoint with a fixed number of instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.catalog.limits import limit
from workbench.cost.money import Bill, Line, Quantity, hours
from workbench.cost.options import Capacity, NotPossibleError, Option, Place
from workbench.cost.options._burst import check_burst
from workbench.cost.options._instances import (
    data_units,
    fleet,
    instance_types,
    least_usd,
    memory_reasons,
    sagemaker_lines,
    storage_units,
)
from workbench.cost.options._limits import timeout_reasons
from workbench.cost.options._service import service


class RealTime(Option):
    """Real-time endpoint, as many instances as the busiest minute needs."""

    name: ClassVar[str] = "real-time"
    savings_plan: ClassVar[bool] = True
    sagemaker: ClassVar[bool] = True

    def places(self, case: Case) -> Iterable[Place]:
        """All types that are hosted in the region."""
        return instance_types(case, "hosting")

    def reasons(self, case: Case, place: Place) -> list[str]:
        """Memory, payload."""
        return memory_reasons(case, place) + payload_reasons(case, "real_time")

    def floor(self, case: Case, place: Place) -> Decimal:
        """The fewest instances that the availability allows, for each model's endpoint."""
        return least_usd(case, place, "hosting") * case.portfolio

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Instances of the peak, all month; each model of a portfolio has its own endpoint."""
        if slow := timeout_reasons(service(case, speed).p99_s, "real_time"):
            raise NotPossibleError(slow[0])
        model = replace(case, portfolio=1) if case.portfolio > 1 else case
        found = fleet(model, place, speed, case.peak_rps / case.portfolio)
        instances = found.instances * case.portfolio
        check_burst(case, place, speed, instances)
        total = instances * case.hours
        return Capacity(
            units={
                "instances": hours(total),
                **storage_units(case, place, total),
                **data_units(case),
            },
            instances=instances,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            batch=found.batch,
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Instance-hours, storage, data."""
        assert place.instance_type is not None
        price = catalog.hourly(place.instance_type, region, "hosting")
        line = Line(item="instances", quantity=units["instances"], price=price)
        return Bill(lines=(line, *sagemaker_lines(dict(units), catalog, region)))


def payload_reasons(case: Case, mode: str) -> list[str]:
    """Why a request or an answer is too large for a mode, if it is."""
    most = limit(mode, "payload_bytes_max")
    size = max(case.traffic.payload_in_bytes, case.traffic.payload_out_bytes)
    if most.value is None or size <= float(most.value):
        return []
    return [f"A payload of {size / 1e6:.1f} MB is over the limit of {most.text}."]
