"""What containers by vCPU and memory share: sizes, how many of them, and whether a model fits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from workbench.cost.case import Case
from workbench.cost.money import Quantity, Unit, decimal
from workbench.cost.options import NotPossibleError, Place
from workbench.cost.options._instances import (
    SERVER_BYTES,
    USABLE,
    UTILISATION,
    Fleet,
    least_instances,
    service,
)
from workbench.cost.queueing import Queue, servers_for


def sizes(table: Mapping[str, Sequence[int]]) -> Iterator[Place]:
    """A place for each memory size in MB that a number of vCPUs may have."""
    for vcpus, memories in table.items():
        for memory in memories:
            yield Place(vcpus=Decimal(vcpus), memory_mb=memory)


def memory_reasons(case: Case, place: Place, models: int = 1) -> list[str]:
    """Why the models do not fit into the container, if they do not."""
    assert place.memory_mb is not None
    need = SERVER_BYTES + models * (case.profile.memory_bytes or 0)
    have = place.memory_mb * 2**20 * USABLE
    if need <= have:
        return []
    return [
        f"{need / 1e9:.1f} GB of memory are needed, {have / 1e9:.1f} GB of {place.memory_mb} MB "
        "are usable."
    ]


def lanes(place: Place) -> int:
    """Inferences at a time: one a physical core, which is two vCPUs."""
    assert place.vcpus is not None
    return max(1, int(place.vcpus) // 2)


def core_share(place: Place) -> float:
    """The part of a core's time that a place of less than one vCPU gets."""
    assert place.vcpus is not None
    return min(1.0, float(place.vcpus))


def tasks(case: Case, place: Place, speed: float, rate_per_s: float) -> Fleet:
    """The fewest containers that keep the objective at a rate.

    Raises:
        NotPossibleError: the service itself takes longer than the objective.
    """
    each, one = lanes(place), service(case, speed * core_share(place))
    objective = case.traffic.p99_ms / 1000 if case.traffic.p99_ms else math.inf
    servers = servers_for(
        rate_per_s, one.mean_s, one.scv, objective, service_quantile_s=one.p99_s,
        ceiling=UTILISATION,
    )  # fmt: skip
    if servers is None and one.p99_s > objective:
        raise NotPossibleError(
            f"One inference takes {one.p99_s * 1000:.0f} ms (p99), the objective is "
            f"{objective * 1000:.0f} ms."
        )
    if servers is None:
        raise NotPossibleError(
            f"{rate_per_s:,.0f} requests a second of {one.mean_s * 1000:.0f} ms need more "
            "containers than are looked for (10,000 cores)."
        )
    count = max(least_instances(case), math.ceil(servers / each))
    queue = Queue(rate_per_s, one.mean_s, count * each, one.scv)
    return Fleet(
        count,
        1000 * queue.response_quantile_s(0.5, one.p50_s),
        1000 * queue.response_quantile_s(0.99, one.p99_s),
    )


def vcpu_hours(place: Place, task_hours: float | int | Decimal) -> Quantity:
    """All vCPUs of a container are billed, busy or not."""
    assert place.vcpus is not None
    return Quantity(amount=place.vcpus * decimal(task_hours), unit=Unit.VCPU_HOUR)


def memory_hours(place: Place, task_hours: float | int | Decimal) -> Quantity:
    """The memory of a container over time; 1 GB is 1024 MB."""
    assert place.memory_mb is not None
    amount = decimal(place.memory_mb) / 1024 * decimal(task_hours)
    return Quantity(amount=amount, unit=Unit.GB_HOUR)
