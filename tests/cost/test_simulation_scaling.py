"""Target tracking: its delays, its bill, and the fast way against events."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.cost.ranges import Range, exactly
from workbench.cost.simulation import Scheduled, every_day, simulate_target_tracking
from workbench.cost.simulation.scaling import Policy, Track, track_target

DAY = 1440


def step(before: float, after: float, at: int = 60, minutes: int = 180) -> np.ndarray:
    return np.where(np.arange(minutes) < at, before, after)


class TestTrack:
    def test_constant_load_is_billed_as_the_fixed_count(self) -> None:
        load = np.full(30 * DAY, 2_850.0)
        found = simulate_target_tracking(load, 0.02, 1, 0.1, 1_000, 1, 10)
        assert found.instance_hours == pytest.approx(3 * 30 * 24)
        assert found.peak_instances == 3
        assert found.launches == 0
        assert found.utilisation == pytest.approx(2_850 / 60 * 0.02 / 3, rel=0.01)

    def test_least_is_most(self) -> None:
        load = np.full(DAY, 5_000.0)
        found = simulate_target_tracking(load, 0.01, 1, 0.1, 1_000, 4, 4)
        assert found.instance_hours == pytest.approx(4 * 24)

    def test_step_out_by_hand(self) -> None:
        policy = Policy(1_000, 1, 10, metric_lag_s=90, launch_s=exactly(300.0))
        track = track_target(step(900, 3_500).astype(int), policy)
        # Three minutes above (60, 61, 62), seen 90 s after the third: 63 min + 90 s.
        assert track.launches == (63 * 60 + 90,)
        assert track.billed.times_s.tolist()[1] == 63 * 60 + 90
        assert track.serving.times_s.tolist()[1] == 63 * 60 + 90 + 300
        assert track.serving.counts.tolist() == [1, 4]

    @pytest.mark.parametrize("seed", range(20))
    def test_capacity_is_absent_for_8_to_15_minutes(self, seed: int) -> None:
        """The range that autoscaling.yaml names (metrics of one minute)."""
        lag = 60.0 + 60.0 * seed / 19
        track = track_target(
            step(900, 3_500).astype(int), Policy(1_000, 1, 10, metric_lag_s=lag), seed=seed
        )
        absent = (float(track.serving.times_s[1]) - 60 * 60) / 60
        assert 8 <= absent <= 15

    def test_step_in_by_hand(self) -> None:
        policy = Policy(1_000, 1, 10, metric_lag_s=60)
        track = track_target(step(3_900, 800).astype(int), policy)
        # Fifteen minutes below 0.9 of the target (60 to 74), seen a minute later.
        assert track.serving.times_s.tolist() == [0, 75 * 60 + 60]
        assert track.serving.counts.tolist() == [4, 1]
        assert track.billed.total_s(180 * 60) == track.serving.total_s(180 * 60)

    def test_band(self) -> None:
        # Between 0.9 and 1.0 of the target nothing happens, even if fewer would do by the formula.
        track = track_target(step(9_950, 9_000.0).astype(int), Policy(1_000, 1, 20))
        assert track.serving.counts.tolist() == [10]

    def test_two_minutes_are_not_enough(self) -> None:
        counts = np.full(60, 900)
        counts[[20, 21, 23, 24]] = 5_000
        assert track_target(counts, Policy(1_000, 1, 10)).launches == ()

    def test_cooldown_and_launches_hold_the_next_one_back(self) -> None:
        counts = np.where(np.arange(120) < 60, 900, np.where(np.arange(120) < 64, 1_900, 9_900))
        quick = exactly(30.0)
        slow = track_target(counts, Policy(1_000, 1, 20, launch_s=quick)).launches
        fast = track_target(
            counts, Policy(1_000, 1, 20, scale_out_cooldown_s=0, launch_s=quick)
        ).launches
        assert slow[0] == fast[0]
        assert slow[1] - slow[0] >= 300
        assert fast[1] - fast[0] < 300
        long = track_target(counts, Policy(1_000, 1, 20, launch_s=exactly(900.0))).launches
        assert long[1] - long[0] >= 900

    def test_never_outside_its_limits(self) -> None:
        counts = np.random.default_rng(0).integers(0, 20_000, DAY)
        track = track_target(counts, Policy(1_000, 2, 7))
        assert track.serving.counts.min() >= 2
        assert track.billed.counts.max() <= 7

    def test_scheduled(self) -> None:
        counts = np.full(DAY, 500)
        policy = Policy(1_000, 1, 10, launch_s=exactly(300.0))
        actions = [Scheduled(480, 5, 10), Scheduled(1_080, 1, 10)]
        track = track_target(counts, policy, actions)
        assert _at(track, 480) == 1
        assert _at(track, 485) == 5
        assert _at(track, 1_085) == 1  # the low alarm has been on all along
        lower = track_target(counts, policy, [Scheduled(480, 5, 10), Scheduled(600, 1, 2)])
        assert _at(lower, 600) == 2

    def test_scheduled_while_launching(self) -> None:
        policy = Policy(1_000, 1, 10, launch_s=exactly(600.0))
        track = track_target(np.full(120, 500), policy, [Scheduled(30, 6, 6), Scheduled(35, 2, 2)])
        assert track.serving.counts.tolist() == [1, 6, 2]
        # The launch is not broken off; the low alarm, on all along, then acts at 40 min + 90 s.
        assert track.billed.total_s(7_200) == 1_800 + 6 * 690 + 2 * (7_200 - 2_490)

    def test_every_day(self) -> None:
        week = every_day(480, 5, 10, 9 * DAY, days=range(5))
        assert [action.minute // DAY for action in week] == [0, 1, 2, 3, 4, 7, 8]
        assert all(action.minute % DAY == 480 for action in week)

    @pytest.mark.parametrize(
        "wrong", [{"target_per_minute": 0}, {"least": 5, "most": 4}, {"least": -1}]
    )
    def test_no_policy(self, wrong: dict[str, int]) -> None:
        with pytest.raises(ValueError, match="no "):
            Policy(**({"target_per_minute": 1_000} | wrong))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="limits"):
            track_target(np.ones(3), Policy(1_000), [Scheduled(0, 3, 2)])


def _at(track: Track, minute: int) -> int:
    return int(track.serving.at(np.array([minute * 60.0]))[0])


def day(minutes: int, peak: float) -> np.ndarray:
    phase = 2 * np.pi * np.arange(minutes) / DAY
    return peak * (0.5 - 0.45 * np.cos(phase))


class TestFastAgainstEvents:
    """The same draws of counts, so that capacity is the same and only answers may differ."""

    def both(self, load: np.ndarray, *arguments: float, budget: float) -> tuple[object, object]:
        fast = simulate_target_tracking(load, *arguments, seed=3, events=budget)  # type: ignore[arg-type]
        slow = simulate_target_tracking(load, *arguments, seed=3, events=np.inf)  # type: ignore[arg-type]
        assert slow.simulated_share == 1
        for name in ("instance_hours", "peak_instances", "launches"):
            assert getattr(fast, name) == getattr(slow, name)
        assert fast.utilisation == pytest.approx(slow.utilisation, rel=0.01)
        return fast, slow

    @pytest.mark.parametrize("scv", [0.0, 0.1, 1.0])
    def test_calm_day(self, scv: float) -> None:
        load = day(DAY, 1_200)
        fast, slow = self.both(load, 0.1, 2, scv, 600, 1, 10, budget=100_000)
        assert fast.simulated_share < 0.2
        assert fast.p50_ms == pytest.approx(slow.p50_ms, rel=0.03)
        assert fast.p99_ms == pytest.approx(slow.p99_ms, rel=0.1)
        assert fast.dropped_share == slow.dropped_share == 0

    def test_bursts(self) -> None:
        load = day(DAY, 1_000)
        load[600:640] *= 5
        load[900:930] *= 3
        fast, slow = self.both(load, 0.1, 2, 0.1, 600, 1, 10, budget=350_000)
        assert 0 < fast.simulated_share < 0.5
        assert fast.p50_ms == pytest.approx(slow.p50_ms, rel=0.03)
        assert fast.p99_ms == pytest.approx(slow.p99_ms, rel=0.03)
        assert fast.dropped_share == pytest.approx(slow.dropped_share, rel=0.03)

    def test_bursts_as_a_fluid(self) -> None:
        load = day(DAY, 2_400)
        load[600:640] *= 3
        load[900:930] *= 3
        fast, slow = self.both(load, 0.05, 2, 0.1, 1_200, 1, 10, budget=0)
        assert fast.simulated_share == 0
        assert fast.p50_ms == pytest.approx(slow.p50_ms, rel=0.03)
        assert fast.p99_ms == pytest.approx(slow.p99_ms, rel=0.05)
        assert fast.dropped_share == pytest.approx(slow.dropped_share, rel=0.05)

    def test_percentile_amid_the_jump(self) -> None:
        """1.1 % of the requests are in the overload: the 99th percentile is on its steep slope."""
        load = np.where(np.arange(DAY) < 600, 400.0, 1_771.0)
        fast, slow = self.both(load, 0.1, 2, 0.05, 600, 1, 20, budget=0)
        assert fast.short_share == pytest.approx(slow.short_share, rel=0.01)
        assert fast.dropped_share == pytest.approx(slow.dropped_share, rel=0.1)
        assert fast.p99_ms == pytest.approx(slow.p99_ms, rel=0.3)


class TestMonth:
    @pytest.mark.parametrize("shape", ["constant", "day", "jumps"])
    def test_a_month_of_a_hundred_a_second_is_simulated(self, shape: str) -> None:
        minutes = 730 * 60
        load = {
            "constant": np.full(minutes, 6_000.0),
            "day": day(minutes, 12_000) * np.random.default_rng(0).gamma(100, 0.01, minutes),
            "jumps": np.where(np.arange(minutes) % DAY < 600, 2_000.0, 8_857.0),
        }[shape]
        found = simulate_target_tracking(load, 0.02, 2, 0.05, 3_000, 1, 20)
        assert found.requests == pytest.approx(load.sum(), rel=0.02)
        assert found.p50_ms <= found.p99_ms

    def test_repeats(self) -> None:
        load = day(DAY, 900)
        first = simulate_target_tracking(load, 0.1, 1, 0.1, 300, 1, 10, seed=1)
        assert first == simulate_target_tracking(load, 0.1, 1, 0.1, 300, 1, 10, seed=1)
        assert first != simulate_target_tracking(load, 0.1, 1, 0.1, 300, 1, 10, seed=2)

    def test_overload_without_end_drops_what_cannot_be_served(self) -> None:
        load = np.full(DAY, 1_200.0)  # 20 a second, where 10 can be served
        for events in (0, np.inf):
            found = simulate_target_tracking(load, 0.1, 1, 0.0, 100, 1, 1, events=events)
            assert found.dropped_share == pytest.approx(0.5, abs=0.01)
            assert found.short_share == pytest.approx(1)
            assert found.utilisation == pytest.approx(1, abs=0.01)
            assert found.p99_ms == pytest.approx(60_100, rel=0.01)

    def test_nobody_comes(self) -> None:
        found = simulate_target_tracking(np.zeros(120), 0.1, 1, 0.0, 100, 1, 4)
        assert found.requests == found.dropped_share == found.utilisation == 0
        assert found.instance_hours == 2

    def test_slower_launches_leave_more_unserved(self) -> None:
        load = step(300, 3_000, minutes=240)
        shares = [
            simulate_target_tracking(load, 0.1, 1, 0.1, 300, 1, 20, exactly(s)).dropped_share
            for s in (120.0, 400.0, 900.0)
        ]
        assert shares == sorted(shares)
        assert shares[0] < shares[-1]

    def test_launch_times_are_within_the_range(self) -> None:
        span = Range[float](low=200.0, mid=300.0, high=310.0)
        track = track_target(step(900, 3_500).astype(int), Policy(1_000, 1, 9, launch_s=span))
        took = float(track.serving.times_s[1]) - track.launches[0]
        assert 200 <= took <= 310
