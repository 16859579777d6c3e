"""The planner: ranks what is possible, says why the rest is not, and carries ranges to money."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cost.profiles import before_and_after
from workbench.cost.case import Case
from workbench.cost.catalog import Catalog
from workbench.cost.options import options
from workbench.cost.plan import Estimate
from workbench.cost.planner import cheapest, estimate, plan
from workbench.cost.traffic import Traffic
from workbench.errors import InputError

INSTANCES = ("real-time", "ec2")


def case(requests: float = 20e6, **traffic) -> Case:
    return Case(before_and_after()[1], Traffic(requests=requests, **traffic), Catalog.standard())


def test_the_winner_is_never_dearer_than_any_possible_place():
    asked = case(p99_ms=200)
    option = options()["real-time"]()
    best = cheapest(asked, option)
    assert isinstance(best, Estimate)
    found = [estimate(asked, option, place) for place in option.places(asked)]
    assert best.usd.mid == min(e.usd.mid for e in found if isinstance(e, Estimate))


@pytest.mark.parametrize("name", INSTANCES)
def test_lines_add_up_to_the_total_and_have_sources(name):
    best = cheapest(case(), options()[name]())
    assert isinstance(best, Estimate)
    assert best.bill.usd == best.usd.mid == sum(line.usd for line in best.bill.lines)
    assert all(line.price.source and line.price.as_of for line in best.bill.lines)


@settings(max_examples=15, deadline=None)
@given(st.floats(1e3, 5e8), st.floats(1.0, 4.0))
def test_cost_never_falls_when_traffic_rises(requests, factor):
    for name in INSTANCES:
        few, many = (cheapest(case(n), options()[name]()) for n in (requests, requests * factor))
        assert isinstance(few, Estimate)
        assert isinstance(many, Estimate)
        assert few.usd.mid <= many.usd.mid


def test_an_objective_below_the_models_own_latency_says_so():
    refused = cheapest(case(p99_ms=5), options()["real-time"]())
    assert not isinstance(refused, Estimate)
    assert any("the objective is 5 ms" in reason for reason in refused.reasons)


def test_a_payload_over_the_limit_names_the_limit():
    refused = cheapest(case(payload_in_bytes=30_000_000), options()["real-time"]())
    assert not isinstance(refused, Estimate)
    assert any("25 MB" in reason for reason in refused.reasons)


def test_two_instances_where_the_service_must_survive_the_loss_of_one():
    one, two = (
        cheapest(case(1e5, availability=kind), options()["real-time"]())
        for kind in ("single", "redundant")
    )
    assert isinstance(one, Estimate)
    assert isinstance(two, Estimate)
    assert two.capacity.instances == 2
    assert two.usd.mid > one.usd.mid


def test_the_saving_compares_the_best_option_of_each():
    made = plan(
        before_and_after(), Traffic(requests=400e6, p99_ms=200), Catalog.standard(),
        chosen=["real-time"], break_evens=False,
    )  # fmt: skip
    baseline, int8 = made.variants
    assert made.baseline is baseline
    assert baseline.best
    assert int8.best
    assert made.saving(int8) == baseline.best.usd.mid - int8.best.usd.mid
    assert made.saving(int8) > 0


def test_a_prediction_has_a_range_and_says_what_it_rests_on():
    best = cheapest(case(400e6, p99_ms=200), options()["real-time"]())
    assert isinstance(best, Estimate)
    assert not best.measured
    assert best.usd.low < best.usd.high
    assert best.p99_ms.low < best.p99_ms.high
    assert "assumed" in best.basis or "published" in best.basis


def test_unknown_regions_and_options_are_told_the_nearest():
    with pytest.raises(InputError, match="us-east-1"):
        plan(before_and_after(), Traffic(requests=1e6), Catalog.standard(), region="us-east-11")
    with pytest.raises(InputError, match="real-time"):
        plan(before_and_after(), Traffic(requests=1e6), Catalog.standard(), chosen=["realtime"])


WITHOUT_TORCH = """
import sys
for name in ("torch", "onnx", "onnxruntime", "transformers"):
    sys.modules[name] = None
