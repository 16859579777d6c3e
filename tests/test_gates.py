"""Gates: what they say of noisy and of exact figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import GateError
from workbench.gates import judge, parse_gate
from workbench.records import Footprint, Interval, Latency, Measurement, Outcome, Quality, Setting


def interval(value, low=None, high=None):
    low, high = (value if edge is None else edge for edge in (low, high))
    return Interval(value=value, low=low, high=high, n=100)


def measured(size=100, score=None, difference=None, cells=(), agreement=None):
    quality = Quality(
        metric="accuracy",
        score=score,
        difference=difference,
        agreement=agreement or {},
        samples=10,
    )
    latency = tuple(
        Latency(
            setting=Setting(batch=batch, threads=1),
            p50_ms=p50,
            p95_ms=p95,
            mean_ms=p50.value,
            speedup=speedup,
        )
        for batch, p50, p95, speedup in cells
    )
    footprint = Footprint(size_bytes=size, model_bytes=size, parameters=1, sparsity=0.0)
    return Measurement(footprint=footprint, quality=quality, latency=latency)


BASE = measured(
    size=100,
    score=interval(0.8, 0.7, 0.9),
    cells=[(1, interval(10, 9, 11), interval(14, 13, 15), None)],
)


def outcome(gate, own, base=BASE):
    return judge(gate, "int8", own, base).outcome


def test_a_counted_figure_is_judged_exactly():
    assert outcome("size <= 0.3 * baseline", measured(size=30)) is Outcome.PASS
    assert outcome("size < 0.3 * baseline", measured(size=30)) is Outcome.FAIL
    assert outcome("size <= 30 B", measured(size=31)) is Outcome.FAIL


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.003, 0.001, Outcome.PASS),
        (-0.02, -0.01, Outcome.FAIL),
        (-0.006, 0.001, Outcome.UNDECIDED),
    ],
)
def test_quality_against_the_baseline_is_judged_on_the_paired_difference(low, high, expected):
    own = measured(score=interval(0.8, 0.6, 0.95), difference=interval((low + high) / 2, low, high))
    assert outcome("quality >= baseline - 0.5%", own) is expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.8, 2.0, Outcome.PASS), (0.8, 0.9, Outcome.FAIL), (0.9, 1.1, Outcome.UNDECIDED)],
)
def test_latency_against_the_baseline_is_judged_on_the_paired_ratio(low, high, expected):
    ratio = interval((low + high) / 2, low, high)
    own = measured(cells=[(1, interval(10 / ratio.value), None, ratio)])
    assert outcome("latency.p50 <= baseline", own) is expected
    assert outcome("speedup >= 1", own) is expected


def test_every_cell_must_hold_unless_one_is_selected():
    fast, slow = interval(2.0), interval(0.5)
    own = measured(cells=[(1, interval(5), None, fast), (8, interval(20), None, slow)])
    base = measured(cells=[(1, interval(10), None, None), (8, interval(10), None, None)])
    assert outcome("latency.p50 <= baseline", own, base) is Outcome.FAIL
    assert outcome("latency.p50[batch=1] <= baseline", own, base) is Outcome.PASS
    assert outcome("latency.p50[batch=64] <= baseline", own, base) is Outcome.UNDECIDED


def test_a_figure_that_was_not_measured_is_undecided_and_says_so():
    own = measured(cells=[(1, interval(10), None, interval(1.0))])
    verdict = judge("latency.p95 <= 20 ms", "int8", own, BASE)
    assert verdict.outcome is Outcome.UNDECIDED
    assert "too few samples" in verdict.reason
    assert outcome("cosine_min >= 0.9", own) is Outcome.UNDECIDED


def test_units_are_understood():
    own = measured(size=2_000_000, cells=[(1, interval(10), interval(12), interval(1.0))])
    assert outcome("size <= 2 MB", own) is Outcome.PASS
    assert outcome("latency.p95 <= 0.012 s", own) is Outcome.PASS
    assert outcome("latency.p50 <= baseline + 2 ms", own) is Outcome.PASS


@pytest.mark.parametrize(
    ("gate", "says"),
    [
        ("latncy.p50 <= baseline", "Did you mean 'latency.p50'?"),
        ("size <= 3 parsecs", "unit"),
        ("size", "is no gate"),
        ("size <= baseline / 2", "is no bound"),
        ("latency.p50[bach=1] <= 3", "Did you mean 'batch'?"),
        ("size[batch=1] <= 3", "selector"),
    ],
)
def test_a_wrong_gate_is_refused_with_the_mend(gate, says):
    with pytest.raises(GateError) as caught:
        parse_gate(gate)
    assert says in str(caught.value)


@given(
    st.floats(0.01, 1e6), st.floats(0, 1e3), st.floats(0, 1e3), st.floats(0.01, 1e6), st.booleans()
)
def test_an_interval_passes_fails_or_spans_and_never_two_of_them(value, down, up, bound, at_least):
    gate = parse_gate("size >= 1" if at_least else "size <= 1")
    low, high = value - down, value + up
    result = gate.compare(low, high, bound)
    inside = low >= bound if at_least else high <= bound
    outside = high < bound if at_least else low > bound
    expected = Outcome.PASS if inside else Outcome.FAIL if outside else Outcome.UNDECIDED
    assert result is expected


@given(st.text(max_size=60))
def test_any_text_is_a_gate_or_a_gate_error(text):
    try:
        parse_gate(text)
    except GateError as error:
        assert str(error)


NUMBERS = st.decimals(0, 1000, places=3, allow_nan=False).map(lambda number: f"{number:f}")


@given(NUMBERS, st.sampled_from(["baseline", "previous"]), st.floats(0.001, 1e6))
def test_previous_stands_wherever_baseline_does(number, reference, value):
    own = float(number)
    for text, expected in (
        (reference, value),
        (f"{number} * {reference}", own * value),
        (f"{reference} - {number}%", value * (1 - own / 100)),
        (f"{reference} + {number} ms", value + own),
    ):
        bound = parse_gate(f"latency.p50 <= {text}").bound
        assert bound.reference == reference
        assert bound.of(value) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_an_absolute_bound_refers_to_nothing():
    assert parse_gate("latency.p50 <= 20 ms").bound.reference is None


def test_a_run_leaves_a_gate_on_an_earlier_run_to_the_check():
    verdict = judge("size <= previous", "int8", measured(size=1), BASE)
    assert verdict.outcome is Outcome.NOT_JUDGED
    assert "--baseline" in verdict.reason


@pytest.mark.parametrize("text", ["1.05 previous", "1.05x previous", "1.05 × previous"])
def test_a_forgotten_star_is_told_for_previous_too(text):
    with pytest.raises(GateError, match=r"1\.05 \* previous"):
        parse_gate(f"latency.p50 <= {text}")
