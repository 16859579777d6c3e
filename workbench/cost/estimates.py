"""One option on one place: what it uses, what that costs, and what may be said before either."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import TypeVar

from workbench.cost.accelerators import unfit, without_gpu
from workbench.cost.case import Case
from workbench.cost.catalog import PriceMissingError
from workbench.cost.modifiers import said
from workbench.cost.money import Bill
from workbench.cost.options import Capacity, NotPossibleError, NowhereError, Option, Place
from workbench.cost.plan import Estimate, Refusal
from workbench.cost.private_link import private_link_lines
from workbench.cost.ranges import Range, exactly
from workbench.cost.transfer import UNTOLD, Transfer, transfer

Value = TypeVar("Value")


def reasons_against(case: Case, option: Option, place: Place) -> list[str]:
    """What the profile does not speak for, else what the option says against the place."""
    profile = case.profile
    if place.instance_type is None:
        found = option.reasons(case, place)
        return found or ([] if option.gpu else without_gpu(profile))
    if reasons := unfit(profile, case.catalog.instance(place.instance_type)):
        return reasons
    if profile.gpu and case.portfolio > 1:
        return ["How many models the memory of a GPU holds was not measured."]
    return option.reasons(case, place)


def by_floor(case: Case, option: Option) -> list[Place]:
    """The option's places, what may be the cheapest first: the same order at every volume."""
    return sorted(option.places(case), key=lambda place: floor(case, option, place))


def floor(case: Case, option: Option, place: Place) -> Decimal:
    """The least that a month can cost; infinite where it has no price."""
    try:
        least, paid = option.floor(case, place), case.savings_plan
    except PriceMissingError:
        return Decimal("Infinity")
    return paid.least(least, case.hours, covers=option.savings_plan) if paid else least


def rank(found: Estimate) -> tuple[Decimal, float, int, str]:
    """By cost; at equal cost by latency, then the real-time endpoint, as the simplest, first."""
    simplest = 0 if found.option == "real-time" else 1
    return found.usd.mid, found.p99_ms.mid, simplest, f"{found.option} {found.place}"


@dataclass(frozen=True)
class Sized:
    """What an option uses on a place at each end of the range of the speed, and what that is.

    One capacity where the speed is known, else those of the low, the mid and the high end.
    """

    moved: Transfer
    capacities: tuple[Capacity, ...]

    @property
    def middle(self) -> Capacity:
        """At the mid speed."""
        return self.capacities[len(self.capacities) // 2]


def sized(case: Case, option: Option, place: Place) -> Sized | list[str]:
    """What the option uses on a place, before it is priced, or the reasons against it."""
    if reasons := reasons_against(case, option, place):
        return reasons
    try:
        return size(case, option, place)
    except (NotPossibleError, PriceMissingError) as error:
        return [str(error)]


def size(case: Case, option: Option, place: Place, moved: Transfer | None = None) -> Sized:
    """As ``sized``, of a place against which there are no reasons; ``moved`` if it is known.

    Raises:
        NotPossibleError, PriceMissingError: as ``Option.capacity``.
    """
    moved = moved or carried(case, place)
    found: list[Capacity] = []
    for speed in _ends(moved.speed):
        try:
            found.append(option.capacity(case, place, speed))
        except NowhereError as error:
            if not found:
                raise
            # Elsewhere the end before, which was possible here, may be refused first.
            raise NotPossibleError(str(error)) from error
    return Sized(moved, tuple(found))


def estimate(case: Case, option: Option, place: Place) -> Estimate | list[str]:
    """What the option costs on a place, or the reasons against it.

    The range of the speed becomes a range of money. Where even the slowest end must keep the
    objective and does not, the option is refused: a prediction may not promise what it cannot keep.
    """
    found = sized(case, option, place)
    if not isinstance(found, Sized):
        return found
    moved, capacities = found.moved, found.capacities
    try:
        bills = [option.bill(c.units, place, case.catalog, case.region) for c in capacities]
        private = tuple(private_link_lines(case)) if _private(case, option) else ()
    except PriceMissingError as error:
        return [str(error)]
    if (paid := case.savings_plan) is not None:
        bills = [paid.bill(bill, case.hours, covers=option.savings_plan) for bill in bills]
    if private:
        bills = [Bill(lines=(*bill.lines, *private)) for bill in bills]
    totals = [bill.usd for bill in bills]
    middle, shown = len(totals) // 2, found.middle
    assumptions = (*shown.assumptions, *said(case, option, shown))
    return Estimate(
        variant=case.profile.name,
        option=option.name,
        title=option.title(),
        place=place,
        usd=_range(totals, totals[middle]),
        bill=bills[middle],
        capacity=shown.model_copy(update={"assumptions": assumptions}),
        p99_ms=_range([c.p99_ms for c in capacities], shown.p99_ms),
        measured=moved.basis == "measured",
        basis=f"{moved.why} ({moved.basis})",
    )


def refusal(case: Case, option: Option, refused: Mapping[Place, Sequence[str]]) -> Refusal:
    """That an option is possible on none of its places."""
    why = last_reasons(case, (refused.get(place, ()) for place in option.places(case)))
    title = option.title()
    return Refusal(variant=case.profile.name, option=option.name, title=title, reasons=why)


def last_reasons(case: Case, told: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """What is said last, each sentence once, against an option's places in their order."""
    return tuple(dict.fromkeys(chain.from_iterable(told)))[-3:] or (_nowhere(case),)


def _nowhere(case: Case) -> str:
    which = f"of {' or '.join(case.modifiers.families)} " if case.modifiers.families else ""
    which += f"with {case.profile.gpu} " if case.profile.gpu else ""
    return f"No place {which}in {case.region} offers it."


def _private(case: Case, option: Option) -> bool:
    return bool(case.modifiers.private_link) and option.sagemaker


def carried(case: Case, place: Place) -> Transfer:
    """What the case's measurement says of the speed on a place."""
    if case.profile.gpu:
        return Transfer(speed=exactly(1.0), why="measured on this GPU", basis="measured")
    if place.instance_type is None:
        return Transfer(speed=UNTOLD, why="the CPU is not told by the provider", basis="assumed")
    return transfer(case.profile, case.catalog.instance(place.instance_type))


def _ends(speed: Range[float]) -> tuple[float, ...]:
    return (speed.mid,) if speed.low == speed.high else (speed.low, speed.mid, speed.high)


def _range(values: Sequence[Value], middle: Value) -> Range[Value]:
    return Range(low=min(values), mid=middle, high=max(values))  # type: ignore[type-var]
