"""What stored figures decide, what they leave open, and what is never compared."""

import json

import pytest

from tests.check.conftest import HERE, cell, interval, make_run, variant
from workbench.check import check_run
from workbench.check.findings import Test as Asked
from workbench.check.findings import judge_ratio
from workbench.check.gates_file import PlacedGate
from workbench.errors import CorruptError, GateError, InputError, RecipeError
from workbench.gates import parse_gate
from workbench.records import Outcome, Setting


def int8(**given):
    given.setdefault("cells", [cell(5, speedup=2.0)])
    given.setdefault("score", interval(0.9, 0.02))
    given.setdefault("difference", interval(0.0, 0.001))
    return variant("int8", **given)


@pytest.fixture
def judge(write, tmp_path):
    """Judge one gate of a gates file for int8 of two runs."""

    def judged(gate, now, then=None, **options):
        file = tmp_path / "gates.yaml"
        file.write_text(json.dumps({"gates": [gate]}))  # JSON is YAML
        result = check_run(
            write(now, "now"),
            baseline=write(then, "then") if then else None,
            gates=file,
            **options,
        )
        return result.verdicts[0]

    return judged


def test_a_size_is_compared_with_that_of_the_earlier_run_on_whatever_machine(judge):
    elsewhere = HERE.model_copy(update={"cpu": "another"})
    then = make_run(int8(size=900), machine=elsewhere)
    assert judge("size <= previous", make_run(int8(size=901)), then).outcome is Outcome.FAIL
    assert judge("size <= previous", make_run(int8(size=900)), then).outcome is Outcome.PASS


def test_a_latency_is_normalised_by_the_baseline_that_both_were_measured_beside(judge):
    # The machine was twice as slow the second time; the speed-up tells that nothing changed.
    then = make_run(int8(key="old", cells=[cell(5, speedup=2.0)]))
    now = make_run(int8(key="new", cells=[cell(10, speedup=2.0)]))
    verdict = judge("latency.p50 <= 1.3 * previous", now, then)
    assert verdict.how == "normalised by the baseline"
    assert verdict.observed.value == pytest.approx(1.0)
    assert verdict.outcome is Outcome.PASS


def test_a_much_slower_model_fails_by_its_speed_up(judge):
    then = make_run(int8(key="old", cells=[cell(5, speedup=2.0)]))
    now = make_run(int8(key="new", cells=[cell(5, speedup=1.0)]))
    verdict = judge("latency.p50 <= 1.05 * previous", now, then)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.observed.value == pytest.approx(2.0)
    speed = judge("speedup >= 0.95 * previous", now, then)
    assert speed.outcome is Outcome.FAIL
    assert speed.observed.value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("gate", "bound"),
    [
        ("speedup >= previous - 0.5", 0.75),  # of a speed-up of 2
        ("latency.p50 <= previous + 1 ms", 1.2),  # of 5 ms
        ("latency.p50 <= previous + 20%", 1.2),
    ],
)
@pytest.mark.parametrize("key", ["old", "new"], ids=["changed", "same"])
def test_a_bound_with_an_offset_becomes_one_on_the_ratio(judge, gate, bound, key):
    then = make_run(int8(key=key, cells=[cell(5, speedup=2.0)]))
    now = make_run(int8(key="new", cells=[cell(5, speedup=2.0)]))
    assert judge(gate, now, then).bound == pytest.approx(bound)


def test_a_side_by_side_speed_up_is_bounded_by_the_earlier_speed_up():
    place = Setting(batch=1, threads=1)
    test = Asked(PlacedGate(parse_gate("speedup >= previous - 0.5"), ("int8",), ""), "int8", place)
    assert judge_ratio(test, interval(1.0, 0.01), 2.0).bound == pytest.approx(0.75)


def test_closeness_to_another_baseline_is_not_judged(judge):
    def near(key):
        base = variant("fp32", baseline=True, key=key, cells=[cell()])
        own = int8(key="x")
        quality = own.measurement.quality.model_copy(update={"agreement": {"cosine_min": 0.9}})
        measured = own.measurement.model_copy(update={"quality": quality})
        return make_run(base, own.model_copy(update={"measurement": measured}))

    assert judge("cosine_min >= previous", near("a"), near("a")).outcome is Outcome.PASS
    verdict = judge("cosine_min >= previous", near("a"), near("b"))
    assert verdict.outcome is Outcome.NOT_JUDGED


def test_what_is_close_is_undecided_and_says_how_much_more_would_decide(judge):
    then = make_run(int8(key="old", cells=[cell(5, speedup=2.0)]))
    now = make_run(int8(key="new", cells=[cell(5, speedup=1.93)]))
    verdict = judge("latency.p50 <= 1.05 * previous", now, then)
    assert verdict.outcome is Outcome.UNDECIDED
    assert verdict.samples_needed > 0
    assert verdict.samples == "processes"


