"""What may be asked of the explorer: volumes, objectives and regions, in steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workbench.cost.catalog import Catalog
from workbench.cost.money import decimal
from workbench.cost.profile import ServiceProfile
from workbench.cost.traffic import Traffic
from workbench.cost.transfer import UNTOLD

SERIES = ("1", "1.6", "2.5", "4", "6.3")
"""Five steps a decade, as preferred numbers have them (ISO 3, the series R 5)."""
DECADES = range(3, 8)
"""A thousand requests a month, up to a hundred million."""
NICE = (1.0, 2.0, 5.0)
"""Objectives that a person would write, times a power of ten."""
MOST_OBJECTIVES = 4
ROOM = 2.0
"""The loosest objective is at least so many times the p99 of the slowest variant alone, at the slow
end of what it may take elsewhere: slower is refused for every option, as it may not be kept."""


def volumes(traffic: Traffic | None) -> tuple[float, ...]:
    """Requests a month, ascending; the traffic's own volume is one of them."""
    steps = [float(decimal(step) * 10**decade) for decade in DECADES for step in SERIES]
    own = [] if traffic is None else [traffic.requests]
    return tuple(sorted({*steps, float(10**DECADES.stop), *own}))


def objectives(profiles: Iterable[ServiceProfile], own: float | None) -> tuple[float | None, ...]:
    """None, then p99 in ms, ascending: some between the fastest and the slowest variant's own
    p99 and beyond, and the traffic's ``own``."""
    alone = [point.p99_ms or 1.25 * point.mean_ms for point in (p.alone() for p in profiles)]
    fastest, slowest = min(alone) / UNTOLD.low, max(alone) / UNTOLD.low
    nice = [base * 10.0**power for power in range(-3, 7) for base in NICE]
    above = [ms for ms in nice if ms >= fastest]
    needed = sum(ms < ROOM * slowest for ms in above) + 1
    # Evenly taken where there are more than may be shown, the tightest and the loosest among them.
    step = max(1.0, (needed - 1) / (MOST_OBJECTIVES - 1))
    taken = {above[round(at * step)] for at in range(min(needed, MOST_OBJECTIVES))}
    return (None, *sorted({*taken, *([] if own is None else [own])}))


def regions(catalog: Catalog, own: str) -> tuple[str, ...]:
    """The regions in which the catalog knows SageMaker and EC2 prices of CPU types; ``own`` first.

    Elsewhere it knows little beyond serverless endpoints and GPUs.
    """
    known = [
        region
        for region in catalog.regions()
        if all(
            any(not kind.accelerators for kind in catalog.instances(region, mode))
            for mode in ("hosting", "ec2")
        )
    ]
    return (own, *(region for region in known if region != own))


def nearest(values: Sequence[float], wanted: float) -> int:
    """The place of the value that is the closest by ratio."""
    return min(range(len(values)), key=lambda at: abs(values[at] / wanted - 1))
