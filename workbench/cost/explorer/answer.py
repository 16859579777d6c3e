"""What is saved a month, in one record, for the opening of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from workbench.cost.catalog import Catalog
from workbench.cost.plan import Estimate, Plan
from workbench.cost.planner import plan
from workbench.cost.profile import ServiceProfile
from workbench.cost.ranges import Range
from workbench.cost.traffic import Traffic


@dataclass(frozen=True)
class CostAnswer:
    """The cheapest variant against the baseline, each on its best option; US dollars a month.

    ``saved`` is negative where it costs more; None where an option is possible for one of them
    only, or for neither.
    """

    plan: Plan
    baseline: Estimate | None
    best: Estimate | None
    saved: Range[Decimal] | None

    @property
    def measured(self) -> bool:
        """Whether both speeds were measured on the places' own machines; else it is predicted."""
        return all(one is not None and one.measured for one in (self.baseline, self.best))

    @property
    def share(self) -> Decimal | None:
        """Of the baseline's cost that is saved."""
        if self.saved is None or self.baseline is None or not self.baseline.usd.mid:
            return None
        return self.saved.mid / self.baseline.usd.mid


def cost_answer(
    profiles: Sequence[ServiceProfile],
    traffic: Traffic,
    catalog: Catalog | None = None,
    *,
    region: str = "us-east-1",
) -> CostAnswer:
    """What the cheapest variant saves a month.

    Raises:
        InputError: no price is known in the region.
    """
    made = plan(profiles, traffic, catalog or Catalog.standard(), region=region, break_evens=False)
    baseline = made.baseline.best
    possible = [variant.best for variant in made.variants if variant.best]
    best = min(possible, key=lambda found: found.usd.mid, default=None)
    integer = {profile.name: profile.integer for profile in profiles}
    if baseline is None or best is None:
        return CostAnswer(made, baseline, best, None)
    alike = integer[baseline.variant] == integer[best.variant]
    return CostAnswer(made, baseline, best, saved(baseline, best, alike=alike))


def saved(before: Estimate, after: Estimate, *, alike: bool) -> Range[Decimal]:
    """What ``after`` saves a month.

    The two ranges are subtracted end by end where one unknown makes both: the speed of the same
    place, predicted in the same way, of variants that are ``alike`` in computing in int8 or not.
    Else they may have nothing to do with each other, and the widest that they allow is taken.
    """
    same = (before.option, before.place, before.basis) == (after.option, after.place, after.basis)
    a, b = before.usd, after.usd
    ends = (a.low - b.low, a.high - b.high) if same and alike else (a.low - b.high, a.high - b.low)
    middle = a.mid - b.mid
    return Range(low=min(*ends, middle), mid=middle, high=max(*ends, middle))
