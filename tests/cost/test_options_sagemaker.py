"""SageMaker's options beside the fixed endpoint: known cases by hand, limits, and orders."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog, Key, PriceMissingError
from workbench.cost.money import Price, Quantity, Unit, hours
from workbench.cost.options import NotPossibleError, Option, Place, options
from workbench.cost.options import asynchronous as asynchronous_module
from workbench.cost.options._levels import minutes, rate_of, sustained_rps
from workbench.cost.options._scaling import followed, highest
from workbench.cost.options._zero import to_zero
from workbench.cost.options.multi_model import slots
from workbench.cost.options.pipeline import Pipeline
from workbench.cost.plan import Estimate
from workbench.cost.planner import cheapest
from workbench.cost.profile import Point, ServiceProfile
from workbench.cost.simulation import (
    simulate_multi_model,
    simulate_scale_to_zero,
    simulate_serverless,
    simulate_target_tracking,
)
from workbench.cost.traffic import Bursts, Constant, Daily, OfficeHours, Traffic

CATALOG = Catalog.standard()
EAST = "us-east-1"
LARGE = Place(instance_type="ml.c6i.large")
"""One physical core, 4 GiB, on which the profile is said to have been measured."""
ONE_GB = Place(memory_mb=1024)
HOUR = CATALOG.hourly("ml.c6i.large", EAST, "hosting").usd
GB = Decimal("0.016")
VOLUME = Decimal("0.14") * 5
"""Of an instance's month: 5 GB."""
OURS = (
    "asynchronous", "batch-transform", "hybrid", "inference-components", "multi-container",
    "multi-model", "pipeline", "scheduled", "serverless", "serverless-provisioned",
    "target-tracking",
)  # fmt: skip
DAY = Daily(weights=(1.0,) * 12 + (4.0,) * 12)


def case(
    count: float = 2_000_000,
    *,
    mean_ms: float = 20.0,
    memory: int | None = 300_000_000,
    hours: int = 730,
    portfolio: int = 1,
    catalog: Catalog = CATALOG,
    model_bytes: int = 90_000_000,
    **traffic: Any,
) -> Case:
    profile = ServiceProfile(
        name="int8", cpu="ml.c6i.large", isa=("avx2", "avx512", "avx512_vnni"), cores=1,
        measured="2026-11-25", latency=(Point(mean_ms=mean_ms, p50_ms=mean_ms, p99_ms=mean_ms),),
        memory_bytes=memory, model_bytes=model_bytes, load_s=1.0,
    )  # fmt: skip
    return Case(
        profile, Traffic(requests=count, **traffic), catalog, EAST, hours, portfolio=portfolio
    )


def option(name: str) -> Option:
    return options()[name]()


def usd_by_line(of: str, of_case: Case, place: Place, speed: float = 1.0) -> dict[str, Decimal]:
    kind = option(of)
    found = kind.capacity(of_case, place, speed)
    bill = kind.bill(found.units, place, of_case.catalog, of_case.region)
    assert bill.usd == sum((line.usd for line in bill.lines), Decimal(0))
    return {line.item: line.usd for line in bill.lines}


def data(count: float, size_in: int = 1024, size_out: int = 4096) -> dict[str, Decimal]:
    return {
        "data in": GB * Decimal(str(count)) * size_in / 10**9,
        "data out": GB * Decimal(str(count)) * size_out / 10**9,
    }


def close(found: dict[str, Decimal], expected: dict[str, Decimal], rel: float = 1e-9) -> bool:
    assert set(found) == set(expected)
    return {k: float(v) for k, v in found.items()} == pytest.approx(
        {k: float(v) for k, v in expected.items()}, rel=rel
    )


# --- all of them -------------------------------------------------------------------------------


def test_all_of_them_are_found_and_say_what_they_are():
    for name in OURS:
        assert options()[name].title().endswith(".")


