"""The records of a plan: what each variant costs where, what is not possible, and why."""

from __future__ import annotations

from decimal import Decimal

from workbench.cost.modifiers import UNMODIFIED, Modifiers
from workbench.cost.money import Bill
from workbench.cost.options import Capacity, Place
from workbench.cost.ranges import Range
from workbench.records import Record


class Estimate(Record):
    """One option on its cheapest place, for one variant.

    ``usd`` is a month's total: ``mid`` is the bill that is shown, ``low`` and ``high`` come of the
    range of the speed. ``basis`` says what the speed rests on; ``measured`` is false for a
    prediction.
    """

    variant: str
    option: str
    title: str
    place: Place
    usd: Range[Decimal]
    bill: Bill
    capacity: Capacity
    p99_ms: Range[float]
    measured: bool
    basis: str

    def per_thousand(self, requests: float) -> Decimal:
        """US dollars per thousand requests."""
        return self.usd.mid * 1000 / Decimal(str(requests))


class Refusal(Record):
    """An option that is not possible, with the reasons (of its most capable place)."""

    variant: str
    option: str
    title: str
    reasons: tuple[str, ...]


class FrontierPoint(Record):
    """A choice of option and place that no other beats in both the month's cost and the p99.

    ``usd_per_ms`` is what a millisecond less of p99 costs a month, against the point before.
    """

    estimate: Estimate
    usd_per_ms: Decimal | None = None


class VariantPlan(Record):
    """All options for one variant, the cheapest first; the frontier where it was asked for."""

    variant: str
    baseline: bool
    estimates: tuple[Estimate, ...]
    refusals: tuple[Refusal, ...]
    frontier: tuple[FrontierPoint, ...] = ()

    @property
    def best(self) -> Estimate | None:
        """The cheapest possible option."""
        return self.estimates[0] if self.estimates else None


class BreakEven(Record):
    """Below ``requests`` a month ``before`` is the best option, above it ``after``."""

    variant: str
    requests: float
    before: str
    after: str


class Plan(Record):
    """What ``workbench cost`` finds. All money in US dollars a month of ``hours``."""

    region: str
    hours: int
    traffic: str
    requests: float
    modifiers: Modifiers = UNMODIFIED
    notes: tuple[str, ...] = ()
    """What was not compared, and why."""
    variants: tuple[VariantPlan, ...]
    break_evens: tuple[BreakEven, ...] = ()
    frontier: tuple[FrontierPoint, ...] = ()
    """Over all variants, where it was asked for."""

    @property
    def baseline(self) -> VariantPlan:
        """The variant that the others are compared with."""
        return next((v for v in self.variants if v.baseline), self.variants[0])

    def saving(self, variant: VariantPlan) -> Decimal | None:
        """Dollars a month that a variant saves against the baseline, each on its best option."""
        ours, theirs = variant.best, self.baseline.best
        return theirs.usd.mid - ours.usd.mid if ours and theirs else None
