"""Searches options and places for each variant, and ranks what is possible by its cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog, PriceMissingError
from workbench.cost.options import NotPossibleError, Option, Place, options
from workbench.cost.plan import BreakEven, Estimate, Plan, Refusal, VariantPlan
from workbench.cost.profile import ServiceProfile
from workbench.cost.ranges import Range
from workbench.cost.savings_plan import SavingsPlan
from workbench.cost.traffic import Traffic
from workbench.cost.transfer import Transfer, transfer
from workbench.errors import InputError

VOLUMES = tuple(10 ** (exponent / 4) for exponent in range(12, 33))
"""Requests a month between which break-evens are looked for: a thousand to a hundred million."""
Value = TypeVar("Value")
PRECISION = 0.001
"""Relative width to which a break-even is narrowed down."""


def plan(
    profiles: Sequence[ServiceProfile],
    traffic: Traffic,
    catalog: Catalog,
    *,
    region: str = "us-east-1",
    hours: int = 730,
    sequence: int | None = None,
    portfolio: int = 1,
    savings_plan: SavingsPlan | None = None,
    chosen: Iterable[str] | None = None,
    break_evens: bool = True,
) -> Plan:
    """Rank all options (or the ``chosen``) for all variants.

    Raises:
        InputError: an unknown region or option.
    """
    kinds = _chosen(chosen)
    cases = [
        Case(profile, traffic, catalog, region, hours, sequence, savings_plan, portfolio)
        for profile in profiles
    ]
    variants = tuple(_variant(case, kinds) for case in cases)
    found = tuple(b for case in cases for b in _break_evens(case, kinds)) if break_evens else ()
    return Plan(
        region=region,
        hours=hours,
        traffic=traffic.describe(hours),
        requests=traffic.requests,
        variants=variants,
        break_evens=found,
    )


def _chosen(names: Iterable[str] | None) -> list[Option]:
    known = options()
    if names is None:
        return [kind() for kind in known.values()]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"There is no option '{unknown[0]}'.", hint=f"There is {', '.join(known)}."
        )
    return [known[name]() for name in names]


def _variant(case: Case, kinds: Sequence[Option]) -> VariantPlan:
    results = [cheapest(case, kind) for kind in kinds]
    possible = (result for result in results if isinstance(result, Estimate))
    return VariantPlan(
        variant=case.profile.name,
        baseline=case.profile.baseline,
        estimates=tuple(sorted(possible, key=_rank)),
        refusals=tuple(result for result in results if isinstance(result, Refusal)),
    )


def cheapest(case: Case, option: Option, bound: Decimal | None = None) -> Estimate | Refusal:
    """The option on its cheapest place, or why it is possible on none.

    With a ``bound`` places that cost more are not looked at: then a refusal may only say that.
    """
    best: Estimate | None = None
    reasons: dict[str, None] = {}
    for place in option.places(case):
        most = bound if best is None else best.usd.mid
        if most is not None and _least(case, option, place) > most:
            continue
        found = estimate(case, option, place)
        if isinstance(found, Estimate):
            if best is None or _rank(found) < _rank(best):
                best = found
        else:
            reasons |= dict.fromkeys(found)
    if best is not None:
        return best
    why = tuple(reasons)[-3:] or (f"No place in {case.region} offers it.",)
    title = option.title()
    return Refusal(variant=case.profile.name, option=option.name, title=title, reasons=why)


def _least(case: Case, option: Option, place: Place) -> Decimal:
    least, paid = option.floor(case, place), case.savings_plan
    return paid.least(least, covers=option.savings_plan) if paid else least


def _rank(found: Estimate) -> tuple[Decimal, float, int, str]:
    """By cost; at equal cost by latency, then the real-time endpoint, as the simplest, first."""
    simplest = 0 if found.option == "real-time" else 1
    return found.usd.mid, found.p99_ms.mid, simplest, f"{found.option} {found.place}"


def estimate(case: Case, option: Option, place: Place) -> Estimate | list[str]:
    """What the option costs on a place, or the reasons against it.

    The range of the speed becomes a range of money. Where even the slowest end must keep the
    objective and does not, the option is refused: a prediction may not promise what it cannot keep.
    """
    if reasons := option.reasons(case, place):
        return reasons
    moved = _transfer(case, place)
    try:
        capacities = [option.capacity(case, place, speed) for speed in _ends(moved.speed)]
        bills = [option.bill(c.units, place, case.catalog, case.region) for c in capacities]
    except (NotPossibleError, PriceMissingError) as error:
        return [str(error)]
    if (paid := case.savings_plan) is not None:
        bills = [paid.bill(bill, case.hours, covers=option.savings_plan) for bill in bills]
    totals = [bill.usd for bill in bills]
    middle = len(totals) // 2
    return Estimate(
        variant=case.profile.name,
        option=option.name,
        title=option.title(),
        place=place,
        usd=_range(totals, totals[middle]),
        bill=bills[middle],
        capacity=capacities[middle],
        p99_ms=_range([c.p99_ms for c in capacities], capacities[middle].p99_ms),
        measured=moved.basis == "measured",
        basis=f"{moved.why} ({moved.basis})",
    )


def _transfer(case: Case, place: Place) -> Transfer:
    if place.instance_type is None:
        # What runs a serverless function is not told: its CPUs may be any of the provider's.
        speed = Range[float](low=0.5, mid=0.9, high=1.34)
        return Transfer(speed=speed, why="the CPU is not told by the provider", basis="assumed")
    return transfer(case.profile, case.catalog.instance(place.instance_type))


def _ends(speed: Range[float]) -> tuple[float, ...]:
    return (speed.mid,) if speed.low == speed.high else (speed.low, speed.mid, speed.high)


def _range(values: Sequence[Value], middle: Value) -> Range[Value]:
    return Range(low=min(values), mid=middle, high=max(values))  # type: ignore[type-var]


# --- break-even ------------------------------------------------------------------------------


def _break_evens(case: Case, kinds: Sequence[Option]) -> list[BreakEven]:
    """The volumes at which the cheapest option changes, each on its best place."""
    found: list[BreakEven] = []
    low = VOLUMES[0]
    before = _winner(case, kinds, low)
    for high in VOLUMES[1:]:
        after = _winner(case, kinds, high)
        if after != before:
            two = [kind for kind in kinds if kind.name in (before, after)]
            at = _narrowed(case, two, low, high, before)
            if _winner(case, kinds, at / (1 + 2 * PRECISION)) != before:
                at = _narrowed(case, kinds, low, high, before)  # a third one lies between the two
            found.append(
                BreakEven(variant=case.profile.name, requests=at, before=before, after=after)
            )
        low, before = high, after
    return found


def _narrowed(case: Case, kinds: Sequence[Option], low: float, high: float, before: str) -> float:
    while high / low > 1 + PRECISION:
        middle = (low * high) ** 0.5
        if _winner(case, kinds, middle) == before:
            low = middle
        else:
            high = middle
    return high


def _winner(case: Case, kinds: Sequence[Option], requests: float) -> str:
    scaled = replace(case, traffic=case.traffic.scaled(requests))
    best: Estimate | None = None
    # What is paid by use first: it bounds what is worth looking at of the rest.
    for kind in sorted(kinds, key=lambda k: type(k).floor is not Option.floor):
        result = cheapest(scaled, kind, best.usd.mid if best else None)
        if isinstance(result, Estimate):
            best = min(best, result, key=_rank) if best else result
    return best.option if best else "nothing"
