"""EC2, Lambda, Fargate, Cloud Run and what else there is beside SageMaker."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog, Key, PriceMissingError
from workbench.cost.money import Price, Quantity, Unit, gb_seconds, hours, requests
from workbench.cost.options import NotPossibleError, Option, Place, options
from workbench.cost.options._functions import KEPT_S, cold
from workbench.cost.options._tiers import Tier, tiered_lines
from workbench.cost.options.cloud_run import CloudRun, CloudRunAlways, vcpu_seconds
from workbench.cost.options.container_instances import ContainerInstances
from workbench.cost.options.ec2 import Ec2, Ec2Spot
from workbench.cost.options.fargate import Fargate
from workbench.cost.options.kubernetes import Kubernetes
from workbench.cost.options.lambda_ import Lambda
from workbench.cost.options.replicate import Replicate
from workbench.cost.options.vertex import VertexAi
from workbench.cost.plan import Estimate, Refusal
from workbench.cost.planner import cheapest
from workbench.cost.profile import Point, ServiceProfile
from workbench.cost.traffic import Traffic

CATALOG = Catalog.standard()
EAST = "us-east-1"
OURS = (
    "cloud-run", "cloud-run-always", "container-instances", "ec2", "ec2-spot",
    "elastic-inference", "fargate", "kubernetes", "lambda", "neo", "replicate", "vertex-ai",
)  # fmt: skip
PRICED = ("cloud-run", "ec2", "ec2-spot", "fargate", "kubernetes", "lambda")
"""Those with a price in us-east-1."""


def case(
    count: float = 2_000_000,
    mean_ms: float = 20.0,
    memory: int | None = 300_000_000,
    region: str = EAST,
    catalog: Catalog = CATALOG,
    gpu: str | None = None,
    **traffic: Any,
) -> Case:
    profile = ServiceProfile(
        name="int8", cpu="Xeon", isa=("avx2", "avx512", "avx512_vnni"), cores=2,
        measured="2026-11-25", latency=(Point(mean_ms=mean_ms, p50_ms=mean_ms, p99_ms=mean_ms),),
        memory_bytes=memory, model_bytes=90_000_000, load_s=1.0, gpu=gpu,
    )  # fmt: skip
    return Case(profile, Traffic(requests=count, **traffic), catalog, region)


def overlaid(*rows: tuple[Key, str, Unit]) -> Catalog:
    prices = {
        key: Price(usd=Decimal(usd), per=per, source="a test", as_of="2026", confidence="user")
        for key, usd, per in rows
    }
    return Catalog(CATALOG.types, {**CATALOG.prices, **prices}, CATALOG.absent)


def place_of(option: Option, asked: Case, text: str) -> Place:
    return next(p for p in option.places(asked) if str(p) == text)


def usd(units: dict[str, Quantity], option: Option, place: Place | None = None) -> Decimal:
    return option.bill(units, place or Place(), CATALOG, EAST).usd


def test_they_are_found_and_have_a_title_and_a_provider():
    known = options()
    assert set(OURS) <= set(known)
    assert {name: known[name].provider for name in OURS if known[name].provider != "aws"} == {
        "cloud-run": "gcp", "cloud-run-always": "gcp", "container-instances": "azure",
        "replicate": "replicate", "vertex-ai": "gcp",
    }  # fmt: skip
    assert all(known[name].title() for name in OURS)


# --- totals by hand ----------------------------------------------------------------------------


def test_ec2_is_instances_of_the_peak_all_month():
    asked = case(100 * 3600 * 730, mean_ms=20.0)  # 100/s of 20 ms: 2 busy, 3 cores at 70 %
    place = Place(instance_type="c6i.xlarge")  # 2 cores
    found = Ec2().capacity(asked, place, 1.0)
    assert found.instances == 2
    assert Ec2().bill(found.units, place, CATALOG, EAST).usd == 2 * 730 * Decimal("0.17")
    assert "not priced" in found.assumptions[0]


def test_spot_says_that_it_can_be_interrupted_and_is_of_confidence_b():
    asked = case()
    place = Place(instance_type="c5.xlarge")
    found = Ec2Spot().capacity(asked, place, 1.0)
    assert any("two minutes" in text for text in found.assumptions)
    line = Ec2Spot().bill(found.units, place, CATALOG, EAST).lines[0]
    assert line.price.confidence == "B"
    assert line.usd == 730 * Decimal("0.0832")
    assert Ec2Spot().reasons(asked, place) == []
    redundant = Ec2Spot().reasons(case(availability="redundant"), place)
    assert "two minutes" in redundant[0]


def test_lambda_by_hand():
    asked = case(2_000_000, mean_ms=20.0)
    found = Lambda().capacity(asked, Place(memory_mb=1769), 1.0)
    starts = cold(asked, 0.020)
    duration = (2_000_000 * Decimal("0.020") + Decimal(str(starts.billed * 3.0))) * 1769 / 1024
    assert found.units["requests"] == requests(2_000_000)
    assert float(found.units["duration-x86"].amount) == pytest.approx(float(duration))
    bill = Lambda().bill(found.units, Place(), CATALOG, EAST)
    ours = Decimal("0.40") + found.units["duration-x86"].amount * Decimal("0.0000166667")
    assert bill.usd == ours


def test_lambda_with_less_memory_is_slower_and_bills_whole_milliseconds():
    asked = case(2_000_000, mean_ms=20.1)
    half = Lambda().capacity(asked, Place(memory_mb=1024), 1.0)
    assert half.p50_ms == pytest.approx(20.1 * 1769 / 1024)
    whole = Lambda().capacity(asked, Place(memory_mb=3008), 1.0)
    assert whole.p50_ms == pytest.approx(20.1)
    least = 2_000_000 * Decimal("0.021") * 3008 / 1024  # 20.1 ms is billed as 21
    assert whole.units["duration-x86"].amount >= least
    assert float(whole.units["duration-x86"].amount) < float(least) * 1.3


def test_lambda_runs_on_the_architecture_that_was_measured():
    arm = case()
    object.__setattr__(arm, "profile", arm.profile.model_copy(update={"isa": ("neon", "sve")}))
    assert "duration-arm" in Lambda().capacity(arm, Place(memory_mb=1769), 1.0).units


def test_gateway_is_billed_when_asked_for_and_an_http_api_counts_pieces():
    asked = case(payload_in_bytes=600 * 1024)
    http = Lambda(gateway="http-api").capacity(asked, Place(memory_mb=1769), 1.0).units
    rest = Lambda(gateway="rest-api").capacity(asked, Place(memory_mb=1769), 1.0).units
    assert http["http-api"] == requests(4_000_000)
    assert rest["rest-api"] == requests(2_000_000)
    assert not {"http-api", "rest-api"} & set(
        Lambda().capacity(asked, Place(memory_mb=1769), 1.0).units
    )


def test_the_free_tier_is_included_only_when_asked_for():
    units = {"requests": requests(1_500_000), "duration-x86": gb_seconds(1024, 500_000)}
    assert usd(units, Lambda()) == Decimal("0.3") + 500_000 * Decimal("0.0000166667")
    free = Lambda(free_tier=True)
    assert usd(units, free) == Decimal("0.1") + 100_000 * Decimal("0.0000166667")
    assert usd({"requests": requests(10)}, free) == 0


def test_fargate_bills_every_vcpu():
    place = Place(vcpus=Decimal(2), memory_mb=4096)
    found = Fargate().capacity(case(), place, 1.0)
    assert found.instances == 1
    hourly = 2 * Decimal("0.04048") + 4 * Decimal("0.004445")
    assert Fargate().bill(found.units, place, CATALOG, EAST).usd == 730 * hourly


def test_fargate_with_part_of_a_vcpu_is_slower():
    whole = Fargate().capacity(case(), Place(vcpus=Decimal(1), memory_mb=2048), 1.0)
    part = Fargate().capacity(case(), Place(vcpus=Decimal("0.25"), memory_mb=512), 1.0)
    assert part.p50_ms >= 4 * whole.p50_ms


def test_cloud_run_bills_n_vcpus_n_times():
    place = Place(vcpus=Decimal(2), memory_mb=4096)
    used = {"vcpu": vcpu_seconds(place, 300_000), "memory": gb_seconds(4096, 300_000)}
    assert usd({"vcpu": used["vcpu"]}, CloudRun()) == Decimal("14.40")
    assert usd({"memory": used["memory"]}, CloudRun()) == Decimal("3.00")
    free = usd(used, CloudRun(free_tier=True))
    assert free == 420_000 * Decimal("0.000024") + 840_000 * Decimal("0.0000025")


def test_cloud_run_rounds_up_to_tenths_of_a_second_while_traffic_is_thin():
    asked = case(1_000_000, mean_ms=120.0)
    place = Place(vcpus=Decimal(1), memory_mb=1024)
    found = CloudRun().capacity(asked, place, 1.0)
    seconds = 200_000 + 3 * cold(asked, 0.120).billed
    assert float(found.units["vcpu"].amount) == pytest.approx(seconds)
    assert found.units["requests"] == requests(1_000_000)


def test_cloud_run_bills_no_more_than_the_containers_that_are_there():
    busy = case(30 * 3600 * 730, mean_ms=20.0)  # 0.6 busy: one container, not 30 x 0.1 s a second
    found = CloudRun().capacity(busy, Place(vcpus=Decimal(1), memory_mb=1024), 1.0)
    month = 730 * 3600
    assert month <= float(found.units["vcpu"].amount) < month * 1.02


def test_cloud_run_all_the_time_is_priced_where_a_price_is_known():
    asked = case(region="eu-central-1")
    place = Place(vcpus=Decimal(1), memory_mb=1024)
    found = CloudRunAlways().capacity(asked, place, 1.0)
    bill = CloudRunAlways().bill(found.units, place, CATALOG, "eu-central-1")
    assert bill.usd == 730 * 3600 * (Decimal("0.0000216") + Decimal("0.0000024"))
    assert "europe-west3" in found.assumptions[0]
    with pytest.raises(PriceMissingError):
        CloudRunAlways().bill(found.units, place, CATALOG, EAST)


def test_kubernetes_is_nodes_and_a_control_plane():
    place = Place(instance_type="c6i.xlarge")
    found = Kubernetes().capacity(case(), place, 1.0)
    bill = Kubernetes().bill(found.units, place, CATALOG, EAST)
    assert [line.item for line in bill.lines] == ["eks control plane", "nodes"]
    assert bill.usd == 73 + 730 * Decimal("0.17")


def test_replicate_is_by_the_second_of_the_measured_gpu():
    asked = case(gpu="NVIDIA A100-SXM4-80GB", mean_ms=10.0)
    (place,) = Replicate().places(asked)
    assert Replicate().reasons(asked, place) == []
    found = Replicate().capacity(asked, place, 1.0)
    bill = Replicate().bill(found.units, place, CATALOG, EAST)
    least = 2_000_000 * Decimal("0.010") * Decimal("0.0014")
    assert least <= bill.usd < least * Decimal("1.5")
    assert Replicate().reasons(case(gpu="NVIDIA A100-SXM4-40GB"), place)
    assert Replicate().reasons(case(gpu="Tesla T4"), place) == []
    assert "measured on a CPU" in Replicate().reasons(case(), place)[0]


# --- price steps -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "billions", "expected"),
    [
        ("duration-x86", "6", "100000.2"),
        ("duration-x86", "15", "235000.2"),
        ("duration-x86", "61.44", "854203.296"),  # Infracost's own: 6, 9 and 46.44
        ("duration-arm", "7.5", "100000.5"),
        ("duration-arm", "18.75", "235001.625"),
        ("duration-arm", "74.752", "832358.1584"),  # and 7.5, 11.25 and 56.002
    ],
)
def test_lambda_duration_by_steps(unit: str, billions: str, expected: str):
    used = Quantity(amount=Decimal(billions) * 10**9, unit=Unit.GB_SECOND)
    assert usd({unit: used}, Lambda()) == Decimal(expected)


@pytest.mark.parametrize(
    ("unit", "millions", "expected"),
    [
        ("rest-api", 333, "1165.5"),
        ("rest-api", 334, "1168.3"),
        ("rest-api", 1000, "3033.1"),
        ("rest-api", 20_000, "48253.1"),
        ("rest-api", 21_000, "49763.1"),  # 1165.50 + 1867.60 + 45220 + 1510
        ("http-api", 300, "300"),
        ("http-api", 1000, "930"),
        ("requests", 100_000, "20000"),
    ],
)
def test_requests_by_steps(unit: str, millions: int, expected: str):
    assert usd({unit: requests(millions * 10**6)}, Lambda()) == Decimal(expected)


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_tiered_bill_adds_up_and_never_falls(first: int, more: int):
    def bill(amount: int) -> list[Any]:
        used = Quantity(amount=Decimal(amount), unit=Unit.GB_SECOND)
        return list(Lambda().bill({"duration-x86": used}, Place(), CATALOG, EAST).lines)

    low, high = bill(first), bill(first + more)
    assert sum(line.quantity.amount for line in low) == first
    assert sum(line.usd for line in low) <= sum(line.usd for line in high)
    assert len(low) <= 3


def test_only_the_prices_of_steps_that_are_reached_are_needed():
    tiers = (Tier("first", Decimal(10)), Tier("second", None))
    price = Price(usd=Decimal(1), per=Unit.REQUEST, source="a test", as_of="2026")
    asked: list[str] = []
    list(tiered_lines("x", requests(10), tiers, lambda item: asked.append(item) or price))
    assert asked == ["first"]


# --- limits ------------------------------------------------------------------------------------


def test_lambda_limits_are_named_with_their_value():
    option = Lambda()
    small, large = Place(memory_mb=512), Place(memory_mb=10240)
    assert option.reasons(case(), small) == []
    assert "512 MB" in option.reasons(case(memory=600_000_000), small)[0]
    assert option.reasons(case(memory=9_000_000_000), large) == []
    assert option.reasons(case(memory=10_000_000_000), large)
    assert option.reasons(case(payload_in_bytes=6 * 2**20), large) == []
    assert "6 MB" in option.reasons(case(payload_out_bytes=6 * 2**20 + 1), large)[0]
    with pytest.raises(NotPossibleError, match="time-out is 900 s"):
        option.capacity(case(1e6, mean_ms=901_000.0), large, 1.0)
    with pytest.raises(NotPossibleError, match="time-out is 29 s"):
        Lambda(gateway="rest-api").capacity(case(1e6, mean_ms=30_000.0), large, 1.0)


def test_cloud_run_limits():
    place = Place(vcpus=Decimal(1), memory_mb=512)
    assert "512 MB" in CloudRun().reasons(case(memory=600_000_000), place)[0]
    assert "32 MiB" in CloudRun().reasons(case(payload_in_bytes=40_000_000), place)[0]


@pytest.mark.parametrize("option", [Lambda(), CloudRun()])
def test_too_many_cold_starts_are_refused_with_their_share(option: Option):
    place = Place(vcpus=Decimal(1), memory_mb=2048)
    with pytest.raises(NotPossibleError, match=r"8\d\.\d% of the requests would meet a cold start"):
        option.capacity(case(1000), place, 1.0)
    allowed = option.capacity(case(1000, cold_start_share=1.0), place, 1.0)
    assert allowed.cold_share > 0.8
    assert allowed.p99_ms > 3000


def test_an_objective_that_one_inference_breaks_is_refused():
    for option, place in (
        (Lambda(), Place(memory_mb=1769)),
        (CloudRun(), Place(vcpus=Decimal(1), memory_mb=1024)),
        (Fargate(), Place(vcpus=Decimal(1), memory_mb=2048)),
    ):
        with pytest.raises(NotPossibleError, match="objective is 10 ms"):
            option.capacity(case(p99_ms=10), place, 1.0)


def test_more_than_can_be_looked_for_is_refused_and_not_blamed_on_the_objective():
    with pytest.raises(NotPossibleError, match="more containers than are looked for"):
        Fargate().capacity(case(1e12), Place(vcpus=Decimal(1), memory_mb=2048), 1.0)


def test_a_portfolio_shares_instances_but_not_functions():
    one, ten = case(730 * 3600 * 10), replace(case(730 * 3600 * 10), portfolio=10)
    place, function = Place(instance_type="c6i.xlarge"), Place(memory_mb=1769)
    assert Ec2().capacity(ten, place, 1.0).units == Ec2().capacity(one, place, 1.0).units
    assert Ec2().reasons(replace(one, portfolio=100), place)
    assert Fargate().reasons(ten, Place(vcpus=Decimal(1), memory_mb=2048))
    shared, apart = (Lambda().capacity(c, function, 1.0) for c in (one, ten))
    assert apart.units["requests"] == shared.units["requests"]
    assert apart.units["duration-x86"].amount > shared.units["duration-x86"].amount
    assert apart.instances is not None
    assert apart.instances >= 10


def test_a_burstable_type_is_not_used_above_its_baseline():
    place = Place(instance_type="t2.medium")  # 2 vCPUs, so 0.336 of one in the long run
    assert Ec2().capacity(case(16 * 3600 * 730), place, 1.0).instances == 1
    for option in (Ec2(), Kubernetes()):
        with pytest.raises(NotPossibleError, match=r"burstable and may use 17%.*; 18% is needed"):
            option.capacity(case(18 * 3600 * 730), place, 1.0)
    assert Ec2().capacity(case(18 * 3600 * 730), Place(instance_type="c6i.large"), 1.0)


def test_floors_are_not_above_the_costs():
    for option, place in (
        (Ec2(), Place(instance_type="c6i.xlarge")),
        (Kubernetes(), Place(instance_type="c6i.xlarge")),
        (Fargate(), Place(vcpus=Decimal(1), memory_mb=2048)),
    ):
        found = option.bill(option.capacity(case(), place, 1.0).units, place, CATALOG, EAST).usd
        assert 0 < option.floor(case(), place) <= found


def test_redundancy_is_two_containers():
    place = Place(vcpus=Decimal(1), memory_mb=2048)
    assert Fargate().capacity(case(availability="redundant"), place, 1.0).instances == 2


def test_cold_starts_at_a_thin_rate_are_those_of_a_poisson_stream():
    asked = case(730 * 12)  # one in five minutes: exp(-1) find no copy
    assert cold(asked, 0.001).share == pytest.approx(0.3679, abs=0.002)
    assert KEPT_S == 300


# --- no price ----------------------------------------------------------------------------------


def test_weak_figures_are_refused_with_the_reason_until_a_price_is_given():
    for name in ("vertex-ai", "container-instances"):
        found = cheapest(case(), options()[name]())
        assert isinstance(found, Refusal)
        assert "weak figure" in found.reasons[0]
        assert len(found.reasons) == 1
    vertex = Key("gcp", "vertex-ai", "prediction-n1-standard-4", "us-central1")
    azure = [Key("azure", "container-instances", item, EAST) for item in ("vcpu", "memory")]
    catalog = overlaid(
        (vertex, "0.25", Unit.HOUR),
        (azure[0], "0.00001", Unit.VCPU_SECOND),
        (azure[1], "0.000001", Unit.GB_SECOND),
    )
    theirs = cheapest(case(catalog=catalog), VertexAi())
    assert isinstance(theirs, Estimate)
    assert theirs.usd.mid == Decimal("182.5")
    assert str(theirs.place) == "4 vCPU, 15 GB"
    containers = cheapest(case(catalog=catalog), ContainerInstances())
    assert isinstance(containers, Estimate)
    assert containers.usd.mid == 730 * 3600 * Decimal("0.000011")


def test_a_region_without_a_price_is_refused_and_never_free():
    for name in ("lambda", "fargate"):
        found = cheapest(case(region="sa-east-1"), options()[name]())
        assert isinstance(found, Refusal)
        assert "sa-east-1" in found.reasons[0]
    found = cheapest(case(region="ap-south-1"), CloudRun())
    assert isinstance(found, Refusal)


@pytest.mark.parametrize(
    ("name", "why"), [("elastic-inference", "2023-04-15"), ("neo", "ONNX 1.7")]
)
def test_what_is_retired_is_refused_with_the_reason(name: str, why: str):
    option = options()[name]()
    found = cheapest(case(), option)
    assert isinstance(found, Refusal)
    assert why in found.reasons[0]
    with pytest.raises(NotPossibleError):
        option.capacity(case(), Place(), 1.0)
    with pytest.raises(NotPossibleError):
        option.bill({"instances": hours(1)}, Place(), CATALOG, EAST)


# --- properties --------------------------------------------------------------------------------


def cost_of(name: str, asked: Case, place: Place) -> Decimal:
    option = options()[name]()
    units = option.capacity(asked, place, 1.0).units
    bill = option.bill(units, place, asked.catalog, asked.region)
    assert bill.usd == sum(line.usd for line in bill.lines)
    assert bill.usd > 0
    assert all(line.price.source and line.price.as_of for line in bill.lines)
    return bill.usd


PLACES = {
    "cloud-run": Place(vcpus=Decimal(2), memory_mb=1024),
    "ec2": Place(instance_type="c6i.xlarge"),
    "ec2-spot": Place(instance_type="c5.xlarge"),
    "fargate": Place(vcpus=Decimal("0.5"), memory_mb=1024),
    "kubernetes": Place(instance_type="c6i.xlarge"),
    "lambda": Place(memory_mb=1024),
}


@pytest.mark.parametrize("name", PRICED)
@settings(max_examples=40, deadline=None)
@given(
    count=st.floats(10, 1e8),
    factor=st.floats(1, 100),
    mean_ms=st.sampled_from([0.3, 5.0, 20.0, 99.0]),
    kind=st.sampled_from(["constant", "daily", "office-hours"]),
)
def test_cost_never_falls_when_traffic_rises(
    name: str, count: float, factor: float, mean_ms: float, kind: str
):
    place = PLACES[name]
    shape = {"kind": kind}
    low, high = (
        case(n, mean_ms=mean_ms, cold_start_share=1.0, shape=shape) for n in (count, count * factor)
    )
    assert cost_of(name, low, place) <= cost_of(name, high, place) * (1 + Decimal("1e-9"))


def test_every_priced_option_has_a_place_that_works():
    for name in PRICED:
        found = cheapest(case(p99_ms=500), options()[name]())
        assert isinstance(found, Estimate), name
        assert found.usd.low <= found.usd.mid <= found.usd.high
        assert found.capacity.units
