"""The frontier of cost and p99: nothing on it beats another, and nothing beside it beats it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cost.profiles import before_and_after
from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.frontier import ALIKE, frontier
from workbench.cost.options import options
from workbench.cost.plan import Estimate, FrontierPoint, Plan
from workbench.cost.planner import estimate, plan
from workbench.cost.ranges import exactly
from workbench.cost.traffic import Traffic
from workbench.report.costs import frontier_csv, frontier_grids

SOME = ("serverless", "lambda", "fargate", "real-time", "ec2-spot")


def asked(requests: float, **traffic) -> Plan:
    return plan(
        before_and_after(), Traffic(requests=requests, **traffic), Catalog.standard(),
        chosen=SOME, break_evens=False, frontier=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def any_estimate() -> Estimate:
    best = asked(2e6).variants[0].best
    assert best
    return best


def beats(one: Estimate, other: Estimate) -> bool:
    ours, theirs = (one.usd.mid, one.p99_ms.mid), (other.usd.mid, other.p99_ms.mid)
    return ours != theirs and ours[0] <= theirs[0] and ours[1] <= theirs[1]


def check(points: tuple[FrontierPoint, ...], everything: list[Estimate]) -> None:
    on = [point.estimate for point in points]
    assert not any(beats(a, b) for a in on for b in on)
    for found in everything:
        assert any(
            point.usd.mid <= found.usd.mid
            and point.p99_ms.mid <= found.p99_ms.mid / (1 - ALIKE) * (1 + 1e-9)
            for point in on
        )


@settings(max_examples=60, deadline=None)
@given(costs=st.lists(st.tuples(st.integers(0, 30), st.floats(1, 1000)), max_size=30))
def test_of_any_costs_and_latencies_the_frontier_is_what_nothing_beats(costs, any_estimate):
    everything = [
        any_estimate.model_copy(update={"usd": exactly(usd), "p99_ms": exactly(p99)})
        for usd, p99 in sorted(costs)
    ]
    points = frontier(everything)
    assert bool(points) == bool(everything)
    check(points, everything)
    assert all(point.usd_per_ms is not None and point.usd_per_ms > 0 for point in points[1:])


@settings(max_examples=6, deadline=None)
@given(requests=st.floats(1e3, 5e8), objective=st.sampled_from((None, 25.0, 200.0)))
def test_the_cheapest_of_each_variant_is_on_its_frontier(requests, objective):
    made = asked(requests, p99_ms=objective)
    catalog, everything = Catalog.standard(), []
    for variant, profile in zip(made.variants, before_and_after(), strict=True):
        case = Case(profile, Traffic(requests=requests, p99_ms=objective), catalog)
        kinds = [options()[name]() for name in SOME]
        found = [estimate(case, kind, place) for kind in kinds for place in kind.places(case)]
        possible = [one for one in found if isinstance(one, Estimate)]
        everything += possible
        assert (variant.frontier[0].estimate if variant.frontier else None) == variant.best
        check(variant.frontier, possible)
    check(made.frontier, everything)
    if made.frontier:
        best = [variant.best for variant in made.variants if variant.best]
        assert made.frontier[0].estimate.usd.mid == min(one.usd.mid for one in best)


def test_what_a_millisecond_costs_is_the_slope_between_neighbours():
    made = asked(30e6)
    assert len(made.frontier) > 1
    assert made.frontier[0].usd_per_ms is None
    for before, after in pairwise(made.frontier):
        saved = before.estimate.p99_ms.mid - after.estimate.p99_ms.mid
        dearer = float(after.estimate.usd.mid - before.estimate.usd.mid)
        assert float(after.usd_per_ms or 0) == pytest.approx(dearer / saved)


def test_it_is_made_only_where_it_is_asked_for():
    made = plan(
        before_and_after(), Traffic(requests=1e6), Catalog.standard(),
        chosen=["serverless"], break_evens=False,
    )  # fmt: skip
    assert not made.frontier
    assert not made.variants[0].frontier


def test_table_and_csv_have_a_row_for_each_point():
    made = asked(30e6)
    grids = list(frontier_grids(made))
    assert [len(grid.rows) for grid in grids] == [
        len(made.frontier), *(len(variant.frontier) for variant in made.variants)
    ]  # fmt: skip
    assert any("alike" in note for note in grids[-1].notes)
    rows = frontier_csv(made).splitlines()
    assert len(rows) == 1 + sum(len(grid.rows) for grid in grids)
    assert rows[1].startswith("all,")
