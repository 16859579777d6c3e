"""Intervals of ratios and differences: what they hold, and what is told of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.compare.built import interval
from workbench.compare.intervals import told
from workbench.compare.records import Told
from workbench.intervals import exact, ratio, widest_difference
from workbench.records import Interval


@st.composite
def intervals(draw, least=0.01, most=1000.0):
    low, value, high = sorted(draw(st.lists(st.floats(least, most), min_size=3, max_size=3)))
    return Interval(value=value, low=low, high=high, n=20)


def test_a_ratio_is_as_uncertain_as_both_together():
    one = Interval(value=2.0, low=1.8, high=2.2, n=20)
    found = ratio(one, one, "test")
    assert found.value == 1
    assert found.low < 1 / 1.1
    sure = ratio(exact(2.0), exact(3.0), "test")
    assert (sure.low, sure.value, sure.high) == pytest.approx((2 / 3,) * 3)


@given(intervals(), intervals())
def test_a_ratio_holds_its_value_and_turns_over_with_its_parts(one, other):
    found, turned = ratio(one, other, "test"), ratio(other, one, "test")
    assert found.low <= found.value * (1 + 1e-12)
    assert found.value <= found.high * (1 + 1e-12)
    assert found.value == pytest.approx(one.value / other.value)
    assert (turned.low, turned.high) == pytest.approx((1 / found.high, 1 / found.low))


@given(intervals(), intervals())
def test_a_ratio_is_no_narrower_than_either_of_its_parts(one, other):
    found = ratio(one, other, "test")
    for part in (one, other):
        assert (
            math.log(found.high / found.low) >= math.log(part.high / part.low) / math.sqrt(2) - 1e-9
        )


@given(intervals())
def test_over_an_exact_figure_a_ratio_keeps_the_interval(one):
    found = ratio(one, exact(2.0), "test")
    assert (found.low, found.value, found.high) == pytest.approx(
        (one.low / 2, one.value / 2, one.high / 2)
    )


def test_there_is_no_ratio_of_figures_that_may_be_nothing():
    assert ratio(interval(1, 1), interval(1, 0.1), "test") is None
    assert ratio(interval(1, 0.1), interval(1, 2), "test") is None


def test_ratios_of_independent_figures_cover_the_truth_as_often_as_they_say():
    random = np.random.default_rng(0)
    sigma, held, draws = (0.03, 0.08), 0, 4000
    logs = random.normal(0, sigma, (draws, 2))  # the true ratio is 1
    for a, b in logs:
        parts = [
            Interval(
                value=math.exp(x),
                low=math.exp(x - 1.96 * s),
                high=math.exp(x + 1.96 * s),
                n=100,
            )
            for x, s in zip((a, b), sigma, strict=True)
        ]
        found = ratio(*parts, "test")
        held += found.low <= 1 <= found.high
    assert held / draws == pytest.approx(0.95, abs=0.012)


@given(intervals(-5, 5), intervals(-5, 5), st.floats(0, 1), st.floats(0, 1))
def test_the_widest_difference_holds_every_difference_of_the_parts(one, other, a, b):
    found = widest_difference(one, other, "test")
    first = one.low + a * (one.high - one.low)
    second = other.low + b * (other.high - other.low)
    assert found.low - 1e-9 <= first - second <= found.high + 1e-9
    assert found.confidence == pytest.approx(0.9)


@given(intervals(-5, 5), st.floats(-5, 5), st.booleans())
def test_nothing_is_told_of_an_interval_that_holds_no_difference(found, nothing, more):
    outcome = told(found, nothing, more_is_better=more)
    holds = found.low <= nothing <= found.high
    assert (outcome is Told.NOT_APART) == holds
    if not holds:
        assert (outcome is Told.BETTER) == ((found.value > nothing) == more)


def test_an_interval_of_little_confidence_tells_nothing_apart():
    assert told(interval(2, 0.1, confidence=0.87), 1) is Told.NOT_APART
    assert told(None, 1) is Told.NOTHING
