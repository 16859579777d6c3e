"""Burstable instances: cheap because they may not use their CPU all the time."""

from __future__ import annotations

from workbench.cost.case import Case
from workbench.cost.options import NotPossibleError, Place
from workbench.cost.options._service import service_on

FAMILIES = ("t2", "t3", "t3a", "t4g")
BASELINE = 0.168
"""Share of its vCPUs that earns as many credits as it spends: the least of t2.medium to t2.2xlarge,
that of the last (EC2 user guide, CPU credits and baseline utilization)."""


def check_burst(case: Case, place: Place, speed: float, instances: int) -> None:
    """Whether a burstable type can keep up all month.

    Raises:
        NotPossibleError: its credits would run out, and it would be slowed to its baseline.
    """
    assert place.instance_type is not None
    kind = case.catalog.instance(place.instance_type)
    if kind.family not in FAMILIES:
        return
    work_s = case.traffic.requests * service_on(case, place, speed).busy_s
    busy = work_s / (instances * kind.vcpus * case.hours * 3600)
    if busy > BASELINE:
        raise NotPossibleError(
            f"{place.instance_type} is burstable and may use {BASELINE:.0%} of its CPU in the long "
            f"run; {busy:.0%} is needed."
        )