@pytest.mark.parametrize("name", OURS)
def test_an_estimate_has_lines_with_sources_that_add_up_or_a_refusal_has_a_sentence(name):
    for of in (
        case(batchable=1.0, cold_start_share=1.0),
        case(2e8, shape=DAY, p99_ms=200),
        case(portfolio=10),
        case(3000, cold_start_share=1.0),
    ):
        found = cheapest(of, option(name))
        if not isinstance(found, Estimate):
            assert found.reasons
            assert all(reason.endswith(".") for reason in found.reasons)
            continue
        assert found.usd.low <= found.usd.mid <= found.usd.high
        assert found.usd.mid == sum((line.usd for line in found.bill.lines), Decimal(0)) > 0
        for line in found.bill.lines:
            assert line.price.source
            assert line.price.as_of
        assert all(sentence.endswith(".") for sentence in found.capacity.assumptions)


@pytest.mark.parametrize("name", OURS)
def test_an_unknown_price_is_refused_and_never_zero(name):
    one = next(iter(CATALOG.prices.values()))
    empty = Catalog(CATALOG.types, {Key("aws", "hosting", "x", EAST): one}, {})
    names = (
        "instances", "duration", "provisioned uptime", "provisioned duration",
        "serverless duration",
    )  # fmt: skip
    seconds = Quantity(amount=Decimal(1), unit=Unit.SECOND)
    units = {n: hours(1) if n == "instances" else seconds for n in names}
    place = Place(instance_type="ml.c6i.large", memory_mb=1024)
    with pytest.raises(PriceMissingError):
        option(name).bill(units, place, empty, EAST)


@pytest.mark.parametrize(
    "name", ["target-tracking", "scheduled", "asynchronous", "serverless", "hybrid", "multi-model"]
)
@given(
    count=st.floats(1e3, 2e8),
    factor=st.floats(1.0, 50.0),
    shape=st.sampled_from([Constant(), DAY, OfficeHours(), Daily(peak_to_mean=3)]),
)
@settings(max_examples=25, deadline=None)
def test_more_traffic_never_costs_less(name, count, factor, shape):
    portfolio = 10 if name == "multi-model" else 1
    place = Place(instance_type="ml.c6i.large", memory_mb=1024)
    few = case(count, shape=shape, cold_start_share=1.0, portfolio=portfolio)
    many = replace(few, traffic=few.traffic.scaled(count * factor))
    totals = []
    for of in (few, many):
        try:
            totals.append(sum(usd_by_line(name, of, place).values()))
        except NotPossibleError:
            return
    assert totals[1] >= totals[0] * (1 - Decimal("1e-9"))


@pytest.mark.parametrize("name", ["target-tracking", "asynchronous", "batch-transform"])
@given(factor=st.decimals(1, 10, places=3))
@settings(max_examples=20, deadline=None)
def test_a_dearer_hour_never_costs_less(name, factor):
    dearer = {k: p.times(factor, "dearer") for k, p in CATALOG.prices.items() if k.region == EAST}
    of = case(1e6, shape=DAY, batchable=1.0)
    more = replace(of, catalog=Catalog(CATALOG.types, {**CATALOG.prices, **dearer}, CATALOG.absent))
    before, after = (sum(usd_by_line(name, c, LARGE).values()) for c in (of, more))
    assert before <= after <= before * factor


# --- serverless --------------------------------------------------------------------------------


def test_serverless_is_requests_times_seconds_times_gb():
    # 2 M requests of 20 ms on 1 GB: 40,000 s at 0.00002 USD; requests cost nothing.
    expected = {"duration": Decimal("0.8"), "requests": Decimal(0), **data(2e6)}
    assert close(usd_by_line("serverless", case(), ONE_GB), expected)


def test_serverless_memory_is_paid_in_proportion_and_milliseconds_are_whole():
    # 20.4 ms are billed as 21: 2 M of them are 42,000 s; 3 GB cost three times 0.00002 USD.
    found = usd_by_line("serverless", case(mean_ms=20.4), Place(memory_mb=3072))
    assert found["duration"] == Decimal(42_000) * Decimal("0.00006")


