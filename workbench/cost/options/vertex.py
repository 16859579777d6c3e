"""Online prediction of Google's Vertex AI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.money import Bill, Line, Quantity, hours
from workbench.cost.options import Capacity, Option, Place
from workbench.cost.options._instances import least_instances
from workbench.cost.options._levels import one_model
from workbench.cost.options._priced import price_reasons
from workbench.cost.options._regions import google
from workbench.cost.options._tasks import memory_reasons, tasks

MEMORY_MB_A_VCPU = 3840
"""The machines are n1-standard: 3.75 GB of memory for each vCPU."""
VCPUS = (2, 4, 8, 16)
PAYLOAD_BYTES = 1_500_000


class VertexAi(Option):
    """Vertex AI online prediction, as many nodes as the busiest minute needs."""

    name: ClassVar[str] = "vertex-ai"
    provider: ClassVar[str] = "gcp"
    regional: ClassVar[bool] = True

    def places(self, case: Case) -> Iterable[Place]:
        """The n1-standard machines."""
        for vcpus in VCPUS:
            yield Place(vcpus=Decimal(vcpus), memory_mb=vcpus * MEMORY_MB_A_VCPU)

    def reasons(self, case: Case, place: Place) -> list[str]:
        """A price; memory, payload."""
        if missing := _missing(case, place):
            return missing
        found = memory_reasons(case, place)
        size = max(case.traffic.payload_in_bytes, case.traffic.payload_out_bytes)
        if size > PAYLOAD_BYTES:
            found.append(f"A payload of {size / 1e6:.1f} MB is over Vertex AI's limit of 1.5 MB.")
        return found

    def floor(self, case: Case, place: Place) -> Decimal:
        """The fewest nodes that the availability allows, for each model's endpoint."""
        nodes = least_instances(case) * case.portfolio
        units = {"nodes": hours(nodes * case.hours)}
        return self.bill(units, place, case.catalog, case.region).usd

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Nodes of the peak, all month."""
        found = tasks(case, place, speed, one_model(case).peak_rps)
        nodes = found.instances * case.portfolio
        return Capacity(
            units={"nodes": hours(nodes * case.hours)},
            instances=nodes,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            batch=found.batch,
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Node-hours."""
        price = catalog.item("gcp", "vertex-ai", _item(place), google(region))
        return Bill(lines=(Line(item="nodes", quantity=units["nodes"], price=price),))


def _missing(case: Case, place: Place) -> list[str]:
    """Why there is no price of the machine; if of none, what is said of the smallest."""
    region = google(case.region)
    found = {v: price_reasons(case, "gcp", "vertex-ai", (_name(v),), region) for v in VCPUS}
    if all(found.values()):
        return found[VCPUS[0]]
    assert place.vcpus is not None
    return found[int(place.vcpus)]


def _name(vcpus: int) -> str:
    return f"prediction-n1-standard-{vcpus}"


def _item(place: Place) -> str:
    assert place.vcpus is not None
    return _name(int(place.vcpus))
