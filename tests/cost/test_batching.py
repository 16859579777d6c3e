"""Request batching: the bulk-service queue against a server event by event, and what it saves."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cost._batch_server import answered, quantile
from workbench.cost.batching import answers
from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.modifiers import Modifiers
from workbench.cost.options import options
from workbench.cost.options._service import UTILISATION, service
from workbench.cost.plan import Estimate
from workbench.cost.planner import cheapest, plan
from workbench.cost.profile import Point, ServiceProfile
from workbench.cost.queueing import Queue
from workbench.cost.traffic import Traffic
from workbench.errors import InputError

HALF, NEARLY = 0.5, 0.99
CURVES = {
    "gains a little": {1: 1.0, 2: 1.6, 4: 2.6, 8: 4.4},
    "gains much": {1: 1.0, 4: 1.2, 16: 1.8},
    "two sizes only": {1: 1.0, 8: 5.5},
}


def times(curve: dict[int, float]) -> tuple[float, ...]:
    """Of batches of 1, 2, …: on a line between the sizes of a curve."""
    found = [curve[1]]
    for (low, below), (high, above) in pairwise(curve.items()):
        step = (above - below) / (high - low)
        found += [below + step * n for n in range(1, high - low + 1)]
    return tuple(found)


def profile(curve: dict[int, float], ms: float = 5.0, threads: int = 1) -> ServiceProfile:
    points = tuple(
        Point(batch=size, threads=threads, mean_ms=ms * took, p50_ms=ms * took, p99_ms=ms * took)
        for size, took in curve.items()
    )
    return ServiceProfile(
        name="int8", cpu="ml.c6i.large", isa=("avx2", "avx512", "avx512_vnni"), cores=2,
        measured="2026-11-25", latency=points, memory_bytes=50_000_000, integer=True,
    )  # fmt: skip


def case(
    curve: dict[int, float], requests: float, batching: bool = True, ms: float = 5.0, **traffic
) -> Case:
    return Case(
        profile(curve, ms), Traffic(requests=requests, **traffic), Catalog.standard(),
        modifiers=Modifiers(batching=batching),
    )  # fmt: skip


def usd(option: str, of: Case) -> float:
    found = cheapest(of, options()[option]())
    assert isinstance(found, Estimate), found
    return float(found.usd.mid)


# --- the formula against the server event by event ----------------------------------------------


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("busy", [0.1, 0.3, 0.5, 0.7])
def test_one_lane_is_as_in_the_simulation(name, busy):
    ours = times(CURVES[name])
    rate = busy * len(ours) / ours[-1]
    found = answers(ours, 0.7, (HALF, NEARLY))
    seen = answered(ours, rate, lanes=1, count=150_000)
    assert found.response(rate, 0) == pytest.approx(quantile(seen, HALF), rel=0.03)
    assert found.response(rate, 1) == pytest.approx(quantile(seen, NEARLY), rel=0.03)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("lanes", [2, 4, 8])
def test_lanes_that_share_a_line_answer_no_later_than_lanes_alone(name, lanes):
    ours = times(CURVES[name])
    found = answers(ours, 0.7, (HALF, NEARLY))
    for busy in (0.2, 0.45, 0.7):
        rate = busy * len(ours) / ours[-1]
        seen = answered(ours, rate * lanes, lanes, count=60_000)
        for number, q in enumerate((HALF, NEARLY)):
            assert quantile(seen, q) <= found.response(rate, number) * 1.03


def test_services_that_spread_are_covered_by_their_own_quantile():
    spreading = {1: 5.0, 2: 8.0, 4: 13.0, 8: 22.0}
    points = tuple(
        Point(batch=size, mean_ms=ms, p50_ms=ms * 0.98, p99_ms=ms * 1.5)
        for size, ms in spreading.items()
    )
    asked = case(CURVES["gains a little"], 1e6)
    made = profile(CURVES["gains a little"]).model_copy(update={"latency": points})
    one = service(Case(made, asked.traffic, asked.catalog, modifiers=asked.modifiers), 1.0)
    for busy in (0.5, 0.7):
        rate = busy * 8 / 0.022
        served = one._batched(one.batches[-1], rate, 1)
        seen = answered([t / 1000 for t in times(spreading)], rate, 1, 100_000, sigma=0.183)
        assert quantile(seen, NEARLY) <= served.p99_s * 1.02
        assert served.p99_s <= quantile(seen, NEARLY) * 1.35


def test_without_load_a_request_is_alone_and_more_load_is_never_sooner():
    found = answers(times(CURVES["gains a little"]), 0.7, (HALF, NEARLY))
    assert found.response(0.0, 0) == found.response(0.0, 1) == 1.0
    for column in found.times:
        assert list(column) == sorted(column)
    assert found.response(found.rates[-1] * 1.01, 1) == float("inf")


@settings(max_examples=20, deadline=None)
@given(st.floats(1.0, 30.0))
def test_the_highest_rate_keeps_the_objective_and_no_higher_one_does(objective):
    found = answers(times(CURVES["gains a little"]), 0.7, (HALF, NEARLY))
    most = found.most(objective, 1)
    assert found.response(most, 1) <= objective * (1 + 1e-9)
    if 1e-9 < most < found.rates[-1]:  # not where all differences are rounding
        assert found.response(most * 1.01, 1) > objective


# --- what it changes --------------------------------------------------------------------------


def test_full_batches_need_fewer_lanes_at_a_high_rate_and_none_fewer_at_a_low_one():
    asked = case(CURVES["gains a little"], 1e6)
    batched, alone = service(asked, 1.0), service(case(CURVES["gains a little"], 1e6, False), 1.0)
    assert alone.batches == ()
    few, many = batched.lanes(2000, 1.0), alone.lanes(2000, 1.0)
    assert few is not None
    assert many is not None
    assert few == pytest.approx(many * 4.4 / 8, abs=1)
    assert batched.lanes(1.0, 1.0) == alone.lanes(1.0, 1.0) == 1
    assert batched.served(1.0, 1, 1.0) == alone.served(1.0, 1, 1.0)
    assert batched.served(1.0, 1, 1.0).batch == 1


def test_a_tight_objective_takes_smaller_batches_or_none():
    one = service(case(CURVES["gains a little"], 1e6), 1.0)
    rate = 1500.0
    sizes = []
    for objective in (0.0055, 0.02, 0.03, 1.0):
        lanes = one.lanes(rate, objective)
        assert lanes is not None
        served = one.served(rate, lanes, objective)
        assert served.p99_s <= objective * (1 + 1e-6)
        sizes.append(served.batch)
    assert sizes[0] == 1
    assert sizes == sorted(sizes)
    assert sizes[-1] == 8


def test_no_size_is_taken_that_was_not_measured_nor_one_that_loses():
    sizes = [b.size for b in service(case({1: 1.0, 3: 1.5, 8: 9.0}, 1e6), 1.0).batches]
    assert sizes == [3]
    losing = case({1: 1.0, 8: 8.8}, 2e9)
    assert service(losing, 1.0).batches == ()
    without = case({1: 1.0, 8: 8.8}, 2e9, batching=False)
    ours, theirs = (cheapest(one, options()["ec2"]()) for one in (losing, without))
    assert isinstance(ours, Estimate)
    assert isinstance(theirs, Estimate)
    assert (ours.place, ours.usd, ours.p99_ms) == (theirs.place, theirs.usd, theirs.p99_ms)


def test_one_batch_size_is_refused_with_what_is_missing():
    with pytest.raises(InputError, match="more than one batch size, 1 among them; int8 has 1"):
        plan(
            [profile({1: 1.0})], Traffic(requests=1e6), Catalog.standard(),
            modifiers=Modifiers(batching=True), chosen=["real-time"], break_evens=False,
        )  # fmt: skip


def test_points_of_other_threads_and_sequences_are_not_mixed_in():
    mixed = profile(CURVES["two sizes only"]).model_copy(
        update={
            "latency": (
                Point(batch=1, sequence=128, mean_ms=10.0),
                Point(batch=8, sequence=128, mean_ms=60.0),
                Point(batch=8, sequence=128, threads=2, mean_ms=5.0),
                Point(batch=8, sequence=16, mean_ms=8.0),
            )
        }
    )
    asked = case(CURVES["two sizes only"], 1e6)
    one = service(Case(mixed, asked.traffic, asked.catalog, modifiers=asked.modifiers), 1.0)
    assert [(b.size, b.times[-1]) for b in one.batches] == [(8, 6.0)]


OPTIONS = ("real-time", "target-tracking", "scheduled", "ec2", "fargate")


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(OPTIONS),
    st.sampled_from(sorted(CURVES)),
    st.floats(1e4, 3e9),
    st.sampled_from([None, 12.0, 40.0, 200.0]),
)
def test_batching_is_never_dearer(option, name, requests, p99_ms):
    on, off = (
        cheapest(case(CURVES[name], requests, batching, p99_ms=p99_ms), options()[option]())
        for batching in (True, False)
    )
    if not isinstance(off, Estimate):
        return
    assert isinstance(on, Estimate)
    assert on.usd.mid <= off.usd.mid
    assert on.bill.usd == sum(line.usd for line in on.bill.lines)
    if p99_ms is not None:
        assert on.p99_ms.high <= p99_ms * (1 + 1e-6)


def test_at_a_high_rate_every_option_on_instances_gains():
    for option in OPTIONS:
        curve = CURVES["gains much"]
        assert usd(option, case(curve, 2e9)) < 0.6 * usd(option, case(curve, 2e9, False))


def test_what_runs_one_request_at_a_time_is_unchanged_and_says_so():
    for option in ("serverless", "lambda"):
        on, off = (
            cheapest(case(CURVES["gains much"], 1e6, b, cold_start_share=1.0), options()[option]())
            for b in (True, False)
        )
        assert isinstance(on, Estimate)
        assert isinstance(off, Estimate)
        assert on.bill == off.bill
        assert "one request at a time" in on.capacity.assumptions[-1]


def test_the_batch_and_what_is_assumed_of_it_stand_beside_the_result():
    found = cheapest(case(CURVES["gains much"], 2e9), options()["real-time"]())
    assert isinstance(found, Estimate)
    assert found.capacity.batch == 16
    assert any("at most 16 (MAX_BATCH)" in said for said in found.capacity.assumptions)


def test_requests_of_different_models_do_not_run_together():
    asked = case(CURVES["gains much"], 2e9)
    many = Case(asked.profile, asked.traffic, asked.catalog, modifiers=asked.modifiers, portfolio=4)
    for option in ("ec2", "multi-container", "multi-model"):
        found = cheapest(many, options()[option]())
        assert isinstance(found, Estimate)
        assert found.capacity.batch == 1
    own = cheapest(many, options()["real-time"]())
    assert isinstance(own, Estimate)
    assert own.capacity.batch is not None
    assert own.capacity.batch > 1


def test_batches_stay_below_the_ceiling_of_utilisation():
    one = service(case(CURVES["gains a little"], 1e6), 1.0)
    lanes = one.lanes(3000, float("inf"))
    assert lanes is not None
    assert 3000 * 0.022 / 8 / lanes <= UTILISATION * (1 + 1e-9)
    assert not Queue(3000, 0.005, lanes).stable