def test_serverless_has_the_published_memory_sizes():
    sizes = [place.memory_mb for place in option("serverless").places(case())]
    assert sizes == [1024, 2048, 3072, 4096, 5120, 6144]


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (case(payload_in_bytes=5_000_000), "limit of 4 MB"),
        (case(payload_out_bytes=5_000_000), "limit of 4 MB"),
        (case(mean_ms=61_000), "time-out is 60 s"),
        (case(memory=7_000_000_000), "7.1 GB of memory are needed"),
        (case(model_bytes=6_000_000_000), "disk's 5 GB"),
        (case(portfolio=51), "a region takes 50 endpoints"),
    ],
)
def test_serverless_says_which_limit_is_in_the_way(of, words):
    assert words in " ".join(option("serverless").reasons(of, ONE_GB))


def test_serverless_is_refused_above_200_at_a_time():
    # 11,416 a second of 20 ms are 228 at a time on average.
    with pytest.raises(NotPossibleError, match="the limit is 200 at a time"):
        option("serverless").capacity(case(3e10), ONE_GB, 1.0)


def test_serverless_is_refused_where_too_many_meet_a_cold_start():
    with pytest.raises(NotPossibleError, match="meet a cold start"):
        option("serverless").capacity(case(1000), ONE_GB, 1.0)


def test_serverless_agrees_with_the_simulation():
    of = case(1e5, cold_start_share=1.0)
    found = option("serverless").capacity(of, ONE_GB, 1.0)
    simulated = simulate_serverless(of.per_minute, 0.02, 0.0, 3.0, 200, 300)
    assert found.cold_share == pytest.approx(simulated.cold_share, abs=0.001)
    assert float(found.units["duration"].amount) == pytest.approx(simulated.billed_s, rel=0.02)


def test_provisioned_concurrency_is_refused_without_its_price():
    found = cheapest(case(), option("serverless-provisioned"))
    assert not isinstance(found, Estimate)
    assert "provisioned-usage" in " ".join(found.reasons)


def test_provisioned_concurrency_has_lines_for_uptime_and_duration():
    rates = {"provisioned-usage": "0.00001", "provisioned-duration": "0.000015"}
    prices = {
        Key("aws", "sagemaker-serverless", f"{item}-1024", EAST): Price(
            usd=Decimal(usd), per=Unit.SECOND, source="a test", as_of="2026", confidence="user"
        )
        for item, usd in rates.items()
    }
    catalog = Catalog(CATALOG.types, {**CATALOG.prices, **prices}, {})
    # 500 requests an hour of 20 ms keep 0.0028 copies busy: 0.28 % of them find one copy busy.
    of = case(365_000, catalog=catalog)
    share = Decimal(str((500 / 3600 * 0.02) / (1 + 500 / 3600 * 0.02)))
    expected = {
        "provisioned uptime": Decimal(730 * 3600) * Decimal("0.00001"),
        "provisioned duration": Decimal(7300) * (1 - share) * Decimal("0.000015"),
        "duration": Decimal(7300) * share * Decimal("0.00002"),
        **data(365_000),
    }
    assert close(usd_by_line("serverless-provisioned", of, ONE_GB), expected, rel=1e-6)


# --- asynchronous ------------------------------------------------------------------------------


def test_a_lone_request_wakes_an_instance_for_its_start_and_its_idle_tail():
    # 10 requests a month meet nobody: each is 8 minutes of start and 17 of idling, 25 in all.
    found = usd_by_line("asynchronous", case(10, cold_start_share=1.0), LARGE)
    assert float(found["wake-ups"]) == pytest.approx(10 * 8 / 60 * float(HOUR), rel=0.01)
    assert float(found["idle tail"]) == pytest.approx(10 * 17 / 60 * float(HOUR), rel=0.01)
    assert float(found["instances"]) < 0.01 * float(found["idle tail"])


def test_traffic_without_pauses_keeps_the_asynchronous_instance_all_month():
    expected = {"instances": HOUR * 730, "storage": VOLUME, **data(2e6)}
    assert close(usd_by_line("asynchronous", case(), LARGE), expected)


def test_asynchronous_misses_a_latency_in_seconds_after_idling():
    with pytest.raises(NotPossibleError, match="while no instance runs and wait up to 9 minutes"):
        option("asynchronous").capacity(case(1000, p99_ms=5000), LARGE, 1.0)
    found = option("asynchronous").capacity(case(1000), LARGE, 1.0)
    assert found.p99_ms == pytest.approx(9 * 60_000, rel=0.01)
    assert found.p50_ms == pytest.approx(8 * 60_000, rel=0.01)


