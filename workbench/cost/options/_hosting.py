"""What the options share that are paid as SageMaker hosting: their limits and their lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.money import Bill, Line, Quantity
from workbench.cost.options import Place
from workbench.cost.options._burst import check_burst
from workbench.cost.options._instances import (
    SERVER_BYTES,
    USABLE,
    memory_reasons,
    sagemaker_lines,
)
from workbench.cost.options._limits import timeout_reasons
from workbench.cost.options._service import service
from workbench.cost.options.real_time import payload_reasons


def real_time_reasons(case: Case, place: Place) -> list[str]:
    """Memory, payload and time-out of a real-time endpoint."""
    return [
        *memory_reasons(case, place),
        *payload_reasons(case, "real_time"),
        *timeout_reasons(service(case, 1.0).p99_s, "real_time"),
    ]


def check_credits(case: Case, place: Place, speed: float, instance_hours: float) -> None:
    """Whether a burstable type can keep up in the hours that its instances run.

    Raises:
        NotPossibleError: its credits would run out, and it would be slowed to its baseline.
    """
    check_burst(replace(case, hours=max(1, math.ceil(instance_hours))), place, speed, 1)


def hosting_bill(
    units: Mapping[str, Quantity],
    names: Sequence[str],
    place: Place,
    catalog: Catalog,
    region: str,
    mode: str = "hosting",
) -> Bill:
    """A line for each of the named units at the instance's price per hour; storage; data.

    Raises:
        PriceMissingError: a price is not in the catalog.
    """
    assert place.instance_type is not None
    price = catalog.hourly(place.instance_type, region, mode)
    lines = tuple(
        Line(item=name, quantity=units[name], price=price)
        for name in names
        if name in units and (units[name].amount or name == names[0])
    )
    return Bill(lines=(*lines, *sagemaker_lines(dict(units), catalog, region)))


def container_reasons(case: Case, place: Place, containers: int) -> list[str]:
    """Why so many containers, each with a server and the model, do not fit into the memory."""
    if case.profile.memory_bytes is None or place.instance_type is None:
        return []
    need = containers * (SERVER_BYTES + case.profile.memory_bytes)
    have = float(case.catalog.instance(place.instance_type).memory_gib) * 2**30 * USABLE
    if need <= have:
        return []
    return [
        f"{need / 1e9:.1f} GB of memory are needed for {containers} containers, "
        f"{have / 1e9:.1f} GB are usable."
    ]
