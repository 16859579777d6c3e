"""The trend over the runs below a folder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.compare.built import interval, machine, pair, run, step, variant
from tests.compare.test_runs import written
from workbench.compare.history import History, trend
from workbench.compare.metrics import parse_metric
from workbench.compare.records import Told
from workbench.cost.traffic import Traffic
from workbench.errors import InputError
from workbench.report.trends import BLOCKS, WIDTH, sparkline, trend_grids

DAYS = [f"2026-11-{day:02}T10:00:00+00:00" for day in range(1, 10)]


def series(history: History, metric: str, variant: str = "int8"):
    return [s for s in history.series if s.metric == metric and s.variant == variant]


def test_runs_stand_in_the_order_of_time_wherever_they_lie(tmp_path):
    written(tmp_path / "built", pair(DAYS[2]))
    written(tmp_path / "built~2026-11-01T10-00-00", pair(DAYS[0]))
    written(tmp_path / "deep" / "er" / "b", pair("2026-11-02T08:00:00-05:00"))
    [one] = series(trend(tmp_path), "size")
    assert [p.run for p in one.points] == ["built~2026-11-01T10-00-00", "deep/er/b", "built"]


def test_figures_of_different_machines_never_stand_in_one_series(tmp_path):
    for index, day in enumerate(DAYS[:6]):
        written(tmp_path / day, pair(day, machine=machine(cpu=f"CPU {index % 2}")))
    made = trend(tmp_path)
    assert len(made.machines) == 2
    for metric in ("size", "quality", "latency.p50"):
        assert [(s.machine, len(s.points)) for s in series(made, metric)] == [(0, 3), (1, 3)]


def test_a_new_version_does_not_break_a_series_and_is_named_where_it_matters(tmp_path):
    newer = machine(versions={"onnxruntime": "1.23.0"}, load_average=7.0)
    written(tmp_path / "a", pair(DAYS[0]))
    written(tmp_path / "b", pair(DAYS[1], small="other", size=200, machine=newer))
    made = trend(tmp_path)
    [one] = series(made, "size")
    assert one.points[0].told is None
    assert one.points[1].told is Told.BETTER
    assert {(c.aspect.value, c.key) for c in one.points[1].changes} == {
        ("versions", "onnxruntime"),
        ("versions", "onnx"),
    }
    grid = trend_grids(made)[1]
    assert "onnxruntime 1.22.0 → 1.23.0" in grid.rows[0][-1]


def test_a_change_of_the_recipe_is_named_at_its_point(tmp_path):
    steps = (step("export", opset=18), step("quantize", bits=4))
    written(tmp_path / "a", pair(DAYS[0]))
    written(tmp_path / "b", pair(DAYS[1]))
    written(tmp_path / "c", pair(DAYS[2], small="other", speedup=2.6, steps=steps))
    [one] = series(trend(tmp_path), "latency.p50")
    assert [p.told for p in one.points] == [None, Told.NOT_APART, Told.BETTER]
    assert [p.flagged for p in one.points] == [False, False, True]
    assert one.points[2].basis == "normalised"
    [change] = one.points[2].changes
    assert (change.key, change.before, change.after) == ("variants.int8.quantize.bits", 8, 4)


def test_what_creeps_in_small_steps_is_told_of_the_last_against_the_first(tmp_path):
    for index, day in enumerate(DAYS):
        speedup = 2 * 0.99**index
        written(tmp_path / day, pair(day, small=f"files {index}", speedup=speedup, half=0.02))
    [one] = series(trend(tmp_path), "latency.p50")
    assert not any(point.flagged for point in one.points)
    assert one.whole.told is Told.WORSE
    assert one.whole.difference.value == pytest.approx(0.99**8)


def test_drift_of_the_same_files_is_flagged_nowhere(tmp_path):
    for day, drift in zip(DAYS, (1, 1.2, 0.7, 1.4, 1, 2, 1, 0.5, 1), strict=True):
        written(tmp_path / day, pair(day, drift=drift))
    for one in trend(tmp_path).series:
        assert not any(point.flagged for point in one.points)


def test_what_is_no_run_is_named_and_skipped(tmp_path):
    written(tmp_path / "good", pair(DAYS[0]))
    written(tmp_path / "quick", pair(DAYS[1], smoke=True))
    written(tmp_path / "undated", pair("yesterday"))
    for name, content in (("foreign", '{"a": 1}'), ("torn", '{"schema_version": 1, "na')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(content)
    bad = written(tmp_path / "damaged", pair(DAYS[2])) / "variants" / "int8"
    bad.mkdir(parents=True)
    (bad / "manifest.json").write_text("{")
    made = trend(tmp_path)
    assert made.runs == 1
    assert {s.name for s in made.skipped} == {"quick", "undated", "foreign", "torn", "damaged"}
    shown = trend_grids(made)[-1]
    assert shown.title == "Left out"
    assert "smoke" in dict(shown.rows)["quick"]


def test_since_leaves_earlier_runs_out(tmp_path):
    for day in DAYS:
        written(tmp_path / day, pair(day))
    assert trend(tmp_path, since="2026-11-07").runs == 3
    assert trend(tmp_path, since="2026-11-07T10:00:00+00:00").runs == 3
    assert trend(tmp_path, since="2026-11-07T12:00").runs == 2
    with pytest.raises(InputError, match="no date"):
        trend(tmp_path, since="last week")


def test_metrics_are_those_of_gates_and_cost(tmp_path):
    written(tmp_path / "a", pair(DAYS[0]))
    written(tmp_path / "b", pair(DAYS[1], small="o", difference=interval(-0.1, 0.01)))
    wanted = ["parameters", "quality", "speedup", "latency.p50[batch=1]", "latency.p99", "cost"]
    made = trend(tmp_path, metrics=wanted, variants=["int8"], traffic=Traffic(requests=1e6))
    assert [s.metric for s in made.series] == [m for m in wanted if m != "latency.p99"]
    [quality] = series(made, "quality")
    assert quality.points[1].told is Told.WORSE
    assert quality.points[1].basis == "differences"
    assert made.traffic.startswith("1,000,000")
    assert History.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latency.p050", "Did you mean 'latency.p50'"),
        ("latency.p50[bach=1]", "Did you mean 'batch'"),
        ("size[batch=1]", "take a selector"),
        ("cost[batch=1]", "no metric"),
        ("", "no metric"),
    ],
)
def test_a_wrong_metric_is_refused_with_the_nearest_right_one(text, said):
    with pytest.raises(InputError, match=said.replace("[", r"\[")) as wrong:
        parse_metric(text)
    assert "<= 1" not in str(wrong.value)


def test_cost_without_traffic_is_refused(tmp_path):
    written(tmp_path / "a", pair(DAYS[0]))
    with pytest.raises(InputError, match="names no traffic"):
        trend(tmp_path, metrics=["cost"])


def test_each_run_is_priced_for_the_traffic_of_its_recipe_unless_one_is_given(tmp_path):
    for day, volume in zip(DAYS, (1e6, 4e6), strict=False):
        written(tmp_path / day, pair(day, traffic=Traffic(requests=volume).model_dump(mode="json")))
    [own] = series(trend(tmp_path, metrics=["cost"]), "cost")
    assert own.points[1].value > own.points[0].value
    [one] = series(trend(tmp_path, metrics=["cost"], traffic=Traffic(requests=1e6)), "cost")
    assert one.points[1].value == one.points[0].value == own.points[0].value


def test_an_absent_folder_or_variant_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no folder"):
        trend(tmp_path / "absent")
    written(tmp_path / "a", pair(DAYS[0]))
    with pytest.raises(InputError, match="Did you mean 'int8'"):
        trend(tmp_path, variants=["int9"])


def test_an_empty_folder_has_no_trend(tmp_path):
    [grid] = trend_grids(trend(tmp_path))
    assert grid.title == "No trend"


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60))
def test_a_sparkline_has_its_lowest_and_highest_where_the_values_have(values):
    drawn, shown = sparkline(values), values[-WIDTH:]
    assert len(drawn) == len(shown)
    if max(shown) > min(shown):
        assert drawn[shown.index(max(shown))] == BLOCKS[-1]
        assert drawn[shown.index(min(shown))] == BLOCKS[0]


def test_load_times_of_a_machine_that_is_not_recorded_are_not_compared(tmp_path):
    for place in (machine(), machine(instance_type="ml.c5.xlarge")):
        for day, load in zip(DAYS, (10.0, 20.0), strict=False):
            base = variant("fp32", key="base", baseline=True, load_ms=interval(load, 1.0))
            made = run(base, created=day, machine=place)
            written(tmp_path / f"{place.instance_type}" / day, made)
    here, elsewhere = series(trend(tmp_path, metrics=["load"]), "load", "fp32")
    if here.points[0].run.startswith("ml"):
        here, elsewhere = elsewhere, here
    assert here.points[1].told is Told.PERHAPS
    assert elsewhere.points[1].told is Told.NOTHING
    assert "not recorded" in elsewhere.points[1].basis
