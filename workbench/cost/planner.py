"""Searches options and places for each variant, and ranks what is possible by its cost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import chain
from operator import itemgetter

from workbench.cost.accelerators import unfit
from workbench.cost.break_evens import VOLUMES
from workbench.cost.break_evens import break_evens as find_break_evens
from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.estimates import by_floor, estimate, floor, rank, reasons_against, refusal
from workbench.cost.frontier import frontier as find_frontier
from workbench.cost.modifiers import UNMODIFIED, Modifiers
from workbench.cost.options import Option, Place, options
from workbench.cost.plan import Estimate, Plan, Refusal, VariantPlan
from workbench.cost.profile import ServiceProfile
from workbench.cost.savings_plan import SavingsPlan
from workbench.cost.traffic import Traffic
from workbench.errors import InputError

__all__ = ["cheapest", "estimate", "plan"]


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
    modifiers: Modifiers = UNMODIFIED,
    chosen: Iterable[str] | None = None,
    break_evens: bool = True,
    frontier: bool = False,
) -> Plan:
    """Rank all options (or the ``chosen``) for all variants.

    The ``frontier`` asks for every option on every place, not only on its cheapest.

    Raises:
        InputError: an unknown region or option, or batching without what it needs.
    """
    kinds = _chosen(chosen)
    cases = [
        Case(profile, traffic, catalog, region, hours, sequence, savings_plan, portfolio, modifiers)
        for profile in profiles
    ]
    kinds, notes = _noted(cases, kinds)
    everything = [_everywhere(case, kinds) if frontier else [] for case in cases]
    variants = tuple(
        _variant(case, kinds, found) for case, found in zip(cases, everything, strict=True)
    )
    changes = (
        change
        for case in cases
        for change in find_break_evens(case.profile.name, _Winners(case, kinds))
    )
    return Plan(
        region=region,
        hours=hours,
        traffic=traffic.describe(hours),
        requests=traffic.requests,
        modifiers=modifiers,
        notes=notes,
        variants=variants,
        break_evens=tuple(changes) if break_evens else (),
        frontier=find_frontier(sorted(chain(*everything), key=rank)),
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


def _noted(cases: Sequence[Case], kinds: list[Option]) -> tuple[list[Option], tuple[str, ...]]:
    """The options that are compared, and what is said of places and options that are not."""
    case, families = cases[0], cases[0].modifiers.families
    typed = [kind for kind in kinds if _has_types(case, kind)]
    unmeasured: dict[str, str] = {}
    for kind in case.catalog.instances(case.region, "hosting") if typed else ():
        reasons = [unfit(one.profile, kind) for one in cases]
        if kind.accelerators and all(reasons):
            unmeasured[kind.family] = reasons[0][0]
    if families:
        notes = [why for family, why in unmeasured.items() if family in families]
        if others := [kind.name for kind in kinds if kind not in typed]:
            notes.append(f"Left out, as they have no instance types: {', '.join(others)}.")
        return typed, tuple(notes)
    sentence = (
        "Not compared, as nothing was measured on their GPUs or chips: "
        f"{', '.join(sorted(unmeasured))} (--family says what each needs)."
    )
    return kinds, (sentence,) if unmeasured else ()


def _has_types(case: Case, kind: Option) -> bool:
    on_cpu = case.profile.model_copy(update={"gpu": None})
    anywhere = replace(case, modifiers=UNMODIFIED, profile=on_cpu)
    first = next(iter(kind.places(anywhere)), None)
    return first is None or first.instance_type is not None


def _everywhere(case: Case, kinds: Sequence[Option]) -> list[Estimate]:
    found = (estimate(case, kind, place) for kind in kinds for place in kind.places(case))
    return [one for one in found if isinstance(one, Estimate)]


def _variant(
    case: Case, kinds: Sequence[Option], everywhere: Iterable[Estimate] = ()
) -> VariantPlan:
    results = [cheapest(case, kind) for kind in kinds]
    possible = (result for result in results if isinstance(result, Estimate))
    return VariantPlan(
        variant=case.profile.name,
        baseline=case.profile.baseline,
        estimates=tuple(sorted(possible, key=rank)),
        refusals=tuple(result for result in results if isinstance(result, Refusal)),
        frontier=find_frontier(sorted(everywhere, key=rank)),
    )


def cheapest(
    case: Case,
    option: Option,
    bound: Decimal | None = None,
    places: Sequence[Place] | None = None,
) -> Estimate | Refusal:
    """The option on its cheapest place, or why it is possible on none.

    With a ``bound`` places that cost more are not looked at: then a refusal may only say that.
    ``places`` are the option's, by their floors, if the caller has them.
    """
    best: Estimate | None = None
    refused: dict[Place, list[str]] = {}
    for place in by_floor(case, option) if places is None else places:
        most = bound if best is None else best.usd.mid
        if most is not None and floor(case, option, place) > most:
            break
        found = estimate(case, option, place)
        if not isinstance(found, Estimate):
            refused[place] = found
        elif best is None or rank(found) < rank(best):
            best = found
    if best is not None:
        return best
    return refusal(case, option, refused)


class _Winners:
    """The cheapest option at any volume of a case's traffic."""

    def __init__(self, case: Case, kinds: Sequence[Option]) -> None:
        self._case = case
        most = self._at(VOLUMES[-1])
        self._searched = [
            (
                kind,
                [place for place in by_floor(most, kind) if not reasons_against(most, kind, place)],
            )
            for kind in kinds
        ]

    def __call__(self, requests: float, among: Collection[str] | None) -> str:
        case = self._at(requests)
        searched = [
            (floor(case, kind, places[0]), kind, places)
            for kind, places in self._searched
            if places and (among is None or kind.name in among)
        ]
        best: Estimate | None = None
        # What may be the cheapest first: it bounds what is worth looking at of the rest.
        for least, kind, places in sorted(searched, key=itemgetter(0)):
            if best is not None and least > best.usd.mid:
                break
            result = cheapest(case, kind, best.usd.mid if best else None, places)
            if isinstance(result, Estimate):
                best = min(best, result, key=rank) if best else result
        return best.option if best else "nothing"

    def _at(self, requests: float) -> Case:
        return replace(self._case, traffic=self._case.traffic.scaled(requests))
