"""The cost explorer's findings: they are the engine's, at every step and any discount."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cost.profiles import before_and_after
from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.estimates import Sized, reasons_against, size, sized
from workbench.cost.explorer import axes, cost_answer, explore
from workbench.cost.explorer.answer import saved
from workbench.cost.explorer.prices import PriceBook
from workbench.cost.explorer.search import ROOM, Search
from workbench.cost.options import NotPossibleError, Option, Place, TooSlowError, options
from workbench.cost.planner import plan
from workbench.cost.savings_plan import MOST, SavingsPlan
from workbench.cost.traffic import Bursts, Constant, OfficeHours, Traffic
from workbench.errors import InputError
from workbench.progress import Progress, Work
from workbench.store import Store

CATALOG = Catalog.standard()
REGIONS = ("us-east-1", "eu-west-1")
SHAPES = (Constant(), OfficeHours(), Bursts(count=8, minutes=15, height=10))
INT8 = before_and_after()[1]


def places(option: Option, case: Case, most: int) -> list[Place]:
    found = list(option.places(case))
    return random.Random(7).sample(found, min(most, len(found)))


# --- what options promise, on which the explorer rests -----------------------------------------


@pytest.mark.parametrize("name", [n for n, kind in options().items() if kind.unmoved])
def test_an_objective_with_room_to_spare_changes_nothing(name):
    option = options()[name]()
    for shape in SHAPES:
        for requests in (1e4, 3e6, 1e8):
            case = Case(INT8, Traffic(requests=requests, shape=shape), CATALOG)
            for place in places(option, case, 2):
                free = sized(case, option, place)
                if not isinstance(free, Sized):
                    continue
                slowest = max(capacity.p99_ms for capacity in free.capacities)
                bound = case.traffic.model_copy(update={"p99_ms": slowest * ROOM})
                assert sized(replace(case, traffic=bound), option, place) == free


@pytest.mark.parametrize("name", [n for n, kind in options().items() if not kind.regional])
def test_what_an_option_uses_is_the_same_in_all_regions_unless_it_is_regional(name):
    option = options()[name]()
    traffic = Traffic(requests=2e7, shape=OfficeHours(), p99_ms=150.0)
    here, there = (Case(INT8, traffic, CATALOG, region) for region in REGIONS)
    for place in places(option, here, 4):
        assert sized(here, option, place) == sized(there, option, place)


@pytest.mark.parametrize("name", list(options()))
def test_what_is_too_slow_is_so_at_every_volume_with_the_same_words(name):
    option = options()[name]()

    def said(case: Case, place: Place) -> tuple[bool, str]:
        try:
            size(case, option, place)
        except NotPossibleError as error:
            return isinstance(error, TooSlowError), str(error)
        return False, ""

    for shape in SHAPES:
        cases = [
            Case(INT8, Traffic(requests=requests, shape=shape, p99_ms=15.0), CATALOG)
            for requests in (1e3, 2e5, 5e7)
        ]
        for place in places(option, cases[0], 3):
            if not reasons_against(cases[0], option, place):
                found = {said(case, place) for case in cases}
                assert len(found) == 1 or not any(too_slow for too_slow, _ in found)


# --- the search --------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(before_and_after()),
    st.sampled_from(SHAPES),
    st.floats(3.0, 8.5),
    st.sampled_from([None, 40.0, 90.0, 400.0]),
    st.sampled_from([0, 1, 20, 40, 64]),
    st.sampled_from(REGIONS),
)
def test_the_choices_hold_the_planners_at_any_discount(
    profile, shape, power, objective, percent, region
):
    traffic = Traffic(requests=10**power, shape=shape)
    book = PriceBook(CATALOG)
    kinds = [kind() for kind in options().values()]
    search = Search(profile, traffic, kinds, REGIONS, book, 730)
    *_, found = search.at(traffic.requests, [None] if objective is None else [None, objective])
    paid = SavingsPlan(discount=Decimal(percent) / 100) if percent else None
    made = plan(
        [profile], traffic.model_copy(update={"p99_ms": objective}), CATALOG, region=region,
        savings_plan=paid, break_evens=False,
    ).variants[0]  # fmt: skip
    best: dict[str, tuple[Decimal, int, str]] = {}
    for order, choice in enumerate(found.choices):
        usd = choice.usd(book, region)
        if choice.only in ("", region) and not isinstance(usd, str):
            # Rounded beyond what 28 digits may differ by, as it is not added up line by line here.
            total = round(usd[0] * (1 - Decimal(percent) / 100) + usd[1], 15)
            this = (total, order, str(choice.place))
            best[choice.option.name] = min(this, best.get(choice.option.name, this))
    ranked = sorted(best, key=lambda name: best[name])
    assert ranked == [estimate.option for estimate in made.estimates]
    for estimate in made.estimates:
        assert best[estimate.option][0] == round(estimate.usd.mid, 15)
        assert best[estimate.option][2] == str(estimate.place)
    refused = [(refusal.option, refusal.reasons) for refusal in made.refusals]
    assert list(found.refused[region]) == refused


# --- steps -------------------------------------------------------------------------------------


def test_the_volumes_ascend_five_to_a_decade_with_the_traffics_own():
    steps = axes.volumes(Traffic(requests=3_210_000))
    assert steps == tuple(sorted(steps))
    assert (steps[0], steps[-1], len(steps)) == (1e3, 1e8, 27)
    assert 3_210_000 in steps
    assert axes.volumes(Traffic(requests=1e9))[-1] == 1e9
    assert len(axes.volumes(Traffic(requests=1e6))) == 26


@given(st.lists(st.floats(0.05, 5000), min_size=1, max_size=5), st.none() | st.floats(1, 9999))
def test_the_objectives_are_few_and_lie_about_what_was_measured(times, own):
    point = INT8.latency[0]
    profiles = [
        INT8.model_copy(update={"latency": (point.model_copy(update={"p99_ms": ms}),)})
        for ms in times
    ]
    found = axes.objectives(profiles, own)
    assert found[0] is None
    given_ = [ms for ms in found[1:] if ms is not None]
    assert given_ == sorted(set(given_))
    assert own is None or own in found
    nice = [ms for ms in given_ if ms != own]
    assert len(given_) <= axes.MOST_OBJECTIVES + 1
    assert all(ms >= 2 * min(times) for ms in nice)
    # One is tight for the fastest, and one is loose for the slowest.
    assert min(given_) <= 2 * min(times) * 2.5 or (own is not None and own in given_)
    assert max(given_) >= 4 * max(times)


def test_the_regions_are_those_where_instances_are_priced():
    found = axes.regions(CATALOG, "eu-central-1")
    assert found[0] == "eu-central-1"
    assert {"us-east-1", "eu-west-1", "us-west-2", "ap-northeast-1"} <= set(found)
    assert len(found) == len(set(found))


# --- the whole ---------------------------------------------------------------------------------


class Told(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.done: list[float] = []
        self.reused: list[bool] = []

    def plan(self, works: list[Work]) -> None:
        assert len(works) == 1

    def advance(self, done: float, total: float) -> None:
        self.done.append(done / total)

    def finish(self, label: str, seconds: float, *, reused: bool, detail: str = "") -> None:
        self.reused.append(reused)


@pytest.fixture(scope="module")
def one_variant(tmp_path_factory):
    store, told = Store(tmp_path_factory.mktemp("store")), Told()
    traffic = Traffic(requests=2e6, p99_ms=200.0)
    found = explore([INT8], traffic, CATALOG, region="us-east-1", store=store, progress=told)
    return store, told, traffic, found


def test_what_was_explored_once_comes_from_the_store(one_variant):
    store, told, traffic, found = one_variant
    again = Told()
    assert (
        explore([INT8], traffic, CATALOG, region="us-east-1", store=store, progress=again) == found
    )
    assert (told.reused, again.reused, again.done) == ([False], [True], [])
    assert told.done[-1] == 1.0
    assert told.done == sorted(told.done)


def test_other_prices_profiles_and_traffic_are_explored_anew(one_variant, tmp_path, monkeypatch):
    store, _, traffic, _ = one_variant
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "- {type: ml.c6i.large, mode: hosting, region: us-east-1, usd: 0.0001, source: ours,"
        " as_of: 2026-11-01}\n"
    )

    class AnewError(Exception):
        pass

    def anew(*_: object) -> None:
        raise AnewError

    monkeypatch.setattr("workbench.cost.explorer.compute._explored", anew)
    slower = INT8.model_copy(update={"memory_bytes": 130_000_000})
    for profile, load, catalog, region in (
        (slower, traffic, CATALOG, "us-east-1"),
        (INT8, traffic.scaled(3e6), CATALOG, "us-east-1"),
        (INT8, traffic, CATALOG.overlay(prices), "us-east-1"),
        (INT8, traffic, CATALOG, "eu-west-1"),
    ):
        with pytest.raises(AnewError):
            explore([profile], load, catalog, region=region, store=store)
    monkeypatch.setattr("workbench.cost.explorer.compute._code", lambda: "another engine")
    with pytest.raises(AnewError):
        explore([INT8], traffic, CATALOG, region="us-east-1", store=store)


def test_a_variant_takes_little_room_in_a_page(one_variant):
    text = one_variant[3].text
    assert len(gzip.compress(text.encode())) * 4 / 3 < 30_000 + 600_000 / 20
    data = json.loads(text)
    assert data["volumes"][data["own"]] == "2000000.0"
    assert data["objectives"][data["asked"]] == 200.0


def test_a_region_without_prices_is_an_error():
    with pytest.raises(InputError, match="us-east-11"):
        explore([INT8], Traffic(requests=1e6), CATALOG, region="us-east-11")


# --- the answer --------------------------------------------------------------------------------


def test_the_answer_is_the_plans_best_against_the_baseline():
    found = cost_answer(before_and_after(), Traffic(requests=4e8, p99_ms=200.0), CATALOG)
    assert found.baseline
    assert found.best
    assert found.saved
    assert found.best.variant == "int8"
    assert found.saved.mid == found.baseline.usd.mid - found.best.usd.mid > 0
    assert found.saved.low <= found.saved.mid <= found.saved.high
    assert found.share == found.saved.mid / found.baseline.usd.mid
    assert not found.measured


def test_nothing_is_saved_where_the_baseline_is_the_best():
    found = cost_answer(before_and_after()[:1], Traffic(requests=1e6), CATALOG)
    assert found.saved
    assert found.saved.low == found.saved.mid == found.saved.high == 0


def test_there_is_no_answer_where_nothing_is_possible():
    found = cost_answer(before_and_after(), Traffic(requests=1e6, p99_ms=1.0), CATALOG)
    assert (found.best, found.baseline, found.saved, found.share) == (None, None, None, None)
    assert not found.measured


def test_a_saving_is_taken_end_by_end_only_where_one_unknown_makes_both():
    fp32, int8 = (
        variant.best
        for variant in plan(
            before_and_after(), Traffic(requests=1e6), CATALOG, chosen=["serverless"],
            break_evens=False,
        ).variants
    )  # fmt: skip
    assert fp32
    assert int8
    assert fp32.usd.low < fp32.usd.high
    wide, tight = saved(fp32, int8, alike=False), saved(fp32, int8, alike=True)
    assert (wide.low, wide.high) == (fp32.usd.low - int8.usd.high, fp32.usd.high - int8.usd.low)
    assert (tight.low, tight.high) == (fp32.usd.low - int8.usd.low, fp32.usd.high - int8.usd.high)
    elsewhere = int8.model_copy(update={"basis": "measured on this family (measured)"})
    assert saved(fp32, elsewhere, alike=True) == wide


def test_the_largest_discount_is_the_savings_plans():
    assert SavingsPlan(discount=MOST).discount == MOST
    assert int(MOST * 100) == MOST * 100
