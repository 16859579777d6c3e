"""Real models in real processes: what is measured, and what is refused."""

from __future__ import annotations

import shutil

import pytest
from filelock import FileLock, Timeout

from workbench.errors import GateError, InputError
from workbench.testing import BoundError, UndecidedError, assert_within, measure
from workbench.testing.session import Session, begin, end
from workbench.testing.side_by_side import alone


@pytest.fixture
def entries(store):
    """A session with time enough for a busy machine; what it was told."""
    told = []
    session = Session(budget_s=400, record=told.append)
    begin(session)
    yield told
    end(session)


@pytest.fixture(scope="module")
def folder(run_folder):
    return str(run_folder)


def test_a_faster_model_passes_and_a_slower_one_breaks_its_bound(entries, folder):
    measured = measure(f"{folder}:fast", batch=32)
    assert measured.p50 <= measured.baseline.p50 * 0.8
    with pytest.raises(BoundError, match=r"latency\.p50 <= 0\.01 \* baseline is broken") as broken:
        assert measured.p50 <= measured.baseline.p50 * 0.01
    assert "fast against slow" in str(broken.value)
    assert "side by side at 32, 1 thr" in str(broken.value)
    assert_within(measured, "speedup >= 1.2", "latency.p50[batch=32] <= 1 s")
    assert [entry["outcome"] for entry in entries] == ["pass", "fail", "pass", "pass"]
    # All are of the same processes: the pair is measured once.
    assert {entry["processes"] for entry in entries} == {6}
    assert [entry["started"] for entry in entries] == [6, 0, 0, 0]
    assert [entry["seconds"] > 0 for entry in entries] == [True, False, False, False]
    interval = measured.p50.interval()
    assert interval.n == 6
    assert interval.low <= measured.p50.value <= interval.high


def test_a_model_without_a_run_is_measured_alone(entries, folder, tmp_path):
    file = shutil.copy(f"{folder}/variants/fast/model.onnx", tmp_path / "plain.onnx")
    measured = measure(file)
    assert_within(measured, "size <= 10 MB", "latency.p50 <= 5 s")
    with pytest.raises(InputError, match="'plain' has nothing to be held against"):
        assert_within(measured, "size <= baseline")
    with pytest.raises(InputError, match="only a run has a task"):
        assert measured.quality >= 0.5
    assert [entry["models"] for entry in entries] == [["plain"], ["plain"]]


def test_an_undecided_bound_does_what_the_session_says(store, folder):
    session = Session(budget_s=0)
    begin(session)
    try:
        measured = measure(f"{folder}:fast")
        with pytest.raises(UndecidedError, match="the first look is at 6"):
            assert measured.p50 <= measured.baseline.p50
        session.undecided = "skip"
        with pytest.raises(pytest.skip.Exception, match="the first look is at 6"):
            assert measured.p50 <= measured.baseline.p50
        session.undecided = "xfail"
        with pytest.raises(pytest.xfail.Exception, match="the first look is at 6"):
            assert measured.p50 <= measured.baseline.p50
    finally:
        end(session)


def test_all_gates_are_judged_before_any_is_complained_of(entries, folder):
    with pytest.raises(BoundError) as broken:
        assert_within(f"{folder}:fast", "size <= 0.1 * baseline", "size <= baseline", "size < 1 B")
    assert str(broken.value).count("is broken") == 2
    assert [entry["outcome"] for entry in entries] == ["fail", "pass", "fail"]


def test_quality_is_the_runs_paired_with_its_own_baseline_only(entries, folder):
    assert_within(f"{folder}:fast", "quality >= baseline - 1%")
    assert "difference" in entries[0]["reason"]
    other = measure(f"{folder}:fast", against=f"{folder}:fast")
    with pytest.raises(UndecidedError, match=r"0\.928"):
        assert other.quality >= other.baseline.quality * 0.99
    measured = measure(f"{folder}:fast")
    with pytest.raises(BoundError, match=r"quality >= 0\.99 is broken"):
        assert measured.quality >= 0.99


def test_quality_of_another_task_is_not_compared(entries, run_folder, tmp_path):
    other = shutil.copytree(run_folder, tmp_path / "other")
    text = (other / "run.json").read_text()
    (other / "run.json").write_text(text.replace('"metric":"accuracy"', '"metric":"f1"'))
    measured = measure(f"{run_folder}:fast", against=f"{other}:fast")
    with pytest.raises(InputError, match="quality of 'fast' and of 'fast' cannot be compared"):
        assert_within(measured, "quality >= baseline - 1%")
    assert_within(measured, "size <= baseline")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda run: measure(f"{run}:fsat"), "has no variant 'fsat'"),
        (lambda run: measure("nowhere"), "There is no model 'nowhere'"),
        (lambda run: measure(f"{run}:"), "There is no model '.*pair:'"),
        (lambda run: measure(f"{run}:fast", batch=0), "batch: only values of 1 and more"),
        (lambda run: measure(f"{run}:fast").at(batch=3), "selects none of the cells"),
        (lambda run: measure(f"{run}:fast").figure("latncy.p50"), "Did you mean"),
        (lambda run: assert_within(f"{run}:fast"), "needs a gate"),
        (lambda run: assert_within(f"{run}:fast", "size <= previous"), "an earlier run"),
        (lambda run: assert_within(f"{run}:fast", "size < small"), "is no bound"),
        (lambda run: assert_within(f"{run}:fast", "latency.p50[batch=3] < 1 s"), "no cell"),
        (lambda run: measure(f"{run}:slow").baseline, "nothing to be held against"),
        (lambda run: measure(f"{run}:fast", batch=[1, 2]).p50.value, "each of 2 cells: use at"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(entries, folder, make, message):
    with pytest.raises((InputError, GateError), match=message):
        make(folder)
    assert entries == []


def test_models_with_other_inputs_are_refused(entries, folder, tmp_path):
    from tests.end_to_end.conftest import mlp
    from workbench.artifact import seal
    from workbench.profiler import read_signature
    from workbench.records import Manifest, Signature, TensorSpec

    path = mlp(tmp_path / "model.onnx")
    spec = TensorSpec(name="y", dtype="float32", shape=("batch", 4))
    assert read_signature(path).inputs != (spec,)
    seal(tmp_path, Manifest(name="m", format="onnx", model_file="model.onnx",
                            signature=Signature(inputs=(spec,))))  # fmt: skip
    with pytest.raises(InputError, match="takes other inputs"):
        measure(f"{folder}:fast", against=tmp_path)


def test_one_process_measures_at_a_time(store):
    with alone():
        lock = FileLock(store / "locks" / "measuring.lock")
        with pytest.raises(Timeout):
            lock.acquire(timeout=0)
    with lock.acquire(timeout=0):
        pass