from workbench.cli import main
sys.argv = ["workbench", *sys.argv[1:]]
main()
"""


@pytest.fixture
def profile_file(tmp_path) -> Path:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps([p.model_dump(mode="json") for p in before_and_after()]))
    return path


def workbench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_bare_profile_is_priced_without_torch_and_onnx(profile_file):
    done = workbench("cost", str(profile_file), "--requests", "20M", "--option", "real-time")
    assert done.returncode == 0, done.stderr
    assert "Cheapest:" in done.stdout
    assert "int8 saves" in done.stdout


def test_the_bill_is_explained_line_by_line_with_sources(profile_file):
    done = workbench("cost", str(profile_file), "--requests", "20M", "--explain", "real-time")
    assert done.returncode == 0, done.stderr
    for word in ("instances", "storage", "data in", "total", "AWS Price List"):
        assert word in done.stdout


def test_json_and_csv_hold_every_estimate(profile_file):
    given_ = ("cost", str(profile_file), "--requests", "20M", "--option", "ec2")
    made = json.loads(workbench(*given_, "--json").stdout)
    assert [v["variant"] for v in made["variants"]] == ["fp32", "int8"]
    rows = workbench(*given_, "--csv").stdout.splitlines()
    assert rows[0].startswith("variant,option,place")
    assert len(rows) == 3


def test_the_frontier_is_printed_and_in_json_and_csv(profile_file):
    given_ = ("cost", str(profile_file), "--requests", "20M", "--option", "serverless")
    done = workbench(*given_, "--frontier")
    assert done.returncode == 0, done.stderr
    assert "Frontier of all variants" in done.stdout
    made = json.loads(workbench(*given_, "--frontier", "--json").stdout)
    assert made["frontier"][0]["estimate"] in made["variants"][1]["estimates"]
    rows = workbench(*given_, "--frontier", "--csv").stdout.splitlines()
    assert [row.split(",")[:2] for row in rows[1:3]] == [["all", "int8"], ["fp32", "fp32"]]


def test_break_evens_are_found_where_an_option_has_no_price():
    made = plan(before_and_after(), Traffic(requests=1e6), Catalog.standard(), region="eu-west-1")
    assert {found.variant for found in made.break_evens} == {"fp32", "int8"}


def test_options_and_prices_are_listed_with_their_sources():
    assert "serverless" in workbench("options", "list").stdout
    shown = workbench("prices", "show", "ml.c5.xlarge").stdout
    assert "0.204" in shown
    assert "AWS Price List" in shown
    assert workbench("prices", "show", "ml.c5.xlargest").returncode == 2


def test_the_volumes_from_a_thousand_to_a_hundred_million_stand_side_by_side(profile_file):
    given_ = ("cost", str(profile_file), "--requests", "1M", "--option", "real-time", "--volumes")
    done = workbench(*given_)
    assert done.returncode == 0, done.stderr
    assert "1 K" in done.stdout
    assert "100 M" in done.stdout
    plans = json.loads(workbench(*given_, "--json").stdout)
    assert [p["requests"] for p in plans] == [10.0**power for power in range(3, 9)]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "--traffic"),
        (("--requests", "minus one"), "minus one"),
        (("--requests", "1M", "--region", "us-east-11"), "us-east-1"),
        (("--requests", "1M", "--hours", "700"), "700"),
        (("--requests", "1M", "--frontier", "--volumes"), "--frontier"),
        (("--requests", "1M", "--variant", "int4"), "int4"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(profile_file, arguments, word):
    done = workbench("cost", str(profile_file), *arguments)
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_a_profile_without_a_latency_names_the_field(tmp_path):
    (tmp_path / "p.yaml").write_text("name: x\ncpu: y\ncores: 2\nmeasured: '2026'\nlatency: []\n")
    done = workbench("cost", str(tmp_path / "p.yaml"), "--requests", "1M")
    assert done.returncode == 2
    assert "latency" in done.stderr
