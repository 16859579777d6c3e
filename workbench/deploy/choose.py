"""From an option of a cost plan to how it is hosted: what was priced is what is set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.options._instances import SERVER_BYTES, fleet
from workbench.cost.options._scaling import followed
from workbench.cost.plan import Estimate
from workbench.cost.planner import plan
from workbench.cost.profile import profiles_of_run
from workbench.cost.traffic import Traffic
from workbench.cost.transfer import physical_cores, transfer
from workbench.deploy.hosting import (
    Asynchronous,
    Components,
    Hosting,
    RealTime,
    Serverless,
    TargetTracking,
    Timetable,
)
from workbench.errors import InputError
from workbench.packaging.sources import Source

AUTO = "auto"
NAMES = {"async": "asynchronous", "components": "inference-components"}
"""Short names of options."""
SPARE = 2
"""Copies that a serverless endpoint may have beyond those that were found busy: a limit that costs
nothing until it is used, where a request beyond it is refused."""
MOST_SERVERLESS = 200


def cheapest(
    sources: Sequence[Source], option: str, traffic: Traffic, region: str, output: str
) -> tuple[Hosting, str]:
    """How to host the first of the sources for a traffic, and what that costs, as a sentence.

    Args:
        sources: the models of the endpoint; what is known of the first stands for all.
        option: an option of the cost plan, or ``auto``: the cheapest that can be deployed.
        traffic: of all of them together.
        region: of the prices.
        output: an S3 URL for the answers of an asynchronous endpoint.

    Raises:
        InputError: nothing was measured of the model, or no option keeps the traffic's objective.
    """
    source, many = sources[0], len(sources)
    if source.run is None or source.result is None:
        raise InputError(
            f"'{source.name}' belongs to no run, so nothing is known of its latency.",
            hint="Give RUN:VARIANT, or figures in place of a traffic.",
        )
    wanted = [NAMES.get(option, option)]
    if option == AUTO:
        wanted = ["multi-model"] if many > 1 else [n for n in MAKERS if n != "multi-model"]
    profile = next(p for p in profiles_of_run(source.run) if p.name == source.result.name)
    catalog = Catalog.standard()
    made = plan([profile], traffic, catalog, region=region, portfolio=many, chosen=wanted,
                break_evens=False)  # fmt: skip
    best = made.variants[0].best
    if best is None:
        reasons = [f"{r.option}: {' '.join(r.reasons)}" for r in made.variants[0].refusals]
        raise InputError("No option can be deployed for this traffic.", hint=" ".join(reasons[:3]))
    case = Case(profile, traffic, catalog, region, portfolio=many)
    said = (
        f"{best.option} on {best.place}: {best.usd.mid:,.2f} USD a month "
        f"({best.usd.low:,.2f}–{best.usd.high:,.2f}), {made.traffic}; "
        f"{'measured there' if best.measured else 'a prediction'}: {best.basis}."
    )
    return hosting_of(best, case, output), said


def hosting_of(estimate: Estimate, case: Case, output: str) -> Hosting:
    """What to deploy for an estimate.

    Args:
        estimate: the option, its place and its capacity.
        case: what was asked, for the rates.
        output: an S3 URL for the answers of an asynchronous endpoint.

    Raises:
        InputError: nothing can be deployed for that option.
    """
    maker = MAKERS.get(estimate.option)
    if maker is None:
        raise InputError(
            f"'{estimate.option}' can be priced, but not deployed from here.",
            hint=f"There is --option {', '.join(MAKERS)}.",
        )
    return maker(estimate, case, output)


def _real_time(estimate: Estimate, _: Case, __: str) -> Hosting:
    return RealTime(instance_type=_type(estimate), instances=_count(estimate))


def _target_tracking(estimate: Estimate, case: Case, _: str) -> Hosting:
    # So low that the fleet bears what the rate rises by while instances start.
    headroom = followed(case.traffic, case.hours).headroom
    per_instance = _per_minute(case) / _count(estimate) / headroom
    rule = TargetTracking(
        least=_least(case), most=max(_count(estimate), _least(case)),
        per_instance=_rounded(per_instance),
    )  # fmt: skip
    return RealTime(instance_type=_type(estimate), instances=_count(estimate), scaling=rule)


def _scheduled(estimate: Estimate, case: Case, _: str) -> Hosting:
    kind = case.catalog.instance(_type(estimate))
    speed = transfer(case.profile, kind).speed.mid
    rates = [0.0] * 168
    for minute, count in enumerate(case.per_minute.tolist()):
        hour = minute // 60 % 168
        rates[hour] = max(rates[hour], count / 60)
    hours = [fleet(case, estimate.place, speed, rate).instances for rate in rates]
    table = Timetable(hours=tuple(hours))
    return RealTime(instance_type=_type(estimate), instances=max(hours), scaling=table)


def _serverless(estimate: Estimate, _: Case, __: str) -> Hosting:
    most = min(MOST_SERVERLESS, _count(estimate) + SPARE)
    return Serverless(memory_mb=estimate.place.memory_mb or 1024, max_concurrency=most)


def _provisioned(estimate: Estimate, _: Case, __: str) -> Hosting:
    warm = _count(estimate)
    return Serverless(
        memory_mb=estimate.place.memory_mb or 1024,
        max_concurrency=min(MOST_SERVERLESS, warm + SPARE),
        provisioned=warm,
    )


def _asynchronous(estimate: Estimate, case: Case, output: str) -> Hosting:
    least = 0 if case.traffic.availability == "single" else 2
    return Asynchronous(
        instance_type=_type(estimate), output=output, least=least,
        most=max(_count(estimate), least),
    )  # fmt: skip


def _components(estimate: Estimate, case: Case, _: str) -> Hosting:
    """A copy on each core: the server in a copy then answers one request at a time."""
    copies = _count(estimate) * physical_cores(case.catalog.instance(_type(estimate)))
    memory = math.ceil((SERVER_BYTES + (case.profile.memory_bytes or 0)) / 2**20)
    return Components(
        instance_type=_type(estimate), most_instances=_count(estimate), most_copies=copies,
        per_copy=_rounded(_per_minute(case) / copies), cores=1.0, memory_mb=max(128, memory),
    )  # fmt: skip


MAKERS: dict[str, Callable[[Estimate, Case, str], Hosting]] = {
    "real-time": _real_time,
    "target-tracking": _target_tracking,
    "scheduled": _scheduled,
    "serverless": _serverless,
    "serverless-provisioned": _provisioned,
    "asynchronous": _asynchronous,
    "inference-components": _components,
    "multi-model": _real_time,
    "pipeline": _real_time,
}
"""By the option's name in ``workbench cost``."""


def _type(estimate: Estimate) -> str:
    name = estimate.place.instance_type
    assert name is not None
    return name


def _count(estimate: Estimate) -> int:
    return max(1, estimate.capacity.instances or 1)


def _least(case: Case) -> int:
    return 2 if case.traffic.availability == "redundant" else 1


def _per_minute(case: Case) -> float:
    return case.peak_rps * 60


def _rounded(value: float) -> float:
    """To three figures: AWS shows the value to people."""
    return float(f"{max(value, 0.01):.3g}")
