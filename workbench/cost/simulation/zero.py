"""Endpoints that scale to zero and are woken by what comes.

An asynchronous endpoint keeps what comes while there is no instance; the alarm
``HasBacklogWithoutCapacity`` (2 × 60 s) then adds one, and ``ApproximateBacklogSizePerInstance`` is
the target that is tracked. Of a real-time inference component the requests fail while there is no
copy; ``NoCapacityInvocationFailures`` (here 1 × 60 s) adds one, and ``InvocationsPerCopy`` is what
is tracked. Both go to zero after fifteen minutes without anything. Sources:
shared/facts/autoscaling.yaml.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from workbench.cost.ranges import Range, exactly
from workbench.cost.simulation.answers import EVENTS, answer
from workbench.cost.simulation.results import ZeroScalingResult
from workbench.cost.simulation.samples import MINUTE_S, draw_counts
from workbench.cost.simulation.scaling import (
    HIGH_MINUTES,
    LAUNCH_S,
    LOW_BAND,
    LOW_MINUTES,
    TIMEOUT_S,
    Fleet,
    Policy,
    Track,
    scaling_fields,
)
from workbench.cost.simulation.segments import Load

if TYPE_CHECKING:
    import random

    import numpy as np

Mode = Literal["asynchronous", "component"]
WAKE_MINUTES: dict[Mode, int] = {"asynchronous": 2, "component": 1}
TTL_S = 21_600.0
"""Longest that an asynchronous request waits by default: 6 hours (limits.yaml)."""
RELEASE_S = Range[float](low=0.0, mid=300.0, high=600.0)
"""From the last copy's end until its instance is released: 0 and 10 minutes were both measured."""


@dataclass
class _Metric:
    """The tracked metric, times the instances; the line itself where there is one."""

    mode: Mode
    service_s: float
    lanes: int
    line: float = 0.0

    def minute(self, requests: float, instance_s: float) -> tuple[float, bool]:
        """Of a minute with so many instance-seconds: the metric, and whether it was idle.

        The line is a fluid: what comes less what the lanes can serve.
        """
        if self.mode == "component":
            return requests, requests == 0
        before, coming = self.line, self.line + requests
        served = min(coming, instance_s * self.lanes / self.service_s)
        self.line = coming - served
        being_served = served * self.service_s / MINUTE_S
        return (before + self.line) / 2 + being_served, coming == 0


@dataclass
class _Runs:
    """For how many minutes in a row each alarm's condition has held."""

    high: int = 0
    low: int = 0
    idle: int = 0
    unmet: int = 0

    def add(self, *, high: bool, low: bool, idle: bool, unmet: bool) -> None:
        self.high = self.high + 1 if high else 0
        self.low = self.low + 1 if low else 0
        self.idle = self.idle + 1 if idle else 0
        self.unmet = self.unmet + 1 if unmet else 0


@dataclass
class _Controller:
    """One minute's decision after another."""

    policy: Policy
    release_s: Range[float]
    wake_minutes: int
    fleet: Fleet
    rng: random.Random
    runs: _Runs = field(default_factory=_Runs)
    out_from: float = -math.inf
    in_from: float = -math.inf

    def decide(self, metric: float, waiting: bool, idle: bool, now: float) -> None:
        fleet, target, runs = self.fleet, self.policy.target_per_minute, self.runs
        some = fleet.current > 0
        each = metric / fleet.current if some else 0.0
        runs.add(
            high=some and each > target,
            low=some and each < LOW_BAND * target,
            idle=some and idle,
            unmet=not some and waiting,
        )
        if fleet.updating:
            return
        if not some:
            if runs.unmet >= self.wake_minutes:
                self._grow(1, now)
            return
        wanted = min(self.policy.most, self.policy.wanted(metric))
        if runs.high >= HIGH_MINUTES and wanted > fleet.current and now >= self.out_from:
            self._grow(wanted, now)
        elif runs.low >= LOW_MINUTES and now >= max(self.in_from, self.out_from):
            # A quiet minute is not enough to go to zero: fifteen without anything are.
            floor = 0 if runs.idle >= LOW_MINUTES else 1
            wanted = max(self.policy.least, floor, wanted)
            if wanted < fleet.current:
                fleet.shrink(wanted, now, 0.0 if wanted else _draw(self.release_s, self.rng))
                self.in_from = now + self.policy.scale_in_cooldown_s

    def _grow(self, wanted: int, now: float) -> None:
        self.fleet.grow(wanted, now, now + self.policy.launch(self.rng))
        self.out_from = now + self.policy.scale_out_cooldown_s


def _draw(span: Range[float], rng: random.Random) -> float:
    return rng.triangular(span.low, span.high, span.mid) if span.high > span.low else span.mid


