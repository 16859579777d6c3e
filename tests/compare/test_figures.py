"""What of two runs is compared, on what ground, and what is told of it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.compare.built import interval, machine, pair, run, scored, source, variant
from workbench.compare import compare_runs
from workbench.compare.costs import cost_change
from workbench.compare.records import Basis, Comparison, Cost, Told
from workbench.cost.ranges import Range
from workbench.cost.traffic import Traffic
from workbench.errors import InputError

LATER = "2026-11-02T10:00:00+00:00"
ELSEWHERE = machine(cpu="Test CPU 2")


def compared(before, after, name="int8", **more) -> Comparison:
    made = compare_runs([source(before, "before"), source(after, "after")], **more)
    return made, next(v for v in made.variants if v.name == name).differences[1]


# --- latency -------------------------------------------------------------------------------------


def test_on_one_machine_the_speed_is_the_ratio_of_the_speedups_whatever_the_drift():
    after = pair(LATER, small="other", speedup=2.2, drift=1.3)
    made, found = compared(pair(), after)
    [cell] = found.latency
    assert cell.basis is Basis.NORMALISED
    assert cell.speed.value == pytest.approx(1.1)
    assert cell.told is Told.BETTER
    notes = " ".join(made.notes)
    assert "0.77 times as fast" in notes
    assert "drift" in notes


def test_the_same_files_are_never_called_faster_or_slower_on_one_machine():
    _, found = compared(pair(), pair(LATER, drift=1.3))
    assert found.identical
    [cell] = found.latency
    assert (cell.basis, cell.told) == (Basis.DRIFT, Told.NOT_APART)
    _, base = compared(pair(), pair(LATER, drift=1.3), "fp32")
    assert base.latency[0].told is Told.NOT_APART


def test_without_a_common_baseline_a_difference_is_told_only_with_the_doubt_of_drift():
    _, found = compared(pair(), pair(LATER, base="other", small="other", drift=1.3))
    [cell] = found.latency
    assert (cell.basis, cell.told) == (Basis.RAW, Told.PERHAPS)
    assert cell.speed.value == pytest.approx(1 / 1.3)


def test_on_another_machine_times_are_not_compared():
    made, found = compared(pair(), pair(LATER, base="other", small="other", machine=ELSEWHERE))
    [cell] = found.latency
    assert (cell.basis, cell.speed, cell.told) == (Basis.NONE, None, Told.NOTHING)
    assert found.size == 1.0
    assert found.quality.basis != "not compared"
    assert any("latency is not compared: CPU" in note for note in made.notes)


def test_on_another_machine_speedups_over_one_baseline_are_compared_and_it_is_said():
    made, found = compared(pair(), pair(LATER, small="o", speedup=3, machine=ELSEWHERE))
    [cell] = found.latency
    assert cell.basis is Basis.OTHER_MACHINE
    assert cell.speed.value == pytest.approx(1.5)
    assert any("each on its own machine" in note for note in made.notes)
    _, base = compared(pair(), pair(LATER, machine=ELSEWHERE), "fp32")
    assert base.latency[0].basis is Basis.NONE


def test_another_runtime_is_another_baseline():
    newer = machine(versions={"onnxruntime": "1.23.0", "onnx": "1.17.0"})
    made, found = compared(pair(), pair(LATER, small="other", machine=newer))
    assert found.latency[0].basis is Basis.NONE
    assert any("onnxruntime is not of the same version" in note for note in made.notes)


def test_two_variants_of_one_run_are_directly_comparable():
    one = pair()
    made = compare_runs(
        [source(one, "a:fp32", variant="fp32"), source(one, "a:int8", variant="int8")]
    )
    [row] = made.variants
    [cell] = row.differences[1].latency
    assert row.name == "fp32 → int8"
    assert (cell.basis, cell.told) == (Basis.INTERLEAVED, Told.BETTER)
    assert (cell.speed.value, cell.speed.low, cell.speed.high) == pytest.approx((2.0, 1.95, 2.05))
    assert row.differences[1].quality.basis == "paired"
    assert row.differences[1].quality.difference.low == pytest.approx(-0.003)
    assert any("directly comparable" in note for note in made.notes)


def test_backwards_the_differences_turn_round():
    one = pair()
    made = compare_runs(
        [source(one, "a:int8", variant="int8"), source(one, "a:fp32", variant="fp32")]
    )
    found = made.variants[0].differences[1]
    assert found.latency[0].speed.value == pytest.approx(0.5)
    assert found.latency[0].told is Told.WORSE
    assert found.quality.difference.value == pytest.approx(0.001)


@given(st.floats(0.5, 4), st.floats(0.01, 0.4), st.floats(0.2, 5), st.booleans(), st.booleans())
def test_no_difference_whose_interval_holds_1_is_called_one(speedup, half, drift, base, here):
    after = pair(
        LATER,
        small="other",
        base="base" if base else "other",
        speedup=speedup,
        half=half,
        drift=drift,
        machine=machine() if here else ELSEWHERE,
    )
    _, found = compared(pair(), after)
    [cell] = found.latency
    if cell.speed is not None and cell.speed.low <= 1 <= cell.speed.high:
        assert cell.told is Told.NOT_APART
    if cell.basis is Basis.RAW:
        assert cell.told in (Told.PERHAPS, Told.NOT_APART)


def test_memory_and_load_are_not_compared_where_latency_was_measured_elsewhere():
    def made(when, **more):
        base = variant(
            "fp32", key="base", baseline=True, load_ms=interval(5, 0.1), peak_memory_bytes=100
        )
        return run(base, created=when, **more)

    _, here = compared(made("2026-11-01T10:00:00+00:00"), made(LATER), "fp32")
    assert here.memory == 1.0
    assert here.load.value == 1.0
    cloud = machine(instance_type="ml.c7i.xlarge")
    said, there = compared(
        made("2026-11-01T10:00:00+00:00", machine=cloud), made(LATER, machine=cloud), "fp32"
    )
    assert (there.memory, there.load) == (None, None)
    assert any("not recorded" in note for note in said.notes)


def test_what_was_not_measured_is_left_out_and_nothing_breaks():
    bare = pair(LATER)
    variants = tuple(v.model_copy(update={"measurement": None}) for v in bare.variants)
    made, found = compared(pair(), bare.model_copy(update={"variants": variants}))
    assert found is None
    assert made.variants[0].figures[1] is None


# --- quality -------------------------------------------------------------------------------------


def test_quality_over_one_baseline_is_compared_by_the_paired_differences():
    after = pair(LATER, small="other", difference=interval(-0.02, 0.004, 500))
    _, found = compared(pair(), after)
    assert found.quality.basis == "differences"
    assert found.quality.difference.value == pytest.approx(-0.019)
    assert found.quality.difference.low == pytest.approx(-0.025)
    assert found.quality.difference.confidence == pytest.approx(0.9)
    assert found.quality.told is Told.WORSE


def test_without_a_common_baseline_quality_has_two_intervals_and_no_difference():
    _, found = compared(pair(), pair(LATER, base="other", small="other", score=0.95))
    assert found.quality.basis == "intervals"
    assert found.quality.difference is None
    assert found.quality.told is Told.BETTER
    assert "no baseline is common" in found.quality.why


def test_quality_of_different_tasks_is_not_compared_and_it_is_said():
    other = pair(LATER, task="agreement", recipe={"task": {"agreement": {}}})
    made, found = compared(pair(), other)
    assert found.quality.basis == "not compared"
    assert any("the tasks are classification and agreement" in note for note in made.notes)


def test_quality_on_other_data_is_not_compared():
    other = pair(LATER, recipe={"task": {"classification": {"data": "letters"}}})
    _, found = compared(pair(), other)
    assert found.quality.basis == "not compared"


def test_a_baseline_that_scores_differently_ties_no_samples_together():
    _, found = compared(pair(), pair(LATER, small="other", score=0.89))
    assert found.quality.basis == "intervals"
    assert "scores differently" in found.quality.why


def test_the_same_files_on_the_same_data_have_no_difference_of_quality():
    _, found = compared(pair(), pair(LATER))
    assert found.quality.basis == "same files"
    assert (found.quality.difference.low, found.quality.difference.high) == (0, 0)


def test_a_task_without_labels_has_no_score_to_compare():
    def made(when):
        unlabelled = scored(0, None, score=None, agreement={"cosine_mean": 0.99})
        return run(variant("fp32", key="base", baseline=True, quality=unlabelled), created=when)

    _, found = compared(made("2026-11-01T10:00:00+00:00"), made(LATER), "fp32")
    assert found.quality.basis == "not compared"


# --- cost ----------------------------------------------------------------------------------------


def usd(low, mid, high, **more):
    values = Range(low=Decimal(low), mid=Decimal(mid), high=Decimal(high))
    return Cost(**{"option": "serverless", "place": "1 GB", "why": "assumed"} | more, usd=values)


def changed(before, after, *, one_run=True, one_machine=True, identical=False):
    return cost_change(before, after, one_run=one_run, one_machine=one_machine, identical=identical)


def test_what_is_predicted_of_one_place_for_both_is_taken_out_of_the_difference():
    before, after = usd(1, 2, 4), usd(2, 3, 6)
    assert changed(before, after).usd == Range(low=Decimal(1), mid=Decimal(1), high=Decimal(2))
    assert changed(before, after).told is Told.WORSE
    apart = changed(before, after, one_machine=False)
    assert (apart.usd.low, apart.usd.high, apart.told) == (-2, 5, Told.NOT_APART)
    elsewhere = changed(before, usd(2, 3, 6, place="2 GB"))
    assert (elsewhere.usd.low, elsewhere.usd.high) == (-2, 5)


def test_between_two_runs_a_bill_differs_only_with_the_doubt_of_drift():
    cheaper = changed(usd(4, 4, 4), usd(1, 1, 1), one_run=False)
    assert (cheaper.usd.mid, cheaper.told) == (-3, Told.PERHAPS)
    same = changed(usd(4, 4, 4), usd(1, 1, 1), one_run=False, identical=True)
    assert same.told is Told.NOT_APART
    assert changed(usd(4, 4, 4), Cost(why="not possible")) is None


def test_one_traffic_is_priced_for_both_runs():
    made, found = compared(pair(), pair(LATER, small="o", speedup=4), traffic=Traffic(requests=5e6))
    costs = [figures.cost for figures in made.variants[1].figures]
    assert made.traffic.startswith("5,000,000 requests a month")
    assert found.cost.usd.mid == costs[1].usd.mid - costs[0].usd.mid
    assert found.cost.usd.mid < 0


def test_the_traffic_of_the_recipe_is_priced_unless_another_is_given():
    recorded = Traffic(requests=1e6).model_dump(mode="json")
    made, _ = compared(pair(traffic=recorded), pair(LATER))
    assert made.traffic.startswith("1,000,000 requests")
    assert compared(pair(), pair(LATER))[0].traffic is None


def test_runs_without_a_common_length_are_not_priced_for_one_traffic():
    def made(sequence, when):
        setting = variant("x", key="x").measurement.latency[0].setting
        longer = setting.model_copy(update={"sequence": sequence})
        return run(variant("fp32", key="b", baseline=True, setting=longer), created=when)

    runs = [made(16, "2026-11-01T10:00:00+00:00"), made(128, LATER)]
    with pytest.raises(InputError, match="no sequence length in common"):
        compare_runs(runs, traffic=Traffic(requests=1e6))
