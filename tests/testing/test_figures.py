"""Comparisons become gates: the algebra of bounds, and what cannot be compared."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from workbench.errors import GateError, InputError
from workbench.testing import measure
from workbench.testing.figures import as_gate

FACTORS = st.floats(0.01, 100)
OFFSETS = st.floats(-50, 50)
TIMES = st.floats(0.001, 1000)
OPERATORS = st.sampled_from(["<=", "<", ">=", ">"])
PYTHON = {
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
}


@pytest.fixture(scope="module")
def measured(run_folder):
    return measure(f"{run_folder}:fast")


def keeps(gate, value: float, reference: float | None) -> bool:
    return str(gate.compare(value, value, gate.bound.of(reference))) == "pass"


def near(a: float, b: float) -> bool:
    """Rounding may tip a comparison of what is equal."""
    return abs(a - b) <= 1e-6 * max(1.0, abs(a), abs(b))


@given(a=FACTORS, p=OFFSETS, b=FACTORS, q=OFFSETS, x=TIMES, y=TIMES, operator=OPERATORS)
def test_a_comparison_with_the_baseline_says_what_python_says(measured, a, p, b, q, x, y, operator):
    assume(not near(a * x + p, b * y + q))
    profile, gate = as_gate(measured.p95 * a + p, operator, b * measured.baseline.p95 + q)
    assert profile is measured or not profile.reference
    assert gate.bound.reference == "baseline"
    assert keeps(gate, x, y) is PYTHON[operator](a * x + p, b * y + q)


@given(a=FACTORS, p=OFFSETS, b=FACTORS, q=OFFSETS, x=TIMES, y=TIMES, operator=OPERATORS)
def test_the_baseline_may_stand_on_the_left(measured, a, p, b, q, x, y, operator):
    assume(not near(b * y + q, a * x + p))
    profile, gate = as_gate(measured.baseline.p95 * b + q, operator, measured.p95 * a + p)
    assert not profile.reference
    assert keeps(gate, x, y) is PYTHON[operator](b * y + q, a * x + p)


@given(a=FACTORS, p=OFFSETS, bound=TIMES, x=TIMES, operator=OPERATORS)
def test_a_comparison_with_a_number_says_what_python_says(measured, a, p, bound, x, operator):
    assume(not near(a * x + p, bound))
    _, gate = as_gate(measured.p50 * a + p, operator, bound)
    assert gate.bound.reference is None
    assert keeps(gate, x, None) is PYTHON[operator](a * x + p, bound)


def test_the_gate_reads_as_a_recipe_would_write_it(measured):
    base = measured.baseline
    assert as_gate(measured.p95, "<=", base.p95 * 1.1)[1].text == "latency.p95 <= 1.1 * baseline"
    assert as_gate(measured.size, "<=", base.size)[1].text == "size <= baseline"
    assert as_gate(measured.p50, "<", base.p50 + 2)[1].text == "latency.p50 < baseline + 2"
    one = measured.at(batch=1, threads=1)
    assert as_gate(one.p50, "<=", 20)[1].text == "latency.p50[batch=1, threads=1] <= 20"


def test_a_text_has_the_units_of_gates(measured):
    assert as_gate(measured.p95, "<=", "2 s")[1].bound.offset == 2000
    assert as_gate(measured.size, "<=", "30 MB")[1].bound.offset == 30e6
    with pytest.raises(GateError, match="the unit 'furlong' is not known here"):
        as_gate(measured.p95, "<=", "3 furlong")
    with pytest.raises(InputError, match="refers to baseline"):
        as_gate(measured.p95, "<=", "2 * baseline")


def test_only_the_same_figure_measured_side_by_side_can_be_compared(measured, run_folder):
    other = measure(f"{run_folder}:fast", batch=2)
    with pytest.raises(InputError, match="not measured side by side"):
        assert measured.p95 <= other.baseline.p95
    with pytest.raises(InputError, match="not the same figure"):
        assert measured.p95 <= measured.baseline.p50
    with pytest.raises(InputError, match="figures of the same model"):
        assert measured.p95 <= measured.p95
    with pytest.raises(InputError, match="over the baseline already"):
        as_gate(measured.speedup, "<=", measured.baseline.speedup)
    with pytest.raises(TypeError, match="cannot be compared with NoneType"):
        as_gate(measured.p95, "<=", None)


def test_a_noisy_figure_is_no_number(measured):
    with pytest.raises(TypeError, match="by <= and >= only"):
        assert measured.p95 == 3
    with pytest.raises(TypeError, match=r"is \.value"):
        float(measured.p95)
    with pytest.raises(TypeError, match="compare it with a bound"):
        assert measured.p95
    with pytest.raises(InputError, match="by a positive number"):
        measured.p95 * -1
    with pytest.raises(InputError, match="is a bound, no figure"):
        _ = (measured.size * 2).value
    assert repr(measured.baseline.p95 * 1.1 + 2) == "<1.1 * slow's latency.p95 + 2>"
