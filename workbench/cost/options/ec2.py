"""Instances of EC2 that one runs oneself: on demand, and spot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.money import Bill, Line, Quantity, hours
from workbench.cost.options import Capacity, Option, Place
from workbench.cost.options._burst import check_burst
from workbench.cost.options._instances import fleet, instance_types, least_usd, memory_reasons

NOT_PRICED = "Load balancer, volumes, data transfer and the work of running it are not priced."
INTERRUPTED = (
    "AWS may take a spot instance back at two minutes' notice; the price is that of one day and "
    "moves all the time."
)


class Ec2(Option):
    """Instances of EC2 on demand, as many as the busiest minute needs."""

    name: ClassVar[str] = "ec2"
    mode: ClassVar[str] = "ec2"

    def places(self, case: Case) -> Iterable[Place]:
        """All types with a price in the region."""
        return instance_types(case, self.mode)

    def reasons(self, case: Case, place: Place) -> list[str]:
        """Memory, of all models of the portfolio."""
        return memory_reasons(case, place, case.portfolio)

    def floor(self, case: Case, place: Place) -> Decimal:
        """The fewest instances that the availability allows."""
        return least_usd(case, place, self.mode)

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Instances of the peak, all month."""
        found = fleet(case, place, speed, case.peak_rps)
        check_burst(case, place, speed, found.instances)
        return Capacity(
            units={"instances": hours(found.instances * case.hours)},
            instances=found.instances,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            batch=found.batch,
            assumptions=(NOT_PRICED,),
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Instance-hours."""
        assert place.instance_type is not None
        price = catalog.hourly(place.instance_type, region, self.mode)
        return Bill(lines=(Line(item="instances", quantity=units["instances"], price=price),))


class Ec2Spot(Ec2):
    """Spot instances of EC2, which can be interrupted."""

    name: ClassVar[str] = "ec2-spot"
    mode: ClassVar[str] = "ec2-spot"

    def reasons(self, case: Case, place: Place) -> list[str]:
        """Memory; and an interruption is no redundancy."""
        found = super().reasons(case, place)
        if case.traffic.availability == "redundant":
            found.append(
                "A spot instance may be taken back at two minutes' notice, all of them at once: "
                "that does not keep availability 'redundant'."
            )
        return found

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """As on demand, with the interruption beside it."""
        found = super().capacity(case, place, speed)
        return found.model_copy(update={"assumptions": (*found.assumptions, INTERRUPTED)})
