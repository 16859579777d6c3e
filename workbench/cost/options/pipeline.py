"""Inference pipeline: containers in series on the same instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.catalog.limits import limit
from workbench.cost.money import Bill, Quantity
from workbench.cost.options import Capacity, Option, Place
from workbench.cost.options._hosting import container_reasons, real_time_reasons
from workbench.cost.options.real_time import RealTime


class Pipeline(Option):
    """Inference pipeline, the containers of one request in series."""

    name: ClassVar[str] = "pipeline"
    savings_plan: ClassVar[bool] = True
    sagemaker: ClassVar[bool] = True

    stages: int = 1
    """Containers that a request passes; 1: pre-processing is in the model's own container."""

    def places(self, case: Case) -> Iterable[Place]:
        """All types that are hosted in the region."""
        return RealTime().places(case)

    def reasons(self, case: Case, place: Place) -> list[str]:
        """One container is no pipeline; memory for a server in each."""
        allowed = limit("inference_pipeline", "containers")
        if not 2 <= self.stages <= int(allowed.value):
            return [
                f"A request passes {self.stages} container(s), pre-processing included; a "
                f"pipeline takes {allowed.text} and would save nothing: all of them are paid as "
                "the same instances."
            ]
        return real_time_reasons(case, place) + container_reasons(case, place, self.stages)

    def floor(self, case: Case, place: Place) -> Decimal:
        """As a real-time endpoint."""
        return RealTime().floor(case, place)

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Instances of the peak; the measured time is taken for that of all stages together."""
        found = RealTime().capacity(case, place, speed)
        said = "The measured time is that of all containers together; their hand-over is not in it."
        return found.model_copy(update={"assumptions": (*found.assumptions, said)})

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """As a real-time endpoint: nothing is charged for containers."""
        return RealTime().bill(units, place, catalog, region)
