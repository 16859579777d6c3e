"""The plan behind the answer's money: asked once for a report, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from workbench.errors import InputError
from workbench.records import Run
from workbench.report.costs import cost_grids, explanation, headline, sentences
from workbench.report.html.page import text
from workbench.report.html.tables import grid_html

if TYPE_CHECKING:
    from workbench.cost.plan import Estimate, Plan
    from workbench.cost.ranges import Range
    from workbench.cost.traffic import Traffic


REGION = "us-east-1"
"""Whose prices are told where nobody names a region."""


@dataclass(frozen=True)
class Pricing:
    """A plan, or the reason why there is none; ``assumed`` says that nobody named the traffic."""

    plan: Plan | None
    why: str = ""
    assumed: bool = False
    integer: dict[str, bool] = field(default_factory=dict)
    """Whether a variant computes in int8."""

    @property
    def asked(self) -> str:
        """The traffic and the place that the money is told for."""
        if self.plan is None:
            return self.why
        said = headline(self.plan)
        return f"{said} (assumed: nobody named the traffic)" if self.assumed else said

    def saved(self, variant: str) -> tuple[Estimate, Estimate, Range[Decimal]] | None:
        """The best options of the baseline and a variant, and what is saved, USD a month."""
        from workbench.cost.explorer.answer import saved

        if self.plan is None:
            return None
        before = self.plan.baseline
        after = next((v for v in self.plan.variants if v.variant == variant), None)
        if after is None or before.best is None or after.best is None:
            return None
        alike = self.integer[before.variant] == self.integer[after.variant]
        return before.best, after.best, saved(before.best, after.best, alike=alike)


def price(run: Run, traffic: Traffic | None, region: str | None) -> Pricing:
    """Plan a run's variants under the given traffic, else the recipe's, else an assumed one.

    A run that cannot be priced, for it has no latency, has its reason in place of a plan.

    Raises:
        InputError: the given region or traffic cannot be priced; what nobody gave raises nothing.
    """
    if run.smoke:
        return Pricing(None, "A smoke run is not priced: its figures say nothing.")
    from workbench.cost.catalog import Catalog
    from workbench.cost.planner import plan
    from workbench.cost.profile import profiles_of_run
    from workbench.cost.traffic import Traffic, recorded_traffic
    from workbench.report.html.cost import ASSUMED_REQUESTS

    try:
        profiles = profiles_of_run(run)
    except InputError as error:
        return Pricing(None, f"Not priced: {error}")
    asked = traffic or recorded_traffic(run)
    load = asked or Traffic(requests=ASSUMED_REQUESTS)
    where = region or REGION
    try:
        made = plan(profiles, load, Catalog.standard(), region=where, break_evens=False)
    except InputError as error:
        if traffic or region:
            raise
        return Pricing(None, f"Not priced: {error}")
    integer = {profile.name: profile.integer for profile in profiles}
    return Pricing(made, assumed=asked is None, integer=integer)


def plan_section(pricing: Pricing, chosen: str | None) -> str:
    """The ranked options, the bill of each variant's best one, and what they rest on."""
    made = pricing.plan
    if made is None:
        return f"<p>{text(pricing.why)}</p>"
    said = "".join(f"<li>{text(line)}</li>" for line in sentences(made))
    bills = list(_bills(made))
    shown = (chosen, made.baseline.variant)
    first = "".join(bill for name, bill in bills if name in shown)
    others = "".join(bill for name, bill in bills if name not in shown)
    ranked = "".join(grid_html(g, caption=f"Options for {g.title}") for g in cost_grids(made))
    return (
        f"<p>{text(pricing.asked)}.</p><ul class='notes'>{said}</ul>{first}"
        + (_folded("The bills of the other variants", others) if others else "")
        + _folded("All options, and why others are not possible", ranked)
    )


def _folded(title: str, inner: str) -> str:
    return f"<details class='fold'><summary>{title}</summary>{inner}</details>"


def price_sources(pricing: Pricing) -> list[tuple[str, str, str]]:
    """Source, date and confidence of each price in the best options' bills, each once."""
    if pricing.plan is None:
        return []
    prices = [
        line.price
        for variant in pricing.plan.variants
        if variant.best
        for line in variant.best.bill.lines
    ]
    return list(dict.fromkeys((p.source, p.as_of, p.confidence) for p in prices))


def _bills(made: Plan) -> Iterator[tuple[str, str]]:
    for variant in made.variants:
        if variant.best is None:
            continue
        for grid in explanation(made, variant.best.option):
            if grid.title.startswith(f"{variant.variant}: "):
                yield variant.variant, grid_html(grid, caption=f"Bill of {grid.title}")
