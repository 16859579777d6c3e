"""What options on instances share: which types, how many of them, and their lines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.money import Line, Quantity, Unit, decimal, gigabytes
from workbench.cost.options import NotPossibleError, Place
from workbench.cost.queueing import Queue, servers_for
from workbench.cost.transfer import lanes

SERVER_BYTES = 100_000_000
"""onnx_server beside its model: 80 MB were measured (benchmarks/serving); rounded up."""
USABLE = 0.9
"""Share of an instance's memory that a container gets, as the server's own default limit."""
UTILISATION = 0.7
"""Highest utilisation at the peak. AWS says to begin at half of what was measured and to test
upwards (endpoint-scaling-loadtest); the margin is for arrivals that are not Poisson."""
VOLUME_GB = 5
"""Volume of an instance without storage of its own: image, archive and unpacked model."""


@dataclass(frozen=True)
class Service:
    """How long one inference takes on a place: seconds, and its spread."""

    mean_s: float
    p50_s: float
    p99_s: float
    scv: float


def service(case: Case, speed: float) -> Service:
    """One request alone, one thread, where a core is ``speed`` times the measured one."""
    point = min(case.profile.points(case.sequence), key=lambda p: (p.batch, p.threads))
    mean = point.mean_ms / point.batch / 1000 / speed
    p50 = (point.p50_ms or point.mean_ms) / point.batch / 1000 / speed
    # Without a 99th percentile the service is taken for one that spreads by a tenth of its mean.
    p99 = (point.p99_ms or 1.25 * point.mean_ms) / point.batch / 1000 / speed
    sigma = max(0.0, math.log(p99 / p50)) / 2.326 if p99 > 0 and p50 > 0 else 0.0
    return Service(mean, p50, max(p99, p50), math.expm1(sigma**2))


def cpu_types(case: Case, mode: str) -> Iterator[Place]:
    """All types of the region in a mode that compute on the CPU."""
    for kind in case.catalog.instances(case.region, mode):
        if not kind.accelerators:
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


def fleet(case: Case, place: Place, speed: float, rate_per_s: float) -> Fleet:
    """The fewest instances that keep the objective at a rate.

    Raises:
        NotPossibleError: the service itself takes longer than the objective.
    """
    assert place.instance_type is not None
    each = lanes(case.catalog.instance(place.instance_type))
    one = service(case, speed)
    objective = case.traffic.p99_ms / 1000 if case.traffic.p99_ms else math.inf
    servers = servers_for(
        rate_per_s, one.mean_s, one.scv, objective, service_quantile_s=one.p99_s,
        ceiling=UTILISATION,
    )  # fmt: skip
    if servers is None and objective == math.inf:
        raise NotPossibleError("More than 10,000 lanes would be needed.")
    if servers is None:
        raise NotPossibleError(
            f"One inference takes {one.p99_s * 1000:.0f} ms (p99), the objective is "
            f"{objective * 1000:.0f} ms."
        )
    count = max(least_instances(case), math.ceil(servers / each))
    queue = Queue(rate_per_s, one.mean_s, count * each, one.scv)
    return Fleet(
        count,
        1000 * queue.response_quantile_s(0.5, one.p50_s),
        1000 * queue.response_quantile_s(0.99, one.p99_s),
    )


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
