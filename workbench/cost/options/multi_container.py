"""Multi-container endpoint: up to 15 containers, each with its model, on the same instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.catalog.limits import limit
from workbench.cost.money import Bill, Quantity
from workbench.cost.options import Capacity, Option, Place
from workbench.cost.options._hosting import container_reasons, real_time_reasons
from workbench.cost.options.real_time import RealTime


class MultiContainer(Option):
    """Multi-container endpoint, all containers loaded on each of the instances."""

    name: ClassVar[str] = "multi-container"
    savings_plan: ClassVar[bool] = True
    sagemaker: ClassVar[bool] = True

    def places(self, case: Case) -> Iterable[Place]:
        """All types that are hosted in the region."""
        return RealTime().places(case)

    def reasons(self, case: Case, place: Place) -> list[str]:
        """One model shares nothing; at most 15 containers, which all must fit into the memory."""
        if case.portfolio < 2:
            return ["The portfolio has one model; a multi-container endpoint takes 2 to 15."]
        most = limit("multi_container_endpoint", "containers_max")
        if case.portfolio > int(most.value):
            return [f"The portfolio has {case.portfolio} models; an endpoint takes {most.text}."]
        return real_time_reasons(case, place) + container_reasons(case, place, case.portfolio)

    def floor(self, case: Case, place: Place) -> Decimal:
        """As one real-time endpoint."""
        return RealTime().floor(replace(case, portfolio=1), place)

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Instances of the peak of all models together, all month."""
        # Requests of different models do not run together.
        unbatched = case.modifiers.model_copy(update={"batching": False})
        together = replace(case, portfolio=1, modifiers=unbatched)
        found = RealTime().capacity(together, place, speed)
        said = f"Each instance has all {case.portfolio} containers loaded, each with its server."
        return found.model_copy(update={"assumptions": (*found.assumptions, said)})

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """As a real-time endpoint: nothing is charged for containers."""
        return RealTime().bill(units, place, catalog, region)
