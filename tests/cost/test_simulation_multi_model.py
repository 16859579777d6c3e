"""Many models in little memory: the cache by events, and Che's approximation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workbench.cost.simulation import simulate_multi_model
from workbench.cost.simulation.multi_model import Portfolio, loading_delays


class TestCache:
    def test_by_hand(self) -> None:
        portfolio = Portfolio(models=3, exponent=0, instances=1, fits=2, load_s=1)
        wanted = np.array([0, 0, 1, 0, 2, 0, 1])
        arrivals = np.array([0.0, 0.4, 5, 10, 15, 20, 25])
        delays, misses = loading_delays(arrivals, wanted, portfolio)
        # 2 takes the place of 1, the one used longest ago; 0 stays; 1 is loaded anew.
        assert misses == 4
        assert delays == pytest.approx([1, 0.6, 1, 0, 1, 0, 1])

    def test_all_fit(self) -> None:
        load = np.full(3_000, 60.0)
        for events in (0, math.inf):
            found = simulate_multi_model(load, 0.05, 2, 0.1, 50, 50, 2.0, events=events)
            assert found.miss_share == pytest.approx(50 / load.sum(), rel=0.05)

    def test_each_instance_has_its_own(self) -> None:
        portfolio = Portfolio(models=4, exponent=0, instances=2, fits=2, load_s=0)
        _, misses = loading_delays(np.arange(40.0), np.arange(40) % 4, portfolio)
        assert misses == 4

    @pytest.mark.parametrize(
        "wrong", [{"models": 0}, {"fits": 0}, {"instances": 0}, {"load_s": -1}, {"exponent": -1}]
    )
    def test_no_portfolio(self, wrong: dict[str, int]) -> None:
        known = {"models": 3, "exponent": 1, "instances": 1, "fits": 1, "load_s": 1}
        with pytest.raises(ValueError, match="portfolio"):
            Portfolio(**(known | wrong))  # type: ignore[arg-type]


class TestCheAgainstEvents:
    @pytest.mark.parametrize("exponent", [0.0, 0.8, 1.2])
    @pytest.mark.parametrize(("fits", "instances"), [(20, 1), (100, 1), (30, 3)])
    def test_steady(self, exponent: float, fits: int, instances: int) -> None:
        load = np.full(600, 300.0)
        fast, slow = (
            simulate_multi_model(
                load, 0.05, 4, 0.1, 500, fits, 0.5, instances, exponent, events=events
            )
            for events in (0, math.inf)
        )
        assert fast.miss_share == pytest.approx(slow.miss_share, rel=0.03)
        assert fast.cold_share == pytest.approx(slow.cold_share, rel=0.05)
        assert fast.p99_ms == pytest.approx(slow.p99_ms, rel=0.1)
        assert fast.utilisation == pytest.approx(slow.utilisation, rel=0.02)


class TestMonth:
    def test_hundred_a_second(self) -> None:
        found = simulate_multi_model(np.full(730 * 60, 6_000.0), 0.02, 4, 0.1, 1_000, 200, 5.0, 2)
        assert found.instance_hours == 2 * 730
        assert 0 < found.miss_share < found.cold_share < 1
        assert found.p99_ms > 5_000

    def test_more_memory_never_loads_more(self) -> None:
        load = np.full(2_000, 60.0)
        for events in (0, math.inf):
            shares = [
                simulate_multi_model(load, 0.05, 4, 0.1, 100, fits, 1.0, events=events).miss_share
                for fits in (5, 20, 50, 100)
            ]
            assert shares == sorted(shares, reverse=True)

    def test_nobody_comes(self) -> None:
        found = simulate_multi_model(np.zeros(60), 0.05, 4, 0.1, 100, 10, 1.0)
        assert found.cold_share == found.utilisation == 0
        assert found.instance_hours == 1