@pytest.mark.parametrize(
    ("machine", "base_key", "gate", "told"),
    [
        ({"cpu": "another"}, "b", "latency.p50 <= previous", "CPU: a CPU against another"),
        ({"versions": {"onnxruntime": "1.20.0"}}, "b", "latency.p50 <= previous", "onnxruntime"),
        ({}, "c", "latency.p50 <= previous", "the baselines differ"),
        ({}, "c", "speedup >= previous", "the baseline itself changed"),
        ({}, "b", "latency.p95 <= previous", "only p50 can be normalised"),
        ({}, "b", "load <= previous", "not measured side by side"),
        ({"cores": 9}, "b", "memory <= previous", "memory of another machine"),
    ],
)
def test_latencies_that_cannot_be_compared_are_not_judged(judge, machine, base_key, gate, told):
    def base(key):
        return variant("fp32", baseline=True, key=key, cells=[cell()], score=interval(0.9))

    then = make_run(base(base_key), int8(key="old"), machine=HERE.model_copy(update=machine))
    verdict = judge(gate, make_run(base("b"), int8(key="new")), then)
    assert verdict.outcome is Outcome.NOT_JUDGED
    assert told in verdict.reason


def test_the_same_model_under_the_same_runtime_is_as_fast_by_construction(judge):
    verdict = judge("latency.p50 <= previous", make_run(int8()), make_run(int8()))
    assert (verdict.outcome, verdict.how) == (Outcome.PASS, "the same by construction")
    assert verdict.observed.value == 1


def test_the_same_model_is_as_good_by_construction_only_where_the_runtime_is_the_same(judge):
    gate = "quality >= previous - 2%"
    same = judge(gate, make_run(int8()), make_run(int8()))
    assert (same.outcome, same.how) == (Outcome.PASS, "the same by construction")
    older = HERE.model_copy(update={"versions": {"onnxruntime": "1.20.0"}})
    then = make_run(int8(difference=interval(0.1, 0.001)), machine=older)
    verdict = judge(gate, make_run(int8()), then)
    assert (verdict.outcome, verdict.how) == (Outcome.FAIL, "paired through the baseline")


def test_closeness_is_compared_on_one_task_only(judge):
    close = int8()
    close.measurement.quality.agreement["cosine_min"] = 0.99
    gate = "cosine_min >= previous - 0.01"
    assert judge(gate, make_run(close), make_run(close)).outcome is Outcome.PASS
    verdict = judge(gate, make_run(close), make_run(close, task="agreement"))
    assert verdict.outcome is Outcome.NOT_JUDGED
    assert "the task" in verdict.reason


def test_the_same_model_under_another_runtime_is_not_judged(judge):
    older = HERE.model_copy(update={"versions": {"onnxruntime": "1.20.0"}})
    verdict = judge("latency.p50 <= previous", make_run(int8()), make_run(int8(), machine=older))
    assert verdict.outcome is Outcome.NOT_JUDGED
    assert "onnxruntime 1.30.0 and 1.20.0" in verdict.reason


def test_figures_of_one_process_decide_nothing(judge):
    now = make_run(int8(cells=[cell(5, speedup=2.0, processes=1)]))
    verdict = judge("speedup >= 1.5", now)
    assert verdict.outcome is Outcome.UNDECIDED
    assert "one process" in verdict.reason


def test_quality_is_paired_through_the_baseline_that_both_runs_share(judge):
    then = make_run(int8(key="old", score=interval(0.9, 0.02), difference=interval(0.0, 0.0005)))
    lost = int8(key="new", score=interval(0.88, 0.02), difference=interval(-0.02, 0.0005))
    verdict = judge("quality >= previous - 0.5%", make_run(lost), then)
    assert (verdict.outcome, verdict.how) == (Outcome.FAIL, "paired through the baseline")
    assert verdict.observed.value == pytest.approx(-0.02)


def test_quality_against_another_baseline_is_judged_by_two_whole_intervals(judge):
    other = variant("fp32", baseline=True, key="other", score=interval(0.9, 0.02), cells=[cell()])
    then = make_run(other, int8(key="old"))
    verdict = judge("quality >= previous - 0.5%", make_run(int8(key="new")), then)
    assert (verdict.outcome, verdict.how) == (Outcome.UNDECIDED, "two intervals")
    assert verdict.samples == "samples of the task"


def test_quality_of_another_task_is_not_judged(judge):
    then = make_run(int8(key="old"), task={"classification": {"data": "other.npz"}})
    verdict = judge("quality >= previous", make_run(int8(key="new")), then)
    assert verdict.outcome is Outcome.NOT_JUDGED
    assert "task" in verdict.reason