def track_to_zero(
    counts: np.ndarray,
    mode: Mode,
    policy: Policy,
    service_s: float,
    lanes_per_instance: int,
    release_s: Range[float] = RELEASE_S,
    initial: int = 0,
    seed: int = 0,
) -> Track:
    """Capacity over the month for these requests of each minute.

    The policy's target is the backlog per instance (asynchronous), or requests a minute and copy.
    """
    import random

    metric_of = _Metric(mode, service_s, lanes_per_instance)
    rng = random.Random(seed)
    controller = _Controller(policy, release_s, WAKE_MINUTES[mode], Fleet(initial), rng)
    fleet = controller.fleet
    for minute, requests in enumerate(counts.tolist()):
        begin, end = minute * MINUTE_S, (minute + 1) * MINUTE_S
        fleet.advance(begin)
        instance_s = fleet.current * MINUTE_S
        if fleet.ready_s is not None and fleet.ready_s < end:
            instance_s += fleet.arriving * (end - fleet.ready_s)
        fleet.advance(end)
        metric, idle = metric_of.minute(requests, instance_s)
        waiting = metric_of.line > 0 if mode == "asynchronous" else requests > 0
        controller.decide(metric, waiting, idle, end + policy.metric_lag_s)
    fleet.advance(math.inf)
    return fleet.track()


def simulate_scale_to_zero(
    per_minute: np.ndarray,
    service_s: float,
    lanes_per_instance: int,
    scv: float,
    mode: Mode,
    target: float,
    most: int,
    launch_s: Range[float] = LAUNCH_S,
    *,
    least: int = 0,
    release_s: Range[float] | None = None,
    scale_out_cooldown_s: float | None = None,
    scale_in_cooldown_s: float = 300.0,
    metric_lag_s: float = 60.0,
    patience_s: float | None = None,
    initial: int = 0,
    seed: int = 0,
    events: float = EVENTS,
) -> ZeroScalingResult:
    """A month of an endpoint that has no instance while nothing comes.

    Args:
        per_minute: expected requests of each minute; those that come are drawn (Poisson).
        service_s: mean time of one request on a lane.
        lanes_per_instance: requests that an instance serves at a time.
        scv: squared coefficient of variation of the service time (lognormal).
        mode: whether requests wait while nothing is in service, or fail.
        target: backlog per instance (asynchronous; AWS's example is 5), or requests a minute and
            copy (component).
        most: instances.
        launch_s: from the decision until an instance serves; each launch is drawn from it.
        least: instances; 0, or how far it scales in.
        release_s: from the end of the last copy until its bill ends; by default 0 to 10 minutes for
            a component, at once for an asynchronous endpoint.
        scale_out_cooldown_s: by default 300 s (asynchronous) or 60 s (component).
        scale_in_cooldown_s: seconds.
        metric_lag_s: from the end of a minute until its metric is seen.
        patience_s: longest wait; by default 6 hours (asynchronous) or 60 s (component).
        initial: instances at the beginning.
        seed: of all that is drawn.
        events: most requests to simulate one by one (``answers``); ``inf`` for all.

    Raises:
        ValueError: limits or a target that make no policy.
    """
    import numpy as np

    waits = mode == "asynchronous"
    if release_s is None:
        release_s = exactly(0.0) if waits else RELEASE_S
    if scale_out_cooldown_s is None:
        scale_out_cooldown_s = 300.0 if waits else 60.0
    if patience_s is None:
        patience_s = TTL_S if waits else TIMEOUT_S
    policy = Policy(
        target, least, most, scale_out_cooldown_s, scale_in_cooldown_s, metric_lag_s, launch_s
    )
    rng = np.random.default_rng(seed)
    load = Load(per_minute, draw_counts(per_minute, rng), service_s, scv)
    track = track_to_zero(
        load.counts, mode, policy, service_s, lanes_per_instance, release_s, initial, seed
    )
    lanes = track.serving.times(lanes_per_instance)
    answered = answer(
        load, lanes, rng, patience_s=patience_s, refused_at_zero=not waits, events=events
    )
    absent = track.serving.shares_at(0, len(per_minute))
    total = load.counts.sum()
    return ZeroScalingResult(
        **dict(scaling_fields(load, track, lanes, answered)),
        waiting_share=float((absent * load.counts).sum() / total) if total else 0.0,
        wake_ups=_wake_ups(track, load.end_s),
        zero_hours=track.billed.seconds_at(0, load.end_s) / 3600,
    )


def _wake_ups(track: Track, end_s: float) -> int:
    """Times that the first instance came into service."""
    counts = track.serving.counts
    woken = (counts[1:] > 0) & (counts[:-1] == 0) & (track.serving.times_s[1:] < end_s)
    return int(woken.sum())
