"""The choices of a variant at one volume and objective, for several regions and any discount.

What an option uses on a place hardly depends on the region and not at all on a discount: the engine
sizes it once. Kept is what may be the cheapest of its option in some region at some discount of a
Savings Plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from workbench.cost.case import Case
from workbench.cost.catalog import PriceMissingError
from workbench.cost.estimates import (
    Sized,
    by_floor,
    carried,
    floor,
    last_reasons,
    reasons_against,
    size,
)
from workbench.cost.explorer.prices import Choice, PriceBook
from workbench.cost.modifiers import said
from workbench.cost.options import NotPossibleError, NowhereError, Option, Place, TooSlowError
from workbench.cost.profile import ServiceProfile
from workbench.cost.savings_plan import MOST
from workbench.cost.traffic import Traffic
from workbench.cost.transfer import Transfer

Reasons = tuple[str, ...]
ROOM = 1.01
"""An objective is kept with room to spare where the p99 times this is within it."""


@dataclass(frozen=True)
class Found:
    """What is possible at a point, in the order of ties, and by region what is not and why."""

    choices: tuple[Choice, ...]
    refused: Mapping[str, tuple[tuple[str, Reasons], ...]]


@dataclass(eq=False)
class _Spot:
    """An option on a place, in whatever region: its speed, and at which objectives it is too slow
    at every volume."""

    moved: Transfer | None = None
    too_slow: dict[float | None, Reasons] = field(default_factory=dict)


@dataclass(eq=False)
class _Slot:
    """An option on a place, and what is said of it at every volume.

    ``only`` is the region where what it uses depends on it; else empty, and regions share it.
    """

    option: Option
    place: Place
    only: str
    spot: _Spot
    reasons: Reasons | None = None

    def always(self, objective: float | None) -> bool:
        """Whether it is refused at every volume, as far as is known."""
        return bool(self.reasons) or objective in self.spot.too_slow


@dataclass
class _Point:
    """One volume and objective: its case in each region, and what has been sized."""

    cases: Mapping[str, Case]
    objective: float | None
    sized: dict[_Slot, Sized | Reasons] = field(default_factory=dict)
    choices: dict[_Slot, Choice] = field(default_factory=dict)
    nowhere: dict[_Spot, Reasons] = field(default_factory=dict)

    def keeps(self, sized: Sized) -> bool:
        """Whether the objective is kept with room to spare, at the slow end too."""
        slowest = max(capacity.p99_ms for capacity in sized.capacities)
        return self.objective is None or slowest * ROOM <= self.objective


class Search:
    """The search for one variant; what does not depend on the volume is kept between points."""

    def __init__(
        self,
        profile: ServiceProfile,
        traffic: Traffic,
        kinds: Sequence[Option],
        regions: Iterable[str],
        prices: PriceBook,
        hours: int,
    ) -> None:
        self._traffic, self._kinds, self._prices = traffic, kinds, prices
        self._cases = {
            region: Case(profile, traffic, prices.catalog, region, hours) for region in regions
        }
        self._spots: dict[tuple[str, Place], _Spot] = {}
        self._slots: dict[tuple[str, Place, str], _Slot] = {}
        self._always: dict[tuple[str, str, float | None], Reasons] = {}
        pairs = [(kind, case) for kind in kinds for case in self._cases.values()]
        self._by_floor = {
            (kind.name, case.region): self._slots_of(kind, case, by_floor(case, kind))
            for kind, case in pairs
        }
        self._in_order = {
            (kind.name, case.region): self._slots_of(kind, case, kind.places(case))
            for kind, case in pairs
        }

    def at(self, requests: float, objectives: Sequence[float | None]) -> Iterator[Found]:
        """The choices at a volume for each objective, of which the first is None: no objective."""
        free: _Point | None = None
        for objective in objectives:
            traffic = self._traffic.scaled(requests).model_copy(update={"p99_ms": objective})
            cases = {r: replace(case, traffic=traffic) for r, case in self._cases.items()}
            point = _Point(cases, objective)
            yield self._found(point, free)
            free = free or point

    def _slots_of(self, kind: Option, case: Case, places: Iterable[Place]) -> list[_Slot]:
        only = case.region if kind.regional else ""
        found = []
        for place in places:
            spot = self._spots.setdefault((kind.name, place), _Spot())
            slot = _Slot(kind, place, only, spot)
            found.append(self._slots.setdefault((kind.name, place, only), slot))
        return found

    def _found(self, point: _Point, free: _Point | None) -> Found:
        kept: dict[Choice, None] = {}
        refused: dict[str, list[tuple[str, Reasons]]] = {region: [] for region in point.cases}
        for kind in self._kinds:
            for region, case in point.cases.items():
                always = self._always.get((kind.name, region, point.objective))
                if always:
                    refused[region].append((kind.name, always))
                    continue
                front, why = self._front(point, free, kind, case)
                kept.update(dict.fromkeys(front))
                if not front:
                    refused[region].append((kind.name, self._told(point, kind, case, why)))
        ordered = sorted(kept, key=lambda choice: choice.tie)
        return Found(tuple(ordered), {region: tuple(some) for region, some in refused.items()})

    def _told(
        self, point: _Point, kind: Option, case: Case, why: Mapping[_Slot, Reasons]
    ) -> Reasons:
        """Why an option is refused, which is kept if it will be at every volume."""
        slots = self._in_order[kind.name, case.region]
        reasons = last_reasons(case, (why.get(slot, ()) for slot in slots))
        if all(slot.always(point.objective) for slot in slots):
            self._always[kind.name, case.region, point.objective] = reasons
        return reasons

    def _front(
        self, point: _Point, free: _Point | None, kind: Option, case: Case
    ) -> tuple[list[Choice], dict[_Slot, Reasons]]:
        """The option's choices in a region that may be its cheapest, and what is refused."""
        priced: list[tuple[Decimal, Decimal, Choice]] = []
        refused: dict[_Slot, Reasons] = {}
        bound: Decimal | None = None
        for slot in self._by_floor[kind.name, case.region]:
            if bound is not None and floor(case, kind, slot.place) > bound:
                break
            found = self._choice(point, free, slot, case)
            usd = found.usd(self._prices, case.region) if isinstance(found, Choice) else ""
            if not isinstance(found, Choice) or isinstance(usd, str):
                refused[slot] = (usd,) if isinstance(found, Choice) else found  # type: ignore[assignment]
                continue
            covered, rest = usd
            # A floor is of what a plan covers, if it covers anything: at the largest discount the
            # rest weighs the most.
            most = covered + rest / (1 - MOST) if kind.savings_plan else covered + rest
            bound = most if bound is None else min(bound, most)
            priced.append((covered, rest, found))
        return _undominated(priced), refused

    def _choice(
        self, point: _Point, free: _Point | None, slot: _Slot, case: Case
    ) -> Choice | Reasons:
        if slot in point.choices:
            return point.choices[slot]
        if slot not in point.sized:
            point.sized[slot] = self._size(point, free, slot, case)
        sized = point.sized[slot]
        if not isinstance(sized, Sized):
            return sized
        choice = free.choices.get(slot) if free and free.sized.get(slot) is sized else None
        if choice is None:
            try:
                bought = self._prices.buy(slot.option, slot.place, sized, case.region)
            except PriceMissingError as error:
                return (str(error),)
            middle = sized.middle
            assumed = (*middle.assumptions, *said(case, slot.option, middle))
            choice = Choice(slot.option, slot.place, sized, bought, assumed, slot.only)
        point.choices[slot] = choice
        return choice

    def _size(self, point: _Point, free: _Point | None, slot: _Slot, case: Case) -> Sized | Reasons:
        if slot.reasons is None:
            slot.reasons = tuple(reasons_against(case, slot.option, slot.place))
        if slot.reasons:
            return slot.reasons
        spot = slot.spot
        if known := spot.too_slow.get(point.objective) or point.nowhere.get(spot):
            return known
        without = free.sized.get(slot) if free and slot.option.unmoved else None
        if isinstance(without, Sized) and point.keeps(without):
            return without
        spot.moved = spot.moved or carried(case, slot.place)
        try:
            return size(case, slot.option, slot.place, spot.moved)
        except NowhereError as error:
            point.nowhere[spot] = (str(error),)
            if isinstance(error, TooSlowError):
                spot.too_slow[point.objective] = (str(error),)
            return (str(error),)
        except (NotPossibleError, PriceMissingError) as error:
            return (str(error),)


def _undominated(priced: list[tuple[Decimal, Decimal, Choice]]) -> list[Choice]:
    """What is not dearer both in what a plan covers and in the rest; of equals the first by tie."""
    kept: list[Choice] = []
    least: Decimal | None = None
    for _, rest, choice in sorted(priced, key=lambda one: (one[0], one[1], one[2].tie)):
        if least is None or rest < least:
            kept.append(choice)
            least = rest
    return kept
