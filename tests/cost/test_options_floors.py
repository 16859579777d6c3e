"""What the search for the cheapest relies on: floors are floors, in the same order always."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from tests.cost.profiles import before_and_after
from workbench.cost.case import Case
from workbench.cost.catalog import Catalog, PriceMissingError
from workbench.cost.modifiers import Modifiers
from workbench.cost.options import Option, Place, options
from workbench.cost.plan import Estimate
from workbench.cost.planner import estimate
from workbench.cost.profile import Point
from workbench.cost.savings_plan import SavingsPlan
from workbench.cost.traffic import Bursts, OfficeHours, Traffic

SHAPES = (
    {},
    {"shape": OfficeHours(), "batchable": 1.0},
    {"shape": Bursts(count=8, minutes=15, height=10), "availability": "redundant"},
)
PORTFOLIOS = (1, 20)
VOLUMES = (3e3, 2e6, 3e8)
ROUNDED = Decimal("1e-12")


def case(requests: float, portfolio: int, **traffic) -> Case:
    load = Traffic(requests=requests, cold_start_share=1.0, **traffic)
    return Case(before_and_after()[1], load, Catalog.standard(), portfolio=portfolio)


def floors(asked: Case, option: Option) -> dict[Place, Decimal]:
    found = {}
    for place in option.places(asked):
        try:
            found[place] = option.floor(asked, place)
        except PriceMissingError:
            assert not isinstance(estimate(asked, option, place), Estimate)
    return found


@pytest.mark.parametrize("portfolio", PORTFOLIOS)
@pytest.mark.parametrize("traffic", SHAPES)
@pytest.mark.parametrize("name", options())
def test_floors_are_not_above_the_costs_and_in_the_same_order_at_every_volume(
    name, traffic, portfolio
):
    option = options()[name]()
    before: dict[Place, Decimal] = {}
    for requests in reversed(VOLUMES):
        asked = case(requests, portfolio, **traffic)
        now = floors(asked, option)
        for place in list(now)[::7]:
            found = estimate(asked, option, place)
            assert not isinstance(found, Estimate) or now[place] <= found.usd.mid
        ordered = [now[place] for place in sorted(now, key=before.get)] if before else []
        assert all(a <= b * (1 + ROUNDED) for a, b in pairwise(ordered))
        before = now


@pytest.mark.parametrize("name", options())
def test_the_reasons_against_a_place_do_not_depend_on_the_volume(name):
    option = options()[name]()
    for portfolio in PORTFOLIOS:
        few, many = (case(requests, portfolio) for requests in VOLUMES[::2])
        for place in option.places(few):
            assert option.reasons(few, place) == option.reasons(many, place)


@pytest.mark.parametrize("requests", VOLUMES)
@pytest.mark.parametrize("name", options())
def test_floors_hold_under_modifiers(name, requests):
    one = before_and_after()[1]
    eight = Point(batch=8, mean_ms=60.0, p50_ms=59.0, p99_ms=70.0)
    batched = one.model_copy(update={"latency": (*one.latency, eight)})
    asked = replace(
        case(requests, 1), profile=batched,
        modifiers=Modifiers(batching=True, cache_hits=0.5, private_link=2),
    )  # fmt: skip
    option = options()[name]()
    for place, least in list(floors(asked, option).items())[::7]:
        found = estimate(asked, option, place)
        assert not isinstance(found, Estimate) or least <= found.usd.mid


@pytest.mark.parametrize("commitment", [None, Decimal("0.02"), Decimal(3)])
@pytest.mark.parametrize("name", ["real-time", "serverless", "target-tracking"])
def test_floors_hold_under_a_savings_plan(name, commitment):
    paid = SavingsPlan(discount=Decimal("0.3"), commitment=commitment)
    asked = replace(case(2e6, 1), savings_plan=paid)
    option = options()[name]()
    for place, least in floors(asked, option).items():
        found = estimate(asked, option, place)
        if isinstance(found, Estimate):
            floor = paid.least(least, asked.hours, covers=option.savings_plan)
            assert floor <= found.usd.mid