@pytest.mark.parametrize("count", [300, 1000, 3000, 10_000])
@pytest.mark.parametrize("shape", [Constant(), OfficeHours()])
def test_scale_to_zero_agrees_with_the_simulation(count, shape):
    traffic = Traffic(requests=count, shape=shape)
    wake_s, tail_s = asynchronous_module.WAKE_S, asynchronous_module.TAIL_S
    found = to_zero(traffic, 730, wake_s, tail_s)
    simulated = simulate_scale_to_zero(traffic.per_minute(730), 0.02, 1, 0.0, "asynchronous", 5, 4)
    assert found.on_hours == pytest.approx(simulated.instance_hours, rel=0.15)
    assert found.late_share == pytest.approx(simulated.waiting_share, abs=0.06)


def test_bursts_wait_in_the_asynchronous_queue_as_in_the_simulation():
    of = case(2e7, shape=Bursts(count=10, minutes=20, height=20))
    found = option("asynchronous").capacity(of, LARGE, 1.0)
    simulated = simulate_scale_to_zero(of.per_minute, 0.02, 1, 0.0, "asynchronous", 5, 10)
    assert found.p99_ms == pytest.approx(simulated.p99_ms, rel=0.15)


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (case(payload_in_bytes=1_200_000_000), "limit of 1 GB"),
        (case(mean_ms=3_700_000), "time-out is 60 minutes"),
        (case(memory=5_000_000_000), "GB are usable"),
    ],
)
def test_asynchronous_says_which_limit_is_in_the_way(of, words):
    assert words in " ".join(option("asynchronous").reasons(of, LARGE))


# --- batch transform ---------------------------------------------------------------------------


def test_batch_transform_is_a_start_and_the_work_of_each_night():
    # 30 nights of 100,000 requests of 20 ms: 2,000 s of work and 360 s of start each.
    of = case(3_000_000, hours=720, batchable=1.0)
    expected = {"instances": HOUR * 30 * 2000 / 3600, "start-up": HOUR * 30 * 360 / 3600}
    assert close(usd_by_line("batch-transform", of, LARGE), expected)


def test_batch_transform_takes_the_batch_that_does_the_most():
    of = case(3_000_000, hours=720, batchable=1.0)
    points = (*of.profile.latency, Point(batch=8, mean_ms=80.0))
    of = replace(of, profile=of.profile.model_copy(update={"latency": points}))
    assert float(usd_by_line("batch-transform", of, LARGE)["instances"]) == pytest.approx(
        float(HOUR) * 30 * 1000 / 3600
    )


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (case(), "Only 0% of the requests may wait"),
        (case(batchable=0.5), "Only 50% of the requests may wait"),
        (case(batchable=1.0, payload_in_bytes=110_000_000), "limit of 100 MB"),
    ],
)
def test_batch_transform_says_which_limit_is_in_the_way(of, words):
    assert words in " ".join(option("batch-transform").reasons(of, LARGE))


def test_a_night_too_short_for_one_instance_gets_more_and_at_last_none():
    # 10 M a day of 20 ms are 200,000 s of work; a night has 28,440 s beside the start.
    busy = case(3e8, hours=720, batchable=1.0)
    assert option("batch-transform").capacity(busy, LARGE, 1.0).instances == 8
    with pytest.raises(NotPossibleError, match="the quota is 100"):
        option("batch-transform").capacity(case(1e10, hours=720, batchable=1.0), LARGE, 1.0)


# --- many models -------------------------------------------------------------------------------


def test_multi_model_pays_for_the_memory_of_the_working_set():
    # 4 GiB × 0.9 - 0.1 GB = 3.77 GB hold 12 models of 0.3 GB; 99 % of 40 models take 4 instances.
    of = case(portfolio=40)
    assert slots(of, LARGE) == 12
    expected = {
        "instances": HOUR * 730,
        "instances for memory": HOUR * 3 * 730,
        "storage": 4 * VOLUME,
        **data(2e6),
    }
    assert close(usd_by_line("multi-model", of, LARGE), expected)


