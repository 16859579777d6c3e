"""Scaling to zero, being woken, and what that costs."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.cost.ranges import exactly
from workbench.cost.simulation import simulate_scale_to_zero
from workbench.cost.simulation.scaling import Policy
from workbench.cost.simulation.zero import track_to_zero

DAY = 1440


def burst(minutes: int = 240, at: int = 30, length: int = 10, rate: float = 6.0) -> np.ndarray:
    place = np.arange(minutes)
    return np.where((place >= at) & (place < at + length), rate, 0.0)


def policy(target: float = 100) -> Policy:
    return Policy(target, 0, 4, metric_lag_s=60, launch_s=exactly(300.0))


class TestTrack:
    def test_asynchronous_by_hand(self) -> None:
        counts = burst().astype(int)
        track = track_to_zero(counts, "asynchronous", policy(), 1.0, 1, exactly(0.0))
        # Two minutes with a backlog (30, 31), seen a minute later, 5 minutes of launch.
        assert track.launches == (33 * 60,)
        assert track.serving.times_s.tolist()[1] == 38 * 60
        # The line of 54 is gone in minute 39 or 40; fifteen idle minutes, seen a minute later.
        assert track.serving.counts.tolist() == [0, 1, 0]
        idle_from = track.serving.times_s.tolist()[2] / 60 - 16
        assert 40 <= idle_from <= 41
        assert track.billed.times_s.tolist()[2] == track.serving.times_s.tolist()[2]

    def test_component_by_hand(self) -> None:
        counts = burst().astype(int)
        track = track_to_zero(counts, "component", policy(), 1.0, 1, exactly(600.0))
        assert track.launches == (32 * 60,)  # one minute of failures, seen a minute later
        assert track.serving.times_s.tolist() == [0, 37 * 60, 56 * 60]
        assert track.billed.times_s.tolist() == [0, 32 * 60, 66 * 60]

    def test_rare_requests_keep_it_awake(self) -> None:
        counts = (np.arange(300) % 10 == 0).astype(int)
        track = track_to_zero(counts, "component", policy(), 0.1, 1, initial=1)
        assert track.serving.counts.tolist() == [1]

    def test_backlog_brings_more(self) -> None:
        counts = burst(length=60, rate=180).astype(int)
        track = track_to_zero(counts, "asynchronous", policy(5), 1.0, 1)
        assert track.serving.counts.max() == 4
        assert track.serving.counts[-1] == 0


class TestMonth:
    def test_asynchronous_keeps_what_comes(self) -> None:
        found = simulate_scale_to_zero(
            burst(), 1.0, 1, 0.1, "asynchronous", 5, 2, exactly(300.0), seed=1
        )
        assert found.dropped_share == 0
        assert found.wake_ups == found.launches == 1
        assert 0.5 < found.waiting_share < 1
        assert 5 * 60_000 < found.p99_ms < 10 * 60_000
        assert found.zero_hours == pytest.approx(4 - found.instance_hours)
        # cost_model_notes.md: each wake-up costs 20 to 30 minutes besides the work itself.
        assert 20 <= found.instance_hours * 60 <= 40

    def test_component_fails_what_comes(self) -> None:
        found = simulate_scale_to_zero(
            burst(), 1.0, 1, 0.1, "component", 60, 2, exactly(300.0), seed=1
        )
        assert found.waiting_share == pytest.approx(found.dropped_share, abs=0.02)
        assert 0.5 < found.dropped_share < 1
        assert found.p99_ms < 10_000

    @pytest.mark.parametrize("mode", ["asynchronous", "component"])
    def test_nobody_comes(self, mode: str) -> None:
        found = simulate_scale_to_zero(np.zeros(DAY), 1.0, 1, 0.1, mode, 5, 2)  # type: ignore[arg-type]
        assert found.instance_hours == found.requests == found.wake_ups == 0
        assert found.zero_hours == 24

    @pytest.mark.parametrize("mode", ["asynchronous", "component"])
    def test_fast_as_events(self, mode: str) -> None:
        place = np.arange(3 * DAY)
        load = np.where((place // 60 % 24 >= 8) & (place // 60 % 24 < 18), 300.0, 0.0)
        target = 5 if mode == "asynchronous" else 400
        fast, slow = (
            simulate_scale_to_zero(load, 0.1, 1, 0.1, mode, target, 4, seed=2, events=events)  # type: ignore[arg-type]
            for events in (400_000, np.inf)
        )
        assert fast.simulated_share < 1
        assert fast.instance_hours == slow.instance_hours
        assert fast.waiting_share == slow.waiting_share
        assert fast.dropped_share == pytest.approx(slow.dropped_share, rel=0.05, abs=1e-4)
        assert fast.p50_ms == pytest.approx(slow.p50_ms, rel=0.05)
        # One lane and a service that hardly varies: the closed form's tail is a little too long.
        assert 0.97 * slow.p99_ms < fast.p99_ms < 1.12 * slow.p99_ms

    def test_asynchronous_as_a_fluid(self) -> None:
        place = np.arange(3 * DAY)
        load = np.where((place // 60 % 24 >= 8) & (place // 60 % 24 < 18), 300.0, 0.0)
        fluid, slow = (
            simulate_scale_to_zero(load, 0.1, 1, 0.1, "asynchronous", 5, 4, seed=2, events=events)
            for events in (0, np.inf)
        )
        assert fluid.simulated_share == 0
        assert fluid.p99_ms == pytest.approx(slow.p99_ms, rel=0.05)
