"""The answer is honest: undecided, worse and unmeasured are called so, by a rule that is stated."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.recorded import changed, recorded, variant, without
from workbench.records import Interval, Latency, Outcome, Setting
from workbench.report.html.answer import answers, choose, mean_speedup, sentence
from workbench.report.html.pricing import Pricing, price

UNPRICED = Pricing(None, "not asked")


@pytest.fixture(scope="module")
def run():
    return recorded()


def answer(run, name, pricing=UNPRICED):
    return next(a for a in answers(run, pricing) if a.variant == name)


def speedups(*values):
    """A cell for each (value, low, high)."""
    return tuple(
        Latency(
            setting=Setting(batch=i + 1, threads=1),
            p50_ms=Interval(value=1, low=1, high=1, n=20),
            mean_ms=1,
            speedup=Interval(value=value, low=low, high=high, n=20),
        )
        for i, (value, low, high) in enumerate(values)
    )


def test_the_figures_are_those_of_the_record(run):
    found = answer(run, "int8")
    own, base = variant(run, "int8").measurement, variant(run, "fp32").measurement
    assert found.size.value == 1 - own.footprint.size_bytes / base.footprint.size_bytes
    assert found.quality.value == own.quality.difference.value
    logs = [math.log(cell.speedup.value) for cell in own.latency]
    assert found.speed.value == pytest.approx(math.exp(sum(logs) / len(logs)))


def test_the_variant_that_passes_all_gates_is_chosen_before_one_with_an_undecided(run):
    found = answers(run, UNPRICED)
    assert answer(run, "int8").standing is Outcome.UNDECIDED
    assert choose(found).variant == "fast"
    without_fast = [a for a in found if a.variant != "fast"]
    assert choose(without_fast).variant == "w8"
    assert choose([answer(run, "int8")]).variant == "int8"
    assert choose([]) is None


def test_of_equally_fast_variants_the_clearly_smaller_is_chosen(run):
    fast = replace(answer(run, "fast"), size_bytes=1000)
    speed = fast.speedup.model_copy(update={"value": fast.speedup.value * 0.9})
    small = replace(fast, variant="small", speedup=speed, size_bytes=900)
    assert choose([fast, small]).variant == "small"
    assert choose([fast, replace(small, size_bytes=990)]).variant == "fast"


def test_without_latency_the_smallest_is_chosen(run):
    found = answers(without(run, "latency", ()), UNPRICED)
    assert all(a.speed.word == "speed not measured" for a in found)
    passing = [replace(a, standing=Outcome.PASS) for a in found]
    assert choose(passing).size_bytes == min(a.size_bytes for a in passing)


def test_a_failed_gate_keeps_a_variant_behind_all_others(run):
    verdicts = tuple(
        v.model_copy(update={"outcome": Outcome.FAIL}) if v.variant == "fast" else v
        for v in run.verdicts
    )
    found = answers(run.model_copy(update={"verdicts": verdicts}), UNPRICED)
    assert choose(found).variant == "w8"


@pytest.mark.parametrize(
    ("cells", "tone", "words"),
    [
        ([(2.0, 1.8, 2.2)], "good", "2.00× faster"),
        ([(0.5, 0.4, 0.8)], "bad", "2.00× slower"),
        ([(1.02, 0.9, 1.2)], "open", "no faster that could be shown"),
    ],
)
def test_speed_is_called_faster_slower_or_undecided(run, cells, tone, words):
    found = answer(changed(run, "int8", latency=speedups(*cells)), "int8")
    assert found.speed.tone == tone
    assert words in sentence(found)


@pytest.mark.parametrize(
    ("ends", "tone", "words"),
    [
        ((-0.02, -0.03, -0.01), "bad", "0.0200 pearson lost"),
        ((0.02, 0.01, 0.03), "good", "0.0200 pearson gained"),
        ((0.0, -0.01, 0.01), "open", "no quality loss shown"),
        ((0.0, 0.0, 0.0), "good", "no quality lost"),
    ],
)
def test_quality_is_called_lost_gained_or_undecided(run, ends, tone, words):
    quality = variant(run, "int8").measurement.quality
    value, low, high = ends
    difference = Interval(value=value, low=low, high=high, n=50)
    quality = quality.model_copy(update={"difference": difference})
    found = answer(changed(run, "int8", quality=quality), "int8")
    assert found.quality.tone == tone
    assert words in sentence(found)


def test_without_labels_closeness_is_told_and_no_loss_is_claimed(run):
    quality = variant(run, "int8").measurement.quality
    quality = quality.model_copy(update={"difference": None, "score": None})
    found = answer(changed(run, "int8", quality=quality), "int8").quality
    assert "no loss is known" in found.detail
    assert found.tone == ""


def test_what_was_not_measured_is_said(run):
    bare = without(run, "quality")
    assert answer(bare, "int8").quality.word == "quality not measured"
    assert "quality not compared" in sentence(answer(bare, "int8"))
    no_baseline = run.model_copy(
        update={
            "variants": tuple(
                v.model_copy(update={"measurement": None}) if v.baseline else v
                for v in run.variants
            )
        }
    )
    assert answers(no_baseline, UNPRICED) == []


def test_money_is_what_the_planner_finds_with_its_range(run):
    pricing = price(run, None, "us-east-1")
    assert pricing.assumed
    for found in answers(run, pricing):
        theirs = pricing.plan.baseline.best
        ours = next(v.best for v in pricing.plan.variants if v.variant == found.variant)
        assert found.money.value == pytest.approx(float(theirs.usd.mid - ours.usd.mid))
        assert found.money.low <= found.money.value <= found.money.high
        undecided = found.money.low <= 0 <= found.money.high
        assert (found.money.tone == "open") is undecided


def test_a_smoke_run_and_one_without_latency_are_not_priced(run):
    assert "smoke" in price(run.model_copy(update={"smoke": True}), None, "us-east-1").why
    assert price(without(run, "latency", ()), None, "us-east-1").why.startswith("Not priced: ")


@given(st.lists(st.tuples(*[st.floats(0.1, 10)] * 3).map(sorted), min_size=1, max_size=8))
def test_the_mean_speedup_lies_within_its_bounds_and_between_the_cells(found):
    cells = speedups(*((middle, low, high) for low, middle, high in found))
    mean = mean_speedup(cells)
    tiny = 1 + 1e-9
    assert mean.low <= mean.value * tiny
    assert mean.value <= mean.high * tiny
    middles = [middle for _, middle, _ in found]
    assert min(middles) <= mean.value * tiny
    assert mean.value <= max(middles) * tiny
