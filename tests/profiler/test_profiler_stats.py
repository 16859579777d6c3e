"""Bootstrap intervals: what holds for all samples, and how often they cover the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.profiler import stats

times = st.lists(st.floats(0.01, 1000), min_size=2, max_size=40)


@given(times, st.sampled_from([0.5, 0.95, 0.99]))
@settings(max_examples=40, deadline=None)
def test_an_interval_contains_its_value_and_stays_within_the_samples(
    samples: list[float], q: float
) -> None:
    estimate = stats.quantile([samples], q, resamples=200)
    assert estimate.low <= estimate.value <= estimate.high
    assert min(samples) * (1 - 1e-9) <= estimate.low
    assert estimate.high <= max(samples) * (1 + 1e-9)


@given(times, st.integers(-6, 6))
@settings(max_examples=40, deadline=None)
def test_a_change_of_unit_scales_the_interval_and_nothing_else(
    samples: list[float], power: int
) -> None:
    factor = 2.0**power  # exact in floating point
    one = stats.quantile([samples], 0.5, resamples=200)
    other = stats.quantile([[factor * ms for ms in samples]], 0.5, resamples=200)
    assert np.allclose(np.array(one[:3]) * factor, other[:3], rtol=1e-12)
    ratio = stats.ratio_of_medians([samples], [[factor * ms for ms in samples]], resamples=200)
    assert ratio[:3] == pytest.approx((1 / factor,) * 3)


@given(times)
@settings(max_examples=20, deadline=None)
def test_the_same_samples_give_the_same_interval(samples: list[float]) -> None:
    assert stats.quantile([samples], 0.5) == stats.quantile([samples], 0.5)


def test_intervals_of_the_median_cover_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        estimate = stats.quantile([random.lognormal(0, 0.5, 30)], 0.5, resamples=400)
        covered += estimate.low <= 1.0 <= estimate.high
    assert 0.90 <= covered / 300 <= 0.99


def test_intervals_of_paired_ratios_cover_the_truth_under_noise_that_both_share() -> None:
    random = np.random.default_rng(2)
    covered, widths, unpaired = 0, [], []
    for _ in range(200):
        shared = random.lognormal(0, 0.3, 40)
        base = 2 * shared * random.lognormal(0, 0.05, 40)
        other = shared * random.lognormal(0, 0.05, 40)
        estimate = stats.ratio_of_medians([base], [other], resamples=400)
        covered += estimate.low <= 2.0 <= estimate.high
        widths.append(estimate.half_width)
        mixed = stats.ratio_of_medians([base], [random.permutation(other)], resamples=400)
        unpaired.append(mixed.half_width)
    assert 0.90 <= covered / 200 <= 1.0
    assert np.mean(widths) < 0.7 * np.mean(unpaired)


def test_slow_noise_widens_the_interval() -> None:
    random = np.random.default_rng(3)
    drift = np.convolve(random.standard_normal(230), np.ones(31) / 31**0.5, mode="valid")
    samples = 10 + drift
    shuffled = random.permutation(samples)
    assert stats.block_length(samples) > 5
    assert stats.block_length(shuffled) <= 2
    slow, fast = stats.quantile([samples], 0.5), stats.quantile([shuffled], 0.5)
    assert slow.half_width > 1.5 * fast.half_width


def test_processes_that_differ_widen_the_interval() -> None:
    random = np.random.default_rng(4)
    same = [random.normal(10, 0.1, 100) for _ in range(3)]
    apart = [part + shift for part, shift in zip(same, (0, 1, 2), strict=True)]
    assert stats.quantile(apart, 0.5).half_width > 5 * stats.quantile(same, 0.5).half_width
    far = stats.ratio_of_medians([[9.0] * 9, [1.0] * 9], [[1.0] * 9, [1.0] * 9])
    assert 0 < far.low < 1


def test_a_bias_that_lasts_as_long_as_a_process_is_covered() -> None:
    random = np.random.default_rng(8)
    covered = 0
    for _ in range(150):
        biases = random.lognormal(0, 0.02, 4)
        base = [random.normal(10, 0.05, 30) for _ in biases]
        other = [random.normal(10, 0.05, 30) * bias for bias in biases]
        estimate = stats.ratio_of_medians(base, other, resamples=200)
        covered += estimate.low <= 1.0 <= estimate.high
    assert covered / 150 >= 0.92


def test_the_confidence_of_a_percentile_admits_how_few_samples_reach_it() -> None:
    random = np.random.default_rng(5)
    few = stats.quantile([random.random(100)], 0.99)
    many = stats.quantile([random.random(400)], 0.99)
    assert few.confidence == pytest.approx(1 - 0.99**100)
    assert many.confidence == 0.95


def test_halves_that_differ_are_noticed() -> None:
    random = np.random.default_rng(6)
    calm = random.normal(10, 0.2, 60)
    assert not stats.halves_disagree(calm)
    assert stats.halves_disagree(np.concatenate([calm[:30], calm[30:] * 1.1]))
    assert stats.halves_disagree([1.0, 1.01, 1.0, 1.02, 1.2, 1.21, 1.22, 1.2])


def test_a_difference_too_small_to_matter_is_no_disagreement() -> None:
    assert not stats.halves_disagree([1.0] * 50 + [1.01] * 50)
    assert not stats.halves_disagree([1.0] * 100)


def test_calm_samples_rarely_look_unsteady() -> None:
    random = np.random.default_rng(7)
    alarms = sum(stats.halves_disagree(random.lognormal(0, 0.2, 50)) for _ in range(400))
    assert alarms <= 8
