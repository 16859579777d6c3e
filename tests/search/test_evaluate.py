"""A trial stops at the first thing that rules it out, and what costs more is not measured."""

import numpy as np
import pytest

from tests.end_to_end.conftest import CLASSES, FEATURES
from tests.search.conftest import SEARCH
from workbench.recipe import load_recipe
from workbench.records import Interval
from workbench.runner import _Bench
from workbench.search.evaluate import Evaluator, Spec
from workbench.search.records import Ended, Question
from workbench.store import Store

WEIGHT_ONLY = {"quantize": {"scheme": "weight-only", "bits": 4}}


@pytest.fixture
def evaluator(searched, tmp_path):
    def make(block: str, **changes: str) -> Evaluator:
        store = Store(tmp_path / "store")
        return Evaluator(Spec(load_recipe(searched(block, **changes)), store.root))

    return make


def count(evaluator: Evaluator, kind: str) -> int:
    return len(list((evaluator.store.root / kind).iterdir()))


def asked(*steps, number=1, **more) -> Question:
    return Question(number=number, steps=steps, knobs={}, **more)


def test_a_size_that_is_out_of_bounds_ends_a_trial_before_its_quality_is_measured(evaluator):
    bounds = "  constraints: [size <= 0.1 * baseline, quality >= baseline - 5%]\n"
    judge = evaluator(SEARCH + bounds)
    trial = judge.judge(asked("export", WEIGHT_ONLY))
    assert trial.ended is Ended.BROKEN
    assert trial.reason.startswith("size <= 0.1 * baseline: ")
    assert trial.violation > 0
    assert set(trial.figures) == {"size"}
    assert count(judge, "arrays") == 0


def test_a_trial_that_another_beats_is_not_held_against_what_only_constraints_ask_for(evaluator):
    block = SEARCH.replace("[size, quality]", "[size]")
    judge = evaluator(block + "  constraints: [quality >= baseline - 5%]\n")
    beaten = judge.judge(asked("export", WEIGHT_ONLY, rivals=((1000.0,),)))
    assert beaten.ended is Ended.BEATEN
    assert count(judge, "arrays") == 0
    kept = judge.judge(asked("export", WEIGHT_ONLY, rivals=((1e9,),)))
    assert kept.ended is Ended.MEASURED
    assert kept.passed == 1
    assert count(judge, "arrays") == 2


def test_a_broken_quality_ends_a_trial_before_its_latency_is_measured(evaluator, monkeypatch):
    block = SEARCH.replace("[size, quality]", "[size, quality, latency.p50]")
    judge = evaluator(block + "  constraints: [cosine_min >= 0.99999]\n")
    monkeypatch.setattr("workbench.runner.measure_latency", None)  # would not survive a call
    trial = judge.judge(asked("export", WEIGHT_ONLY))
    assert trial.ended is Ended.BROKEN
    assert set(trial.figures) == {"size", "quality"}


def test_what_is_too_large_is_not_trained(evaluator, searched, tmp_path):
    random = np.random.default_rng(1)
    y = random.integers(0, CLASSES, 60)
    x = random.standard_normal((60, FEATURES)).astype(np.float32)
    np.savez(tmp_path / "project" / "more.npz", x=x, y=y)
    learning = {"data: data.npz": "data: data.npz, training: more.npz"}
    tune = {"finetune": {"epochs": 1}}
    judge = evaluator(SEARCH + "  constraints: [size <= 0.1 * baseline]\n", **learning)
    trial = judge.judge(asked(tune, "export", WEIGHT_ONLY))
    assert trial.ended is Ended.BROKEN
    assert trial.reason.startswith("before it was trained: size <= 0.1 * baseline")
    assert trial.digest is None
    # The model, its export, and that one quantized: nothing was learned.
    assert count(judge, "artifacts") == 3
    judge = evaluator(SEARCH + "  constraints: [size <= 0.5 * baseline]\n", **learning)
    trial = judge.judge(asked(tune, "export", WEIGHT_ONLY))
    assert trial.ended is Ended.MEASURED
    assert trial.passed == 1


def test_an_artifact_that_was_measured_already_is_not_measured_again(evaluator):
    judge = evaluator(SEARCH)
    first = judge.judge(asked("export", WEIGHT_ONLY))
    again = {"quantize": {**WEIGHT_ONLY["quantize"], "samples": 100}}
    made = {first.digest: 1}
    second = judge.judge(asked("export", again, number=2, made=made))
    assert (second.ended, second.same_as) == (Ended.SAME, 1)
    assert not second.figures
    baseline = judge.judge(asked("export", number=3))
    assert (baseline.ended, baseline.same_as) == (Ended.SAME, None)


def test_latency_is_measured_as_a_share_of_the_baseline_s_in_the_same_rounds(evaluator):
    judge = evaluator(SEARCH.replace("[size, quality]", "[latency.p50]"))
    trial = judge.judge(asked("export", WEIGHT_ONLY))
    [found] = trial.figures.values()
    assert 0.05 < found.low <= found.value <= found.high < 20
    assert "paired" in found.method
    assert judge.started["latency.p50"].value == 1


def test_a_latency_that_seems_to_break_its_bound_is_measured_at_length_first(
    evaluator, monkeypatch
):
    block = SEARCH.replace("[size, quality]", "[size]")
    judge = evaluator(block + "  constraints: [latency.p50 <= 0.5 * baseline]\n")
    lengths = []
    real = _Bench.latency

    def told(self, models, baseline, *, quick=False):
        """As if a short measurement found 0.6 of the baseline's, and a long one what is true."""
        cells = real(self, models, baseline, quick=quick)
        lengths.append(quick)
        speedup = 1 / 0.6 if quick else 4.0
        interval = {"value": speedup, "low": speedup - 0.01, "high": speedup + 0.01, "n": 9}
        doctored = cells["candidate"][0].model_copy(update={"speedup": Interval(**interval)})
        return {**cells, "candidate": (doctored,)}

    monkeypatch.setattr(_Bench, "latency", told)
    trial = judge.judge(asked("export", WEIGHT_ONLY))
    assert lengths == [True, False]
    assert trial.ended is Ended.MEASURED


def test_steps_that_do_not_fit_and_steps_that_fail_end_a_trial_with_their_reason(evaluator):
    judge = evaluator(SEARCH)
    trial = judge.judge(asked(WEIGHT_ONLY, "export"))
    assert trial.ended is Ended.REFUSED
    assert trial.reason == "'quantize' takes a onnx model, but for this model it is torch."
    trial = judge.judge(asked("export", WEIGHT_ONLY, WEIGHT_ONLY))
    assert trial.ended is Ended.REFUSED
    assert "quantized" in trial.reason


def test_an_undecided_constraint_is_broken_when_strict_only(searched, tmp_path):
    source = load_recipe(searched(SEARCH + "  constraints: [quality >= baseline]\n"))
    root = Store(tmp_path / "store").root
    question = asked("export", {"quantize": "dynamic-int8"})
    lenient = Evaluator(Spec(source, root)).judge(question)
    strict = Evaluator(Spec(source, root, strict=True)).judge(question)
    difference = lenient.figures["quality"]
    if difference.low < 0 <= difference.high:
        assert lenient.undecided == ("quality >= baseline",)
        assert (lenient.ended, strict.ended) == (Ended.MEASURED, Ended.BROKEN)
    else:
        assert lenient.ended is strict.ended
