"""Serverless: cold starts, throttling, and the closed form against events."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workbench.cost.simulation import simulate_serverless
from workbench.cost.simulation.serverless import Pool, _by_events


def by_hand(arrivals: list[float], service: float, pool: Pool) -> tuple[float, float]:
    found = _by_events(np.array(arrivals), np.full(len(arrivals), service), pool)
    return found.cold_share * len(arrivals), found.throttled_share * len(arrivals)


class TestByHand:
    def test_kept_and_not_kept(self) -> None:
        pool = Pool(cold_s=2, keep_alive_s=100)
        # Cold at 0 (ends at 3); warm at 50 (ends at 51); warm at 151; cold again at 253.
        assert by_hand([0, 50, 151, 253], 1, pool) == (2, 0)

    def test_one_for_each_at_a_time(self) -> None:
        assert by_hand([0, 0.5, 10, 10.1], 1, Pool(cold_s=0.2)) == (2, 0)

    def test_throttled(self) -> None:
        assert by_hand([0, 0.1, 0.2, 5], 1, Pool(cold_s=0.5, concurrency=2)) == (2, 1)

    def test_provisioned(self) -> None:
        assert by_hand([0, 0.1, 1000], 1, Pool(cold_s=5, provisioned=1)) == (1, 0)

    def test_cold_start_of_no_time_is_still_one(self) -> None:
        assert by_hand([0, 5], 1, Pool(cold_s=0)) == (1, 0)

    @pytest.mark.parametrize(
        "wrong", [{"concurrency": 0}, {"provisioned": 300}, {"cold_s": -1}, {"keep_alive_s": -1}]
    )
    def test_no_pool(self, wrong: dict[str, int]) -> None:
        with pytest.raises(ValueError, match="pool"):
            Pool(**({"cold_s": 1} | wrong))  # type: ignore[arg-type]


class TestTheory:
    @pytest.mark.parametrize("events", [0, math.inf])
    def test_rare_requests(self, events: float) -> None:
        """With gaps that are exponential, exp(-rate × keep-alive) of them are too long."""
        load = np.full(60_000, 0.5)
        found = simulate_serverless(load, 0.01, 0.1, 1.0, keep_alive_s=300, events=events)
        assert found.cold_share == pytest.approx(math.exp(-0.5 / 60 * 300), rel=0.05)

    @pytest.mark.parametrize("events", [0, math.inf])
    def test_throttling_is_erlangs_loss(self, events: float) -> None:
        load = np.full(400, 600.0)  # 5 erlang on 6 environments that never go cold
        found = simulate_serverless(load, 0.5, 1.0, 0.0, 6, 1e9, events=events)
        blocked = 1.0
        for count in range(1, 7):
            blocked = 5 * blocked / (count + 5 * blocked)
        assert found.throttled_share == pytest.approx(blocked, rel=0.03)


class TestClosedFormAgainstEvents:
    @pytest.mark.parametrize(
        ("rate", "minutes"), [(1.0, 60_000), (10.0, 20_000), (60.0, 8_000), (300.0, 3_000)]
    )
    def test_steady(self, rate: float, minutes: int) -> None:
        self.agree(np.full(minutes, rate))

    def test_day(self) -> None:
        phase = 2 * np.pi * np.arange(5 * 1440) / 1440
        self.agree(80 * (1 - np.cos(phase)))

    def test_jumps(self) -> None:
        self.agree(np.where(np.arange(3_000) % 200 < 100, 10.0, 400.0))

    def agree(self, load: np.ndarray) -> None:
        fast, slow = (
            simulate_serverless(load, 0.5, 0.1, 1.0, keep_alive_s=300, events=e, seed=5)
            for e in (0, math.inf)
        )
        assert slow.simulated_share == 1
        assert fast.simulated_share == 0
        assert fast.cold_share == pytest.approx(slow.cold_share, rel=0.2)
        assert fast.p50_ms == pytest.approx(slow.p50_ms, rel=0.03)
        assert fast.billed_s == pytest.approx(slow.billed_s, rel=0.02)
        assert abs(fast.peak_concurrency - slow.peak_concurrency) <= 2


class TestMonth:
    def test_hundred_a_second(self) -> None:
        found = simulate_serverless(np.full(730 * 60, 6_000.0), 0.5, 0.1, 3.0)
        assert found.throttled_share < 1e-9
        assert 50 < found.peak_concurrency < 150
        assert found.cold_share < 0.01

    def test_beyond_the_limit(self) -> None:
        found = simulate_serverless(np.full(730 * 60, 60_000.0), 0.5, 0.1, 3.0)
        assert found.throttled_share == pytest.approx(1 - 200 / 500, abs=0.01)
        assert found.peak_concurrency == 200

    @pytest.mark.parametrize("events", [0, math.inf])
    def test_longer_kept_is_never_colder(self, events: float) -> None:
        load = np.full(5_000, 3.0)
        shares = [
            simulate_serverless(load, 0.5, 0.1, 1.0, keep_alive_s=s, events=events).cold_share
            for s in (0.0, 10.0, 60.0, 300.0, 900.0)
        ]
        assert shares == sorted(shares, reverse=True)
        assert shares[0] > 0.9

    @pytest.mark.parametrize("events", [0, math.inf])
    def test_provisioned_is_never_colder(self, events: float) -> None:
        load = np.full(2_000, 60.0)
        shares = [
            simulate_serverless(load, 0.5, 0.1, 1.0, provisioned=n, events=events).cold_share
            for n in (0, 1, 3, 20)
        ]
        assert shares == sorted(shares, reverse=True)
        assert shares[-1] < 1e-9

    def test_nobody_comes(self) -> None:
        for events in (-1, math.inf):
            found = simulate_serverless(np.zeros(100), 0.5, 0.1, 1.0, events=events)
            assert found.cold_share == found.billed_s == found.peak_concurrency == 0
