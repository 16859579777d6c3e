"""What options on instances share: which types, how many of them, and their lines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from workbench.cost.accelerators import unfit
from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.money import Line, Quantity, Unit, decimal, gigabytes
from workbench.cost.options import NotPossibleError, Place
from workbench.cost.options._service import MOST_LANES, alone_keeps, lanes, service_on

SERVER_BYTES = 100_000_000
"""onnx_server beside its model: 80 MB were measured (benchmarks/serving); rounded up."""
USABLE = 0.9
"""Share of an instance's memory that a container gets, as the server's own default limit."""
VOLUME_GB = 5
"""Volume of an instance without storage of its own: image, archive and unpacked model."""


def instance_types(case: Case, mode: str) -> Iterator[Place]:
    """The types of the region in a mode that the profile speaks for; of the case's families all,
    so that it is said why they are refused."""
    families = case.modifiers.families
    for kind in case.catalog.instances(case.region, mode):
        if kind.family in families if families else not unfit(case.profile, kind):
            yield Place(instance_type=kind.name)


def memory_reasons(case: Case, place: Place, models: int = 1) -> list[str]:
    """Why the models do not fit into the instance's memory, if they do not."""
    if case.profile.memory_bytes is None or place.instance_type is None:
        return []
    need = SERVER_BYTES + models * case.profile.memory_bytes
    have = float(case.catalog.instance(place.instance_type).memory_gib) * 2**30 * USABLE
    if need <= have:
        return []
    return [f"{need / 1e9:.1f} GB of memory are needed, {have / 1e9:.1f} GB are usable."]


def least_usd(case: Case, place: Place, mode: str) -> Decimal:
    """A month of the fewest instances that the availability allows, without anything else."""
    assert place.instance_type is not None
    price = case.catalog.hourly(place.instance_type, case.region, mode)
    return price.usd * case.hours * least_instances(case)


def least_instances(case: Case) -> int:
    """Two where the service must survive the loss of one."""
    return 2 if case.traffic.availability == "redundant" else 1


@dataclass(frozen=True)
class Fleet:
    """Instances that serve a rate, and how they answer."""

    instances: int
    p50_ms: float
    p99_ms: float
    batch: int


def fleet(case: Case, place: Place, speed: float, rate_per_s: float) -> Fleet:
    """The fewest instances that keep the objective at a rate.

    Raises:
        NotPossibleError: the service itself takes longer than the objective.
    """
    each, one = lanes(case, place), service_on(case, place, speed)
    objective = objective_s(case)
    alone_keeps(one, objective)
    needed = one.lanes(rate_per_s, objective)
    if needed is None:
        raise NotPossibleError(f"More than {MOST_LANES:,} lanes would be needed.")
    count = max(least_instances(case), math.ceil(needed / each))
    found = one.served(rate_per_s, count * each, objective)
    return Fleet(count, 1000 * found.p50_s, 1000 * found.p99_s, found.batch)


def objective_s(case: Case) -> float:
    """Seconds within which 99 % are to be answered; infinite where nothing is asked."""
    return case.traffic.p99_ms / 1000 if case.traffic.p99_ms else math.inf


def data_units(case: Case) -> dict[str, Quantity]:
    """GB in and out of the month."""
    traffic = case.traffic
    return {
        "data in": gigabytes(decimal(traffic.requests) * traffic.payload_in_bytes),
        "data out": gigabytes(decimal(traffic.requests) * traffic.payload_out_bytes),
    }


def storage_units(case: Case, place: Place, instance_hours: float) -> dict[str, Quantity]:
    """GB-months of the instances' volumes; types with local storage get none."""
    assert place.instance_type is not None
    if case.catalog.instance(place.instance_type).local_storage:
        return {}
    months = decimal(instance_hours) / case.hours
    return {"storage": Quantity(amount=months * VOLUME_GB, unit=Unit.GB_MONTH)}


ITEMS = {
    "data in": "data-processed-in",
    "data out": "data-processed-out",
    "storage": "hosting-storage",
}


def sagemaker_lines(units: dict[str, Quantity], catalog: Catalog, region: str) -> Iterator[Line]:
    """The lines of data and storage."""
    for name, item in ITEMS.items():
        if name in units and units[name].amount:
            price = catalog.item("aws", "sagemaker", item, region)
            yield Line(item=name, quantity=units[name], price=price)
