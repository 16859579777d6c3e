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
    Fleet,
    least_instances,
    objective_s,
)
from workbench.cost.options._service import alone_keeps, service


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


def lanes(case: Case, place: Place) -> int:
    """Inferences at a time: one for so many cores as it took, a core being two vCPUs."""
    return max(1, int(_cores(place)) // case.alone.threads)


def core_share(case: Case, place: Place) -> float:
    """The part that a place has of the cores of one inference, where it has fewer."""
    return min(1.0, _cores(place) / case.alone.threads)


def _cores(place: Place) -> float:
    """Physical cores; a single vCPU has one to itself."""
    assert place.vcpus is not None
    vcpus = float(place.vcpus)
    return min(1.0, vcpus) if vcpus < 2 else vcpus // 2


def tasks(case: Case, place: Place, speed: float, rate_per_s: float) -> Fleet:
    """The fewest containers that keep the objective at a rate.

    Raises:
        NotPossibleError: the service itself takes longer than the objective.
    """
    each, one = lanes(case, place), service(case, speed * core_share(case, place))
    objective = objective_s(case)
    alone_keeps(one, objective)
    needed = one.lanes(rate_per_s, objective)
    if needed is None:
        raise NotPossibleError(
            f"{rate_per_s:,.0f} requests a second of {one.mean_s * 1000:.0f} ms need more "
            "containers than are looked for (10,000 cores)."
        )
    count = max(least_instances(case), math.ceil(needed / each))
    found = one.served(rate_per_s, count * each, objective)
    return Fleet(count, 1000 * found.p50_s, 1000 * found.p99_s, found.batch)


def vcpu_hours(place: Place, task_hours: float | int | Decimal) -> Quantity:
    """All vCPUs of a container are billed, busy or not."""
    assert place.vcpus is not None
    return Quantity(amount=place.vcpus * decimal(task_hours), unit=Unit.VCPU_HOUR)


def memory_hours(place: Place, task_hours: float | int | Decimal) -> Quantity:
    """The memory of a container over time; 1 GB is 1024 MB."""
    assert place.memory_mb is not None
    amount = decimal(place.memory_mb) / 1024 * decimal(task_hours)
    return Quantity(amount=amount, unit=Unit.GB_HOUR)
