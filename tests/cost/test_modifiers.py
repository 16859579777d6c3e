"""A response cache, PrivateLink, families, GPUs, and profiles of several threads."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.cost._batch_server import answered, quantile
from tests.cost.profiles import before_and_after
from workbench.cli import app
from workbench.cost.accelerators import same_gpu
from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.modifiers import Modifiers, parse_cache_hits, parse_families
from workbench.cost.options import Place, options
from workbench.cost.options._service import HIT_S, lanes, service, service_on
from workbench.cost.options._tasks import core_share
from workbench.cost.options._tasks import lanes as container_lanes
from workbench.cost.plan import Estimate, Plan
from workbench.cost.planner import cheapest, plan
from workbench.cost.profile import Point, ServiceProfile, profiles_of_run
from workbench.cost.savings_plan import SavingsPlan
from workbench.cost.traffic import Traffic
from workbench.errors import InputError
from workbench.records import (
    Footprint,
    Interval,
    Latency,
    Machine,
    Measurement,
    Run,
    Setting,
    Signature,
    VariantResult,
)

CATALOG = Catalog.standard()
HOURS = 730
SAGEMAKER = (
    "real-time", "target-tracking", "scheduled", "asynchronous", "serverless", "hybrid",
)  # fmt: skip


def case(
    requests: float = 20e6, profile: ServiceProfile | None = None, portfolio: int = 1,
    traffic: dict[str, Any] | None = None, region: str = "us-east-1", **modifiers: Any,
) -> Case:  # fmt: skip
    return Case(
        profile or before_and_after()[1], Traffic(requests=requests, **(traffic or {})), CATALOG,
        region, HOURS, portfolio=portfolio, modifiers=Modifiers(**modifiers),
    )  # fmt: skip


def best(option: str, of: Case) -> Estimate:
    found = cheapest(of, options()[option]())
    assert isinstance(found, Estimate), found
    return found


def planned(chosen: list[str], profiles: list[ServiceProfile] | None = None, **asked: Any) -> Plan:
    return plan(
        profiles or before_and_after(), Traffic(requests=20e6), CATALOG, chosen=chosen,
        break_evens=False, modifiers=Modifiers(**asked),
    )  # fmt: skip


# --- the response cache ------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(("real-time", "target-tracking", "ec2", "fargate", "serverless", "lambda",
                     "cloud-run")),
    st.floats(1e4, 1e9), st.floats(0, 0.999), st.floats(0, 0.999),
    st.sampled_from([None, 60.0, 300.0]),
)  # fmt: skip
def test_cost_never_rises_with_the_share_of_hits(option, requests, one, other, p99_ms):
    asked: dict[str, Any] = {"p99_ms": p99_ms, "cold_start_share": 1.0}
    few, many = (
        cheapest(case(requests, traffic=asked, cache_hits=hits), options()[option]())
        for hits in sorted((one, other))
    )
    if isinstance(few, Estimate):
        assert isinstance(many, Estimate)
        assert many.usd.mid <= few.usd.mid


@settings(max_examples=8, deadline=None)
@given(st.floats(1e6, 2e9), st.sampled_from([0.0, 0.3, 0.8]), st.sampled_from([0.9, 0.98, 0.995]))
def test_nor_does_it_with_batches(requests, few, many):
    points = tuple(Point(batch=n, mean_ms=4 + 2 * n, p50_ms=4 + 2 * n) for n in (1, 4, 8))
    batched = before_and_after()[1].model_copy(update={"latency": points})
    found = [
        best("ec2", case(requests, batched, cache_hits=hits, batching=True)).usd.mid
        for hits in (few, many)
    ]
    assert found[1] <= found[0]


def test_a_share_of_nothing_changes_nothing():
    for option in ("real-time", "lambda", "serverless", "hybrid"):
        of = {"traffic": {"cold_start_share": 1.0}, "requests": 9e8}
        assert cheapest(case(**of, cache_hits=0.0), options()[option]()) == cheapest(
            case(**of), options()[option]()
        )


def test_hits_take_no_inference_but_are_requests_and_data_as_before():
    for option in ("serverless", "lambda"):
        of = {"traffic": {"cold_start_share": 1.0}, "requests": 5e6}
        plain, cached = best(option, case(**of)), best(option, case(**of, cache_hits=0.5))
        for name, amount in plain.capacity.units.items():
            now = cached.capacity.units[name].amount
            if name.startswith("duration"):
                assert now < amount.amount * Decimal("0.56")  # a hit is billed too, by 1 ms
            else:
                assert now == amount.amount
    fixed, fewer = (best("real-time", case(2e9, cache_hits=hits)) for hits in (0.0, 0.5))
    assert fewer.capacity.instances is not None
    assert fixed.capacity.instances is not None
    assert fewer.usd.mid < fixed.usd.mid * Decimal("0.7")
    assert fewer.capacity.units["data in"] == fixed.capacity.units["data in"]
    assert any("a cache of its own" in said for said in fewer.capacity.assumptions)


@pytest.mark.parametrize("hits", [0.3, 0.7, 0.985])
def test_the_latency_with_hits_is_that_of_a_simulation(hits):
    one = service(case(cache_hits=hits), 1.0)
    assert one.hit_s == HIT_S
    rate = 0.6 * 2 / one.mean_s / (1 - hits)
    found = one.served(rate, 2, float("inf"))
    misses = answered([one.mean_s], rate * (1 - hits), 2, 200_000, sigma=0.093)
    seen = sorted([*misses, *[HIT_S] * int(len(misses) * hits / (1 - hits))])
    assert quantile(seen, 0.5) == pytest.approx(found.p50_s, rel=0.1)
    assert quantile(seen, 0.99) == pytest.approx(found.p99_s, rel=0.1)


def test_hits_without_end_still_need_lanes():
    one = service(case(cache_hits=0.999), 1.0)
    needed = one.lanes(100_000, float("inf"))
    assert needed is not None
    assert needed >= 100_000 * HIT_S


@pytest.mark.parametrize("text", ["100%", "1", "-5%", "30", "some"])
def test_a_share_that_no_cache_can_have_is_refused(text):
    with pytest.raises(InputError, match="cannot answer"):
        parse_cache_hits(text)
    assert parse_cache_hits("30%") == pytest.approx(0.3)
    assert parse_cache_hits("0%") == 0


# --- PrivateLink -------------------------------------------------------------------------------


@pytest.mark.parametrize("option", SAGEMAKER)
def test_sagemakers_options_pay_for_the_endpoint_and_the_data(option):
    of = {"traffic": {"cold_start_share": 1.0, "shape": "office-hours"}, "requests": 9e8}
    plain, private = best(option, case(**of)), best(option, case(**of, private_link=2))
    lines = {line.item: line for line in private.bill.lines}
    hours, data = lines["interface endpoint"], lines["data through PrivateLink"]
    assert hours.usd == HOURS * 2 * Decimal("0.01")
    assert data.quantity.amount == Decimal(900_000_000) * (1024 + 4096) / 10**9
    assert data.usd == data.quantity.amount * Decimal("0.01")
    assert "infracost" in hours.price.source.lower()
    assert private.usd.mid == plain.usd.mid + hours.usd + data.usd
    assert private.bill.usd == private.usd.mid == sum(line.usd for line in private.bill.lines)


def test_data_beyond_a_petabyte_cost_less():
    of = {"traffic": {"payload_in_bytes": 5_000_000}, "requests": 1.4e9}
    lines = best("real-time", case(**of, private_link=1)).bill.lines
    data = [line for line in lines if line.item == "data through PrivateLink"]
    prices = [(line.quantity.amount, line.price.usd) for line in data[:2]]
    assert prices == [(10**6, Decimal("0.01")), (4 * 10**6, Decimal("0.006"))]
    assert data[2].price.usd == Decimal("0.004")


def test_a_savings_plan_does_not_discount_the_endpoint():
    plans = [
        plan(
            before_and_after(), Traffic(requests=20e6), CATALOG, chosen=["real-time"],
            break_evens=False, modifiers=Modifiers(private_link=2),
            savings_plan=None if share is None else SavingsPlan(discount=Decimal(share)),
        )
        for share in (None, "0.5")
    ]  # fmt: skip
    full, half = (
        {line.item: line.usd for line in made.variants[1].estimates[0].bill.lines} for made in plans
    )
    assert half["instances"] == full["instances"] / 2
    assert half["interface endpoint"] == full["interface endpoint"] == Decimal("14.6")


def test_a_missing_price_refuses_and_says_how_to_give_it(tmp_path):
    refused = cheapest(case(region="eu-west-1", private_link=2), options()["real-time"]())
    assert not isinstance(refused, Estimate)
    assert "interface-endpoint is known in eu-west-1" in refused.reasons[-1]
    assert "--prices" in refused.reasons[-1]
    ours = tmp_path / "ours.yaml"
    ours.write_text(
        "- {provider: aws, service: privatelink, item: interface-endpoint, region: eu-west-1, "
        "usd: 0.011, per: hour, source: ours, as_of: 2026-11-01}\n"
    )
    given_ = Case(
        before_and_after()[1], Traffic(requests=20e6), CATALOG.overlay(ours), "eu-west-1",
        modifiers=Modifiers(private_link=2),
    )  # fmt: skip
    lines = {line.item: line.usd for line in best("real-time", given_).bill.lines}
    assert lines["interface endpoint"] == HOURS * 2 * Decimal("0.011")


def test_other_options_are_not_touched_and_say_so():
    for option in ("ec2", "fargate", "lambda"):
        of = {"traffic": {"cold_start_share": 1.0}}
        plain, private = best(option, case(**of)), best(option, case(**of, private_link=2))
        assert plain.bill == private.bill
        assert "--private-link adds nothing" in private.capacity.assumptions[-1]


# --- families and GPUs -------------------------------------------------------------------------


def test_families_keep_their_own_places_only():
    made = planned(["real-time", "ec2", "serverless", "lambda"], families=("c7g", "c6i"))
    for variant in made.variants:
        assert {e.option for e in variant.estimates} == {"real-time", "ec2"}
        for found in variant.estimates:
            assert found.place.instance_type is not None
            assert found.place.instance_type.removeprefix("ml.").split(".")[0] in ("c7g", "c6i")
    assert made.notes == ("Left out, as they have no instance types: serverless, lambda.",)


def test_graviton_is_a_wide_assumption_and_says_so():
    found = best("real-time", case(9e8, families=("c7g",)))
    assert "assumed" in found.basis
    assert "Arm" in found.basis
    assert found.usd.low < found.usd.high


def test_families_are_a_list_or_separated_by_commas():
    assert parse_families(["c7g, ml.c6i", "c7g"], CATALOG) == ("c7g", "c6i")
    with pytest.raises(InputError, match=r"no family 'c6x'.*c6i"):
        parse_families(["c6x"], CATALOG)
    with pytest.raises(InputError, match="p3' cannot be priced: its hardware is not known"):
        parse_families(["p3"], CATALOG)


@pytest.mark.parametrize(
    ("family", "needed"),
    [("g5", "NVIDIA A10G: it needs a measurement on that GPU"), ("inf2", "compiled with Neuron"),
     ("trn1", "compiled with Neuron")],
)  # fmt: skip
def test_an_accelerator_is_refused_with_what_it_needs(family, needed):
    made = planned(["real-time", "ec2"], families=(family,))
    for variant in made.variants:
        assert variant.estimates == ()
        assert all(needed in refusal.reasons[-1] for refusal in variant.refusals)
    assert any(needed in note for note in made.notes)


def test_accelerators_that_nobody_asked_for_are_one_sentence():
    made = planned(["real-time", "ec2"])
    assert len(made.notes) == 1
    assert "g5" in made.notes[0]
    assert "inf2" in made.notes[0]
    assert made.variants[0].refusals == ()
    assert planned(["serverless"]).notes == ()


def on_gpu(name: str = "NVIDIA A10G") -> ServiceProfile:
    return before_and_after()[1].model_copy(
        update={"name": "int8 (gpu)", "gpu": name, "latency": (Point(mean_ms=1.0, p99_ms=1.2),)}
    )


def test_what_was_measured_on_a_gpu_is_priced_on_types_with_that_gpu_only():
    found = best("real-time", case(1e9, on_gpu()))
    assert found.place.instance_type is not None
    assert found.place.instance_type.startswith("ml.g5.")
    assert found.measured
    assert found.usd.low == found.usd.mid == found.usd.high
    other = cheapest(case(1e9, on_gpu(), families=("g4dn", "c6i")), options()["real-time"]())
    assert not isinstance(other, Estimate)
    assert set(other.reasons) == {
        "g4dn has NVIDIA T4; int8 (gpu) was measured on NVIDIA A10G.",
        "c6i has no GPU; int8 (gpu) was measured on NVIDIA A10G.",
    }
    without = cheapest(case(1e6, on_gpu()), options()["serverless"]())
    assert not isinstance(without, Estimate)
    assert "no GPU" in without.reasons[-1]
    assert best("replicate", case(1e6, on_gpu("Tesla T4"), traffic={"cold_start_share": 1.0}))


def test_a_gpu_is_one_lane():
    asked = case(1e9, on_gpu())
    for name, count in (("ml.g5.xlarge", 1), ("ml.g5.12xlarge", 4)):
        assert lanes(asked, Place(instance_type=name)) == count


@pytest.mark.parametrize(
    ("measured", "catalog", "same"),
    [
        ("Tesla T4", "NVIDIA T4", True),
        ("NVIDIA A100-SXM4-80GB", "NVIDIA A100", True),
        ("NVIDIA H100 80GB HBM3", "NVIDIA H100", True),
        ("NVIDIA L4", "NVIDIA L40S", False),
        ("NVIDIA H100 PCIe", "NVIDIA H100", False),
        ("NVIDIA A10", "NVIDIA A10G", False),
    ],
)
def test_gpus_are_told_apart_by_their_names(measured, catalog, same):
    assert same_gpu(measured, catalog) is same


def run_of(*devices: str, gpu: str | None = "NVIDIA A10G") -> Run:
    cells = tuple(
        Latency(
            setting=Setting(batch=1, threads=1, device=device),  # type: ignore[arg-type]
            p50_ms=Interval(value=ms, low=ms, high=ms, n=200), mean_ms=ms, steady=True,
        )
        for device, ms in zip(devices, (10.0, 1.0), strict=False)
    )  # fmt: skip
    footprint = Footprint(size_bytes=10, model_bytes=10, parameters=1, sparsity=0)
    machine = Machine(
        cpu="a CPU", isa=("avx2",), cores=2, memory_bytes=10**9, gpu=gpu, system="Linux",
        python="3.11", versions={}, load_average=0,
    )  # fmt: skip
    variant = VariantResult(
        name="fp32", baseline=True, key="k", signature=Signature(inputs=(), outputs=()),
        lineage=(), measurement=Measurement(footprint=footprint, latency=cells),
    )  # fmt: skip
    return Run(
        name="a run", created="2026-11-25", recipe={}, model="m", task="t", machine=machine,
        measured="2026-11-25", variants=(variant,), seconds=1,
    )  # fmt: skip


def test_a_runs_cells_on_the_gpu_are_a_profile_of_their_own():
    cpu, gpu = profiles_of_run(run_of("cpu", "cuda"))
    assert (cpu.name, cpu.gpu, cpu.baseline) == ("fp32", None, True)
    assert (gpu.name, gpu.gpu, gpu.baseline) == ("fp32 (gpu)", "NVIDIA A10G", False)
    assert [p.mean_ms for p in (*cpu.latency, *gpu.latency)] == [10.0, 1.0]
    assert [p.name for p in profiles_of_run(run_of("cpu"))] == ["fp32"]
    alone = profiles_of_run(run_of("cuda", gpu=None))
    assert [(p.name, p.baseline) for p in alone] == [("fp32 (gpu)", True)]
    refused = cheapest(case(1e6, alone[0], families=("g5",)), options()["real-time"]())
    assert not isinstance(refused, Estimate)
    assert "not recorded" in refused.reasons[-1]


# --- threads -----------------------------------------------------------------------------------


def of_threads(threads: int) -> ServiceProfile:
    point = Point(mean_ms=10.0, p50_ms=10.0, p99_ms=10.0, threads=threads)
    return before_and_after()[1].model_copy(update={"latency": (point,), "cpu": "ml.c6i.large"})


def test_a_profile_of_two_threads_has_a_lane_for_two_cores():
    asked = case(profile=of_threads(2))
    for size, count in (("4xlarge", 4), ("xlarge", 1), ("large", 1)):
        assert lanes(asked, Place(instance_type=f"ml.c6i.{size}")) == count
    assert lanes(case(profile=of_threads(1)), Place(instance_type="ml.c6i.4xlarge")) == 8
    four = best("real-time", case(2e9, of_threads(2), families=("c6i",)))
    one = best("real-time", case(2e9, of_threads(1), families=("c6i",)))
    assert float(four.usd.mid) > 1.5 * float(one.usd.mid)


def test_fewer_cores_than_threads_are_slower_by_as_much():
    asked = case(profile=of_threads(2))
    assert service_on(asked, Place(instance_type="ml.c6i.large"), 1.0).mean_s == 0.020
    assert service_on(asked, Place(instance_type="ml.c6i.xlarge"), 1.0).mean_s == 0.010
    small, large = (Place(vcpus=Decimal(n), memory_mb=4096) for n in ("2", "8"))
    assert (container_lanes(asked, small), core_share(asked, small)) == (1, 0.5)
    assert (container_lanes(asked, large), core_share(asked, large)) == (2, 1.0)


def test_one_thread_counts_where_it_was_measured():
    both = of_threads(1).latency + of_threads(2).latency
    asked = case(profile=of_threads(1).model_copy(update={"latency": both}))
    assert lanes(asked, Place(instance_type="ml.c6i.4xlarge")) == 8


# --- at the command line -----------------------------------------------------------------------


@pytest.fixture
def profile_file(tmp_path):
    path = tmp_path / "profile.json"
    path.write_text(json.dumps([p.model_dump(mode="json") for p in before_and_after()]))
    return str(path)


def workbench(*arguments: str):
    return CliRunner().invoke(app, ["cost", *arguments])


def test_the_flags_reach_the_plan_and_its_json(profile_file):
    done = workbench(
        profile_file, "--requests", "20M", "--option", "real-time", "--cache-hits", "30%",
        "--private-link", "2", "--family", "c7g,c6i", "--family", "m6i", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert made["modifiers"] == {
        "batching": False, "cache_hits": 0.3, "private_link": 2, "families": ["c7g", "c6i", "m6i"],
    }  # fmt: skip
    items = [line["item"] for line in made["variants"][0]["estimates"][0]["bill"]["lines"]]
    assert items[-2:] == ["interface endpoint", "data through PrivateLink"]


def test_the_headline_says_what_was_asked_and_the_last_line_what_was_not_compared(profile_file):
    done = workbench(profile_file, "--requests", "20M", "--cache-hits", "30%")
    assert done.exit_code == 0, done.output
    assert "30% answered by the cache" in done.stdout.splitlines()[0]
    assert "nothing was measured on their GPUs" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--batching",), "more than one batch size"),
        (("--cache-hits", "100%"), "100%"),
        (("--cache-hits", "-1%"), "-1%"),
        (("--family", "c6y"), "c6"),
    ],
)
def test_wrong_input_is_one_sentence(profile_file, arguments, word):
    done = workbench(profile_file, "--requests", "1M", *arguments)
    assert isinstance(done.exception, InputError) or done.exit_code == 2
    assert word in f"{done.output}{done.exception}"
