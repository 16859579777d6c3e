"""Multi-model endpoint: many models of one container share instances, loaded when asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.money import Bill, Quantity, hours
from workbench.cost.options import Capacity, NotPossibleError, Option, Place
from workbench.cost.options._hosting import check_credits, hosting_bill, real_time_reasons
from workbench.cost.options._instances import (
    SERVER_BYTES,
    USABLE,
    data_units,
    fleet,
    instance_types,
    least_usd,
    storage_units,
)
from workbench.cost.options._service import service_on

FOR_MEMORY = "instances for memory"
"""Beyond what the rate needs, so that the models that are asked for stay loaded."""


class MultiModel(Option):
    """Multi-model endpoint, with memory for all but the requests that may meet a cold load."""

    name: ClassVar[str] = "multi-model"
    savings_plan: ClassVar[bool] = True
    sagemaker: ClassVar[bool] = True

    def places(self, case: Case) -> Iterable[Place]:
        """All types that take multi-model endpoints in the region."""
        return instance_types(case, "multi-model")

    def reasons(self, case: Case, place: Place) -> list[str]:
        """One model shares nothing; memory, payload, time-out."""
        if case.portfolio < 2:
            return ["The portfolio has one model; a multi-model endpoint shares instances of many."]
        unknown = [] if case.profile.memory_bytes else [
            "The model's memory was not measured, so it is not known how many an instance holds."
        ]  # fmt: skip
        return [*unknown, *real_time_reasons(case, place)]

    def floor(self, case: Case, place: Place) -> Decimal:
        """The fewest instances that the availability allows."""
        return least_usd(case, place, "hosting")

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Instances that the rate needs and those that the memory needs, all month."""
        held = slots(case, place)
        one = service_on(case, place, speed)
        load_s = (case.profile.load_s or 0.0) / speed
        allowed = case.traffic.cold_start_share
        rate = case.peak_rps
        needed = fleet(case, place, speed, rate)
        memory = math.ceil(case.portfolio * (1 - allowed) / held - 1e-9)
        count = max(needed.instances, memory)
        cold = max(0.0, 1 - count * held / case.portfolio)
        # Loading is work too: it is put into the rate as so many more inferences.
        busy = fleet(case, place, speed, rate * (1 + cold * load_s / one.busy_s))
        count = max(count, busy.instances)
        p99_ms = busy.p99_ms + (load_s * 1000 if cold > 0.01 else 0.0)
        _check(case, p99_ms, cold, load_s)
        used = min(needed.instances, count) * case.hours
        total = count * case.hours
        check_credits(case, place, speed, total)
        return Capacity(
            units={
                "instances": hours(used),
                FOR_MEMORY: hours(total - used),
                **storage_units(case, place, total),
                **data_units(case),
            },
            instances=count,
            p50_ms=busy.p50_ms,
            p99_ms=p99_ms,
            batch=busy.batch,
            cold_share=cold,
            assumptions=tuple(_assumptions(case, held, cold)),
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Instance-hours for the rate and for memory, storage, data."""
        return hosting_bill(units, ("instances", FOR_MEMORY), place, catalog, region, "multi-model")


def slots(case: Case, place: Place) -> int:
    """Models that one instance holds in its memory."""
    assert place.instance_type is not None
    assert case.profile.memory_bytes is not None
    usable = float(case.catalog.instance(place.instance_type).memory_gib) * 2**30 * USABLE
    return max(1, int((usable - SERVER_BYTES) // case.profile.memory_bytes))


def _check(case: Case, p99_ms: float, cold: float, load_s: float) -> None:
    objective = case.traffic.p99_ms
    if objective is not None and p99_ms > objective:
        raise NotPossibleError(
            f"{cold:.1%} of the requests meet a model that is not loaded, which takes "
            f"{load_s:.1f} s: the p99 is {p99_ms:.0f} ms, the objective {objective:.0f} ms."
        )


def _assumptions(case: Case, held: int, cold: float) -> Iterator[str]:
    yield (
        f"The {case.portfolio} models are asked for alike, the worst case of a cache; an instance "
        f"holds {held} of them, and {cold:.1%} of the requests meet one that must be loaded."
    )
    yield (
        "A model takes the memory of a whole process that runs it, which is more than it needs "
        "beside others; requests go to an instance that has the model."
    )
    yield "The first load of each model after a deployment is not counted."
