"""Replicate, by the second of a GPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.money import Bill, Quantity, Unit, decimal
from workbench.cost.options import Capacity, Option, Place
from workbench.cost.options._functions import ASSUMED, busy_copies, check, cold, start_seconds
from workbench.cost.options._levels import one_model
from workbench.cost.options._priced import bill_by_name
from workbench.cost.options._service import service

HARDWARE = {"t4": 16, "l40s": 48, "a100-80gb": 80, "h100": 80}
"""GPUs that have a price, and their memory in GB."""
TIMEOUT_S = 1800


class Replicate(Option):
    """Replicate, by the second of a GPU of the kind that was measured."""

    name: ClassVar[str] = "replicate"
    provider: ClassVar[str] = "replicate"
    gpu: ClassVar[bool] = True

    def places(self, case: Case) -> Iterable[Place]:
        """One place: the GPU of the measurement."""
        yield Place(memory_mb=HARDWARE.get(_hardware(case) or "t4", 16) * 1024)

    def reasons(self, case: Case, place: Place) -> list[str]:
        """It was measured on a GPU that Replicate has."""
        if _hardware(case) is not None:
            return []
        measured = case.profile.gpu or f"a CPU, {case.profile.cpu}"
        return [
            f"Prices are known of Replicate's GPUs only ({', '.join(HARDWARE)}); the variant was "
            f"measured on {measured}."
        ]

    def capacity(self, case: Case, place: Place, speed: float) -> Capacity:
        """Seconds of all requests and of the starts, one request at a time."""
        hardware = _hardware(case)
        assert hardware is not None
        one, starting = service(case, speed), start_seconds(case, speed)
        model = one_model(case)
        met = cold(model, one.mean_s)
        p99_s = one.quantile_s(0.99) + (starting if met.share > 0.01 else 0.0)
        check(case, p99_s, met.share, starting, TIMEOUT_S)
        seconds = decimal(case.traffic.requests) * decimal(one.busy_s)
        seconds += decimal(met.billed * starting) * case.portfolio
        return Capacity(
            units={hardware: Quantity(amount=seconds, unit=Unit.SECOND)},
            instances=busy_copies(model.peak_rps, one.busy_s) * case.portfolio,
            p50_ms=one.quantile_s(0.5) * 1000,
            p99_ms=p99_s * 1000,
            cold_share=met.share,
            assumptions=(
                ASSUMED,
                "Billed while it answers and starts; a private model is billed while it waits too.",
            ),
        )

    def bill(
        self, units: Mapping[str, Quantity], place: Place, catalog: Catalog, region: str
    ) -> Bill:
        """Seconds, by the hardware that names them."""
        return bill_by_name(units, catalog, "replicate", "hardware", region)


def _hardware(case: Case) -> str | None:
    """Replicate's name of the GPU that the profile names, if it has it."""
    words = (case.profile.gpu or "").lower()
    for hardware, memory_gb in HARDWARE.items():
        kind, _, size = hardware.partition("-")
        if kind in words.replace("-", " ").split() and (not size or f"{memory_gb}gb" in words):
            return hardware
    return None
