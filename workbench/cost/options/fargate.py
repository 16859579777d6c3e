"""Containers on AWS Fargate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.money import Bill, Quantity
from workbench.cost.options import Capacity, Option, Place
from workbench.cost.options._instances import least_instances
from workbench.cost.options._priced import bill_by_name
from workbench.cost.options._tasks import memory_hours, memory_reasons, sizes, tasks, vcpu_hours

SIZES_MB = {
    "0.25": (512, 1024, 2048),
    "0.5": (1024, 2048, 4096),
    "1": (2048, 4096, 8192),
    "2": (4096, 8192, 16384),
    "4": (8192, 16384, 30720),
    "8": (16384, 32768, 61440),
    "16": (32768, 65536, 122880),
}
"""Memory by vCPUs that a task may have (Amazon ECS, task definition); not every step is here."""


class Fargate(Option):
    """Containers on AWS Fargate, as many as the busiest minute needs."""

    name: ClassVar[str] = "fargate"

    def places(self, case: Case) -> Iterable[Place]:
        """Sizes of a task."""
        return sizes(SIZES_MB)

    def reasons(self, case: Case, place: Place) -> list[str]:
        """Memory, of all models of the portfolio."""
        return memory_reasons(case, place, case.portfolio)

    def floor(self, case: Case, place: Place) -> Decimal:
        """The fewest tasks that the availability allows."""
        units = _units(place, least_instances(case) * case.hours)
        return self.bill(units, place, case.catalog, case.region).usd

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Tasks of the peak, all month."""
        found = tasks(case, place, speed, case.peak_rps)
        return Capacity(
            units=_units(place, found.instances * case.hours),
            instances=found.instances,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            batch=found.batch,
            assumptions=("Load balancer, image storage and data transfer are not priced.",),
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """vCPU-hours and GB-hours."""
        return bill_by_name(units, catalog, "aws", "fargate", region)


def _units(place: Place, task_hours: int) -> dict[str, Quantity]:
    return {"vcpu": vcpu_hours(place, task_hours), "memory": memory_hours(place, task_hours)}
