from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.tasks import _stats as stats


def one(*shape: int) -> np.ndarray:
    return np.ones(shape or (1,))


class TestCorrelation:
    def test_pearson_is_numpys(self) -> None:
        x, y = np.random.default_rng(0).standard_normal((2, 50))
        assert stats.pearson(one(1, 50), x, y)[0] == pytest.approx(np.corrcoef(x, y)[0, 1])

    def test_weights_count_as_repetitions(self) -> None:
        random = np.random.default_rng(1)
        x, y = random.integers(0, 5, (2, 30)).astype(float)
        weights = random.integers(0, 4, 30).astype(float)
        rx, ry = np.repeat(x, weights.astype(int)), np.repeat(y, weights.astype(int))
        for correlation in (stats.pearson, stats.spearman):
            repeated = correlation(one(1, len(rx)), rx, ry)[0]
            assert correlation(weights[None], x, y)[0] == pytest.approx(repeated)

    def test_spearman_of_ties_is_pearson_of_midranks(self) -> None:
        # ranks of x: 1, 2.5, 2.5, 4; of y: 1, 2, 3, 4
        found = stats.spearman(one(1, 4), np.array([1.0, 2, 2, 9]), np.array([1.0, 2, 3, 4]))[0]
        assert found == pytest.approx(np.corrcoef([1, 2.5, 2.5, 4], [1, 2, 3, 4])[0, 1])

    @pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
    def test_what_does_not_vary_is_not_correlated(self, value: float) -> None:
        x = np.full(20, value)
        assert stats.pearson(one(3, 20), x, np.arange(20.0)).tolist() == [0, 0, 0]


class TestPairInterval:
    def data(self, n: int, seed: int = 0) -> tuple[np.ndarray, ...]:
        random = np.random.default_rng(seed)
        left, right = np.triu_indices(n, 1)
        scores = random.standard_normal(len(left))
        return scores, scores + random.standard_normal(len(left)), left, right

    def test_holds_the_value_and_counts_samples_not_pairs(self) -> None:
        scores, values, left, right = self.data(30)
        found, gap = stats.pair_interval(stats.pearson, scores, values, None, left, right)
        assert found.value == pytest.approx(np.corrcoef(scores, values)[0, 1])
        assert found.low < found.value < found.high
        assert found.n == 30
        assert "435 pairs" in found.method
        assert gap is None

    def test_the_same_outputs_differ_by_exactly_nothing(self) -> None:
        scores, values, left, right = self.data(20)
        _, gap = stats.pair_interval(stats.pearson, scores, values, values, left, right)
        assert gap is not None
        assert (gap.low, gap.value, gap.high) == (0, 0, 0)

    def test_a_paired_difference_is_much_surer_than_the_score(self) -> None:
        scores, values, left, right = self.data(30)
        nearly = values + 0.02 * np.random.default_rng(9).standard_normal(len(values))
        score, gap = stats.pair_interval(stats.pearson, scores, nearly, values, left, right)
        assert gap is not None
        assert gap.high - gap.low < 0.1 * (score.high - score.low)

    def test_drawing_samples_is_wider_than_drawing_pairs_where_samples_differ(self) -> None:
        random = np.random.default_rng(3)
        left, right = np.triu_indices(40, 1)
        of_sample, noise = random.standard_normal((2, 40))
        scores = of_sample[left] + of_sample[right]
        values = scores + noise[left] + noise[right]
        found, _ = stats.pair_interval(stats.pearson, scores, values, None, left, right)
        drawn = random.multinomial(len(left), np.full(len(left), 1 / len(left)), 500)
        low, high = np.percentile(stats.pearson(drawn.astype(float), values, scores), [2.5, 97.5])
        assert found.high - found.low > 2 * (high - low)


class TestShares:
    @pytest.mark.parametrize(
        ("right", "n", "low", "high"),
        # Newcombe (1998), Statistics in Medicine 17:857-872, table I, method 3
        [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)],
    )
    def test_wilson_gives_the_published_intervals(
        self, right: int, n: int, low: float, high: float
    ) -> None:
        found = stats.wilson(right, n)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)

    @given(st.integers(1, 500), st.integers(0, 500), st.integers(0, 500))
    def test_a_difference_lies_in_its_interval(self, n: int, gained: int, lost: int) -> None:
        gained, lost = min(gained, n), min(lost, n - min(gained, n))
        found = stats.paired_share_difference(gained, lost, n)
        assert -1 <= found.low <= found.value <= found.high <= 1
        assert found.low < found.high

    def test_no_change_in_few_samples_is_no_certainty(self) -> None:
        found = stats.paired_share_difference(0, 0, 20)
        wide = stats.Z**2 / (20 + stats.Z**2)
        assert (found.low, found.value, found.high) == pytest.approx((-wide, 0, wide), abs=1e-6)

    def test_exchanging_the_two_mirrors_the_difference(self) -> None:
        found, mirrored = (stats.paired_share_difference(*c, 60) for c in ((9, 2), (2, 9)))
        assert (found.low, found.high) == pytest.approx((-mirrored.high, -mirrored.low))

    def test_the_difference_is_covered_nineteen_times_in_twenty(self) -> None:
        random = np.random.default_rng(0)
        table = random.multinomial(100, [0.06, 0.02, 0.92], 1000)
        found = [stats.paired_share_difference(int(g), int(b), 100) for g, b, _ in table]
        assert 0.93 < np.mean([i.low <= 0.04 <= i.high for i in found]) < 0.985

    @pytest.mark.parametrize(
        ("gained", "lost", "p"), [(0, 0, 1), (5, 5, 1), (1, 9, 22 / 1024), (0, 5, 2 / 32)]
    )
    def test_mcnemar_is_the_exact_binomial(self, gained: int, lost: int, p: float) -> None:
        assert stats.mcnemar_p(gained, lost) == pytest.approx(p)

    def test_mcnemar_of_many_changes_is_near_the_exact_one(self) -> None:
        exact = 2 * sum(math.comb(1001, k) for k in range(471)) / 2**1001
        assert stats.mcnemar_p(470, 531) == pytest.approx(exact, rel=0.05)


class TestAgreement:
    def test_cosines_of_zeros(self) -> None:
        a, b = np.array([[0, 0], [0, 0], [1, 0]]), np.array([[0, 0], [1, 0], [2, 0]])
        assert stats.cosines(a, b).tolist() == [1, 0, 1]

    def test_nearest_neighbours_that_changed(self) -> None:
        reference = np.array([[1, 0], [0.99, 0.1], [0, 1], [0.1, 0.99]])
        moved = reference[[0, 1, 2, 0]]
        assert stats.same_nearest(reference, reference).all()
        assert stats.same_nearest(moved, reference).tolist() == [False, True, False, False]

    def test_ties_are_no_change(self) -> None:
        same = np.ones((5, 3))
        assert stats.same_nearest(same, same).all()
