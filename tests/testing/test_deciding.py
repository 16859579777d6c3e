"""When a bound holds, is broken, or stays open: on figures drawn with a known truth."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

from workbench.check.levels import LOOKS
from workbench.check.measuring import Pair
from workbench.gates import parse_gate
from workbench.profile_options import ProfileOptions
from workbench.records import Interval, Latency, Outcome, Setting
from workbench.testing.deciding import Budget, Decision, decide_cells

ONE, EIGHT = Setting(batch=1, threads=1), Setting(batch=8, threads=1)
SPENT = 0.0
"""A budget of nothing: what is not there already is not measured."""


def latency(setting: Setting, samples: np.ndarray) -> Latency:
    middle = float(np.median(samples))
    return Latency(
        setting=setting,
        p50_ms=Interval(value=middle, low=middle, high=middle, n=len(samples)),
        mean_ms=float(samples.mean()),
        samples_ms=tuple(map(float, samples)),
    )


def pair(
    ratio: float, processes: int, *, seed: int = 0, spread: float = 0.006, settings=(ONE,)
) -> Pair:
    """A pair that was measured: each process is off by ``spread``, each run by 5 %."""
    random = np.random.default_rng(seed)
    made = Pair("new", "baseline", None, None, ProfileOptions())  # type: ignore[arg-type]
    for _ in range(processes):
        found = {}
        for setting in settings:
            machine = np.exp(0.2 * random.standard_normal()) * 2.0  # ms; slows both
            runs = np.exp(0.05 * random.standard_normal((2, 20)))
            own = np.exp(spread * random.standard_normal())
            found[setting] = (
                latency(setting, machine * ratio * own * runs[0]),
                latency(setting, machine * runs[1]),
            )
        made.rounds.append(found)
    return made


def decide(gate: str, measured: Pair, settings=(ONE,), **options):
    parsed = parse_gate(gate)
    budget = Budget(SPENT, nullcontext)
    return decide_cells(parsed, measured, settings, measured=settings, budget=budget, **options)


@pytest.mark.parametrize(
    ("gate", "ratio", "outcome"),
    [
        ("latency.p50 <= 1.1 * baseline", 1.0, Outcome.PASS),
        ("latency.p50 <= 1.1 * baseline", 1.3, Outcome.FAIL),
        ("latency.p50 <= 1.1 * baseline", 1.1, Outcome.UNDECIDED),
        ("latency.p95 <= 1.2 * baseline", 1.0, Outcome.PASS),
        ("latency.p95 <= 1.2 * baseline", 1.5, Outcome.FAIL),
        ("speedup >= 1.5", 0.5, Outcome.PASS),
        ("speedup >= 1.5", 1.0, Outcome.FAIL),
        ("latency.p50 <= 20 ms", 1.0, Outcome.PASS),
        ("latency.p50 <= 0.1 ms", 1.0, Outcome.FAIL),
        ("latency.p50 <= baseline + 1 ms", 1.0, Outcome.PASS),
    ],
)
def test_the_whole_interval_decides(gate, ratio, outcome):
    judged, processes, _ = decide(gate, pair(ratio, 24))
    assert judged.outcome is outcome
    assert processes in LOOKS


def test_what_is_measured_later_changes_no_verdict():
    gate = "latency.p50 <= 1.1 * baseline"
    few, many = pair(1.0, 8), pair(1.0, 96)
    assert few.rounds == many.rounds[:8]
    assert decide(gate, few)[:2] == decide(gate, many)[:2]


def test_an_undecided_bound_says_how_many_more_processes_it_takes():
    judged, processes, needed = decide("latency.p50 <= 1.05 * baseline", pair(1.0, 8, spread=0.05))
    assert judged.outcome is Outcome.UNDECIDED
    assert processes + needed in LOOKS
    text = Decision("g", ("a", "b"), judged, processes, 3.0, needed).explain(60)
    assert f"about {needed} more processes would decide it" in text
    assert "× baseline, bound 1.05" in text


def test_a_budget_that_ends_before_the_first_look_decides_nothing():
    judged, processes, needed = decide("latency.p50 <= 2 * baseline", pair(1.0, LOOKS[0] - 1))
    assert judged.outcome is Outcome.UNDECIDED
    assert (processes, needed) == (5, 1)
    text = Decision("g", ("a", "b"), judged, processes, 3.0, needed).explain(0)
    assert "the first look is at 6" in text
    assert "--workbench-budget" in text


def test_a_bound_must_hold_in_every_cell():
    both = pair(1.0, 24, settings=(ONE, EIGHT))
    good, _, _ = decide("latency.p50 <= 1.1 * baseline", both, (ONE, EIGHT))
    assert good.outcome is Outcome.PASS
    slow = pair(1.4, 24, settings=(EIGHT,))
    for at, found in enumerate(both.rounds):
        found[EIGHT] = slow.rounds[at][EIGHT]  # type: ignore[index]
    bad, _, _ = decide("latency.p50 <= 1.1 * baseline", both, (ONE, EIGHT))
    assert bad.outcome is Outcome.FAIL
    assert "holds in 1 of 2 cells" in bad.reason
    assert str(EIGHT) in bad.reason


def test_a_cell_that_the_machine_cannot_measure_is_not_judged():
    judged, _, _ = decide("latency.p50 <= 2 * baseline", pair(1.0, 6), (ONE, EIGHT))
    assert judged.outcome is Outcome.NOT_JUDGED
    assert f"this machine cannot measure {EIGHT}" in judged.reason


def test_false_failures_are_as_rare_as_promised_and_a_slow_down_is_caught():
    """200 sessions each; of a bound that is exactly kept at most 1 % may fail (2 of 200: 4)."""
    gate = "latency.p50 <= 1.0 * baseline"
    outcomes = [decide(gate, pair(1.0, 24, seed=seed))[0].outcome for seed in range(200)]
    assert outcomes.count(Outcome.FAIL) <= 4
    slow = [
        decide("latency.p50 <= 1.05 * baseline", pair(1.15, 24, seed=seed))[0].outcome
        for seed in range(50)
    ]
    assert slow.count(Outcome.FAIL) == 50


def test_comparisons_that_share_the_error_are_judged_more_strictly():
    alone, _, _ = decide("latency.p50 <= 1.1 * baseline", pair(1.3, 6))
    shared, _, _ = decide("latency.p50 <= 1.1 * baseline", pair(1.3, 6), comparisons=100)
    assert shared.observed.low < alone.observed.low
