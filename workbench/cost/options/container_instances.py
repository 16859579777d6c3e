"""Containers on Azure Container Instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.money import Bill, Quantity, gb_seconds
from workbench.cost.options import Capacity, Option, Place
from workbench.cost.options._instances import least_instances
from workbench.cost.options._priced import bill_by_name, price_reasons
from workbench.cost.options._tasks import memory_reasons, sizes, tasks
from workbench.cost.options.cloud_run import vcpu_seconds

SIZES_MB = {"1": (1024, 2048, 4096), "2": (2048, 4096, 8192), "4": (4096, 8192, 16384)}
ITEMS = ("vcpu", "memory")


class ContainerInstances(Option):
    """Containers on Azure Container Instances, as many as the busiest minute needs."""

    name: ClassVar[str] = "container-instances"
    provider: ClassVar[str] = "azure"
    regional: ClassVar[bool] = True

    def places(self, case: Case) -> Iterable[Place]:
        """Sizes of a container."""
        return sizes(SIZES_MB)

    def reasons(self, case: Case, place: Place) -> list[str]:
        """A price; memory, of all models of the portfolio."""
        missing = price_reasons(case, "azure", "container-instances", ITEMS)
        return missing or memory_reasons(case, place, case.portfolio)

    def floor(self, case: Case, place: Place) -> Decimal:
        """The fewest containers that the availability allows."""
        units = _units(case, place, least_instances(case))
        return self.bill(units, place, case.catalog, case.region).usd

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Containers of the peak, all month."""
        found = tasks(case, place, speed, case.peak_rps)
        return Capacity(
            units=_units(case, place, found.instances),
            instances=found.instances,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            batch=found.batch,
            assumptions=("Load balancing between the containers is not priced.",),
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """vCPU-seconds and GB-seconds."""
        return bill_by_name(units, catalog, "azure", "container-instances", region)


def _units(case: Case, place: Place, containers: int) -> dict[str, Quantity]:
    seconds = containers * case.hours * 3600
    return {
        "vcpu": vcpu_seconds(place, seconds),
        "memory": gb_seconds(place.memory_mb or 0, seconds),
    }
