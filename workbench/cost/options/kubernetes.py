"""A Kubernetes cluster of one's own on EC2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.money import Bill, Line, Price, Quantity, hours
from workbench.cost.options import Capacity, Option, Place
from workbench.cost.options._burst import check_burst
from workbench.cost.options._instances import fleet, instance_types, least_usd, memory_reasons

CONTROL_PLANES = {
    "eks control plane": ("aws", "eks", "control-plane"),
    "gke control plane": ("gcp", "gke", "control-plane"),
    "aks uptime": ("azure", "aks", "uptime-sla"),
}
"""What a cluster costs beside its nodes, by the unit that is billed."""


class Kubernetes(Option):
    """Kubernetes (Amazon EKS) on EC2 instances on demand."""

    name: ClassVar[str] = "kubernetes"

    def places(self, case: Case) -> Iterable[Place]:
        """All types of EC2 with a price in the region."""
        return instance_types(case, "ec2")

    def reasons(self, case: Case, place: Place) -> list[str]:
        """Memory, of all models of the portfolio."""
        return memory_reasons(case, place, case.portfolio)

    def floor(self, case: Case, place: Place) -> Decimal:
        """The fewest nodes that the availability allows, and the control plane."""
        return least_usd(case, place, "ec2") + case.hours * _plane(case).usd

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Nodes of the peak and the control plane, all month."""
        found = fleet(case, place, speed, case.peak_rps)
        check_burst(case, place, speed, found.instances)
        return Capacity(
            units={
                "eks control plane": hours(case.hours),
                "nodes": hours(found.instances * case.hours),
            },
            instances=found.instances,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            batch=found.batch,
            assumptions=(
                "The cluster serves this model only, and what Kubernetes itself uses of a node is "
                "not subtracted; load balancer, volumes and data transfer are not priced.",
            ),
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Control plane and node-hours."""
        return Bill(lines=tuple(_line(n, q, place, catalog, region) for n, q in units.items()))


def _plane(case: Case) -> Price:
    return case.catalog.item(*CONTROL_PLANES["eks control plane"], case.region)


def _line(name: str, quantity: Quantity, place: Place, catalog: Catalog, region: str) -> Line:
    if name in CONTROL_PLANES:
        price = catalog.item(*CONTROL_PLANES[name], region)
    else:
        assert place.instance_type is not None
        price = catalog.hourly(place.instance_type, region, "ec2")
    return Line(item=name, quantity=quantity, price=price)