def test_a_variant_that_the_earlier_run_lacks_is_not_judged(judge):
    then = make_run(variant("w8", score=interval(0.9)))
    verdict = judge("size <= previous", make_run(int8()), then)
    assert verdict.outcome is Outcome.NOT_JUDGED
    assert "no variant 'int8'" in verdict.reason


def test_more_gates_ask_for_more_certainty(write, tmp_path):
    def low(count):
        file = tmp_path / "gates.yaml"
        file.write_text(json.dumps({"gates": ["speedup >= 1.1"] * count}))
        folder = write(make_run(int8()))
        return check_run(folder, gates=file).verdicts[0].observed.high

    assert low(8) > low(1)


def test_a_smoke_run_is_not_judged_and_passes_unless_strict(write):
    run = make_run(int8(), gates=["size <= 0.1 * baseline"], smoke=True)
    result = check_run(write(run))
    assert [v.outcome for v in result.verdicts] == [Outcome.NOT_JUDGED]
    assert result.passed
    assert result.smoke
    assert not check_run(write(run), strict=True).passed


def test_the_usual_gates_are_taken_where_none_speaks_of_previous_and_that_is_said(write):
    now, then = write(make_run(int8(), gates=["size <= baseline"])), write(make_run(int8()), "then")
    result = check_run(now, baseline=then)
    assert [v.gate for v in result.verdicts] == [
        "size <= baseline",
        "latency.p50 <= 1.05 * previous",
        "size <= 1.01 * previous",
        "quality >= previous - 0.5%",
    ]
    assert "the usual ones were taken" in result.notes[0]
    assert result.passed


def test_the_usual_gates_hold_for_the_baseline_where_it_is_chosen(write):
    now, then = write(make_run(int8())), write(make_run(int8()), "then")
    assert {v.variant for v in check_run(now, baseline=then).verdicts} == {"int8"}
    chosen = check_run(now, baseline=then, variants=["fp32"])
    assert {v.variant for v in chosen.verdicts} == {"fp32"}


def test_a_gate_on_previous_asks_for_an_earlier_run(write):
    folder = write(make_run(int8(), gates=["size <= previous"]))
    with pytest.raises(GateError, match="--baseline RUN"):
        check_run(folder)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("gates:\n  - size <= 1 MB\n  - sise <= 1 MB\n", 3, "'sise' is no measurement"),
        ("gates:\n  - {gate: size <= 1 MB, varients: [int8]}\n", 2, "variants"),
        ("gates:\n  - {gate: size <= 1 MB, variants: [int9]}\n", 2, "int8"),
        ("gates:\n  - {gate: size <= baseline, variants: [fp32]}\n", 2, "the baseline"),
        ("gates:\n  - {name: size}\n", 2, "missing"),
        ("gats:\n  - size <= 1 MB\n", 1, "gates"),
        ("- size <= 1 MB\n", 1, "Write 'gates:' above"),
        ("gates: []\n", 1, "at least 1"),
        ("gates:\n  - latency.p50[batch=64] <= 1 ms\n", 2, "no cell"),
        ("gates:\n  - cosine_min >= 0.9\n", 2, "does not give 'cosine_min'"),
    ],
)
def test_a_wrong_gates_file_is_refused_at_its_line(write, tmp_path, text, line, told):
    file = tmp_path / "gates.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError) as caught:
        check_run(write(make_run(int8())), gates=file)
    assert told in str(caught.value)
    assert f"{file}:{line}:" in str(caught.value)


def test_a_gates_file_gives_names_reasons_and_places(write, tmp_path):
    file = tmp_path / "gates.yaml"
    file.write_text(
        "gates:\n  - {gate: size <= 1 B, name: small, reason: it must fit, variants: [int8]}\n"
    )
    verdict = check_run(write(make_run(int8())), gates=file).verdicts[0]
    assert (verdict.name, verdict.note, verdict.file, verdict.line) == (
        "small", "it must fit", str(file), 2,
    )  # fmt: skip


def test_an_unknown_variant_is_refused_with_the_nearest(write):
    with pytest.raises(InputError, match="'int8'"):
        check_run(write(make_run(int8())), variants=["int"])


def test_a_run_of_another_version_or_a_torn_one_is_a_clear_error(write):
    folder = write(make_run(int8()))
    file = folder / "run.json"
    whole = file.read_text()
    for text in (whole[:200], whole.replace('"schema_version":1', '"schema_version":9'), "{}"):
        file.write_text(text)
        with pytest.raises(CorruptError, match=r"run\.json cannot be read"):
            check_run(folder)


def test_a_run_without_a_baseline_is_a_clear_error(write):
    run = make_run(int8(), gates=["size <= baseline"])
    with pytest.raises(CorruptError, match="names no baseline"):
        check_run(write(run.model_copy(update={"variants": (int8(),)})))