def test_multi_model_loads_what_does_not_fit_as_in_the_simulation():
    of = case(portfolio=60, cold_start_share=0.5)
    found = option("multi-model").capacity(of, LARGE, 1.0)
    assert found.instances == 3
    assert found.cold_share == pytest.approx(1 - 36 / 60)
    assert found.p99_ms > 1000
    simulated = simulate_multi_model(of.per_minute, 0.02, 1, 0.0, 60, 12, 1.0, 3, 0.0)
    assert found.cold_share == pytest.approx(simulated.cold_share, abs=0.02)
    prompt = replace(of, traffic=of.traffic.model_copy(update={"p99_ms": 500.0}))
    with pytest.raises(NotPossibleError, match="a model that is not loaded"):
        option("multi-model").capacity(prompt, LARGE, 1.0)


def test_one_model_is_no_portfolio():
    for name in ("multi-model", "multi-container"):
        assert "has one model" in option(name).reasons(case(), LARGE)[0]
    assert "1 container" in option("pipeline").reasons(case(), LARGE)[0]


def test_a_memory_that_was_not_measured_is_no_working_set():
    assert "not measured" in option("multi-model").reasons(case(portfolio=5, memory=None), LARGE)[0]


def test_multi_container_holds_all_its_models_and_at_most_15():
    kind = option("multi-container")
    assert "takes 15 containers" in kind.reasons(case(portfolio=16), LARGE)[0]
    assert "for 10 containers" in " ".join(kind.reasons(case(portfolio=10), LARGE))
    expected = {"instances": HOUR * 730, "storage": VOLUME, **data(2e6)}
    assert close(usd_by_line("multi-container", case(portfolio=5), LARGE), expected)


def test_a_pipeline_of_two_is_paid_as_one_endpoint():
    kind, of = Pipeline(stages=2), case()
    assert kind.reasons(of, LARGE) == []
    bill = kind.bill(kind.capacity(of, LARGE, 1.0).units, LARGE, CATALOG, EAST)
    assert float(bill.usd) == pytest.approx(float(HOUR * 730 + VOLUME + sum(data(2e6).values())))


# --- what follows the rate ---------------------------------------------------------------------


def test_target_tracking_of_constant_traffic_is_a_fixed_endpoint():
    expected = {"instances": HOUR * 730, "storage": VOLUME, **data(2e6)}
    assert close(usd_by_line("target-tracking", case(), LARGE), expected)


def test_target_tracking_cannot_follow_a_step_and_a_timetable_can():
    # 12 hours of 16 a second (one instance bears 35), 12 hours of 64 (two instances).
    of = case(40 * 3600 * 720, hours=720, shape=DAY)
    fixed, follows, planned = (
        usd_by_line(name, of, LARGE) for name in ("real-time", "target-tracking", "scheduled")
    )
    # Within 11 minutes the rate is four times as high: no target is low enough.
    assert follows["instances"] + follows["scale-out waste"] == fixed["instances"]
    # 30 days of 12 h × 1 + 12 h × 2, and ten minutes of one more before each step.
    assert float(planned["instances"]) == pytest.approx(float(HOUR) * 30 * 36)
    assert float(planned["started ahead"]) == pytest.approx(float(HOUR) * 30 / 6)


@pytest.mark.parametrize(("count", "peak_to_mean"), [(3e8, 3), (1e8, 2)])
def test_target_tracking_agrees_with_the_simulation(count, peak_to_mean):
    of = case(count, shape=Daily(peak_to_mean=peak_to_mean), p99_ms=200)
    found = option("target-tracking").capacity(of, LARGE, 1.0)
    total = sum(float(found.units[name].amount) for name in ("instances", "scale-out waste"))
    headroom = followed(of.traffic, 730).headroom
    assert found.instances is not None
    target = sustained_rps(of, LARGE, 1.0, found.instances) / found.instances * 60 / headroom
    simulated = simulate_target_tracking(
        of.per_minute, 0.02, 1, 0.0, target_per_minute=target, least=1, most=found.instances
    )
    assert total == pytest.approx(simulated.instance_hours, rel=0.12)
    assert simulated.p99_ms <= found.p99_ms <= 200
    assert simulated.short_share < 0.005


def test_redundant_is_two_instances_at_least():
    of = case(availability="redundant")
    for name in ("target-tracking", "scheduled"):
        assert usd_by_line(name, of, LARGE)["instances"] == HOUR * 2 * 730
    assert "redundant" in " ".join(option("inference-components").reasons(of, LARGE))


def test_a_timetable_knows_no_bursts():
    of = case(shape=Bursts(count=3, minutes=20, height=10))
    assert "no fixed time" in option("scheduled").reasons(of, LARGE)[0]


def test_components_at_zero_fail_and_are_refused_above_the_allowed_share():
    with pytest.raises(NotPossibleError, match="no instance runs and fail"):
        option("inference-components").capacity(case(1000), LARGE, 1.0)
    with pytest.raises(NotPossibleError, match="never at zero"):
        option("inference-components").capacity(case(), LARGE, 1.0)
    # A lone request: 6 minutes of start, 15 of idling, 5 until the instance is gone.
    found = usd_by_line("inference-components", case(10, cold_start_share=1.0), LARGE)
    lines = sum(float(found[name]) for name in ("instances", "wake-ups", "idle tail"))
    assert lines == pytest.approx(10 * 26 / 60 * float(HOUR), rel=0.01)


def test_components_share_instances():
    # 0.4 GB each with its server: 9 on an instance of 3.87 GB, so 20 models take 3.
    found = option("inference-components").capacity(case(portfolio=20), LARGE, 1.0)
    assert found.instances == 3


def test_a_model_of_its_own_endpoint_each_is_paid_that_many_times():
    found = usd_by_line("target-tracking", case(portfolio=7), LARGE)
    assert found["instances"] == HOUR * 7 * 730


@pytest.mark.parametrize("name", ["target-tracking", "scheduled", "asynchronous"])
def test_a_burstable_type_is_refused_where_its_credits_run_out(name):
    # 20 a second of 20 ms keep 0.4 of two vCPUs busy: 20 %, where 16.8 % may be.
    of, burstable = case(20 * 3600 * 730), Place(instance_type="ml.t2.medium")
    with pytest.raises(NotPossibleError, match="burstable"):
        option(name).capacity(of, burstable, 1.0)


def test_hybrid_is_a_base_and_the_seconds_above_it():
    of = case(2e7, shape=Bursts(count=10, minutes=20, height=20), cold_start_share=0.05)
    place = Place(instance_type="ml.c6i.large", memory_mb=1024)
    found = usd_by_line("hybrid", of, place)
    served = sustained_rps(of, LARGE, 1.0, 1) * 60
    above = float((of.per_minute - served).clip(min=0).sum())
    assert found["instances"] == HOUR * 730
    # A serverless CPU is taken for 0.9 of the measured one: 20 ms are 22.2, billed as 23.
    assert float(found["serverless duration"]) == pytest.approx(above * 0.023 * 0.00002)
    assert sum(found.values()) < sum(usd_by_line("real-time", of, LARGE).values())


def test_hybrid_says_when_nothing_flows_over():
    place = Place(instance_type="ml.c6i.large", memory_mb=1024)
    with pytest.raises(NotPossibleError, match="nothing flows over"):
        option("hybrid").capacity(case(), place, 1.0)


# --- the helpers -------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_levels_are_never_below_the_rates_and_hold_every_minute(rates):
    import numpy as np

    found = minutes(np.array(rates))
    assert sum(found.counts) == len(rates)
    assert rate_of(found.levels[-1]) >= max(rates) * (1 - 1e-6)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40), st.integers(0, 39))
def test_the_highest_of_a_window_of_a_circle(rates, window):
    import numpy as np

    found = highest(np.array(rates), window)
    for at in range(len(rates)):
        assert found[at] == max(rates[(at - back) % len(rates)] for back in range(window + 1))


@given(st.floats(1, 1e6), st.floats(1.0, 100.0))
def test_more_traffic_never_sleeps_longer(count, factor):
    few = Traffic(requests=count)
    found = [to_zero(t, 48, 480, 1020).on_hours for t in (few, few.scaled(count * factor))]
    assert found[0] <= found[1] * (1 + 1e-9) <= 48 * (1 + 1e-6)
