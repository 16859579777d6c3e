"""Target tracking as Application Auto Scaling does it for SageMaker, minute by minute.

The metric is ``InvocationsPerInstance``: requests of a minute by instances in service. Scaling out
follows three minutes above the target, scaling in fifteen below 0.9 of it; the new number is
ceil(current × metric / target). Metrics arrive late, instances launch slowly, and while they do the
endpoint is being updated, so that nothing else is begun. Sources: shared/facts/autoscaling.yaml.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench.cost.ranges import Range
from workbench.cost.simulation.answers import EVENTS, Answered, answer
from workbench.cost.simulation.results import ScalingResult
from workbench.cost.simulation.samples import MINUTE_S, draw_counts
from workbench.cost.simulation.segments import Load
from workbench.cost.simulation.steps import Steps

if TYPE_CHECKING:
    import random

    import numpy as np

HIGH_MINUTES, LOW_MINUTES, LOW_BAND = 3, 15, 0.9
TIMEOUT_S = 60.0
"""Longest answer of a real-time endpoint (limits.yaml)."""
LAUNCH_S = Range[float](low=240.0, mid=420.0, high=600.0)
"""From the decision until an instance serves: 4 to 10 minutes."""
_SLACK = 1e-9


@dataclass(frozen=True)
class Policy:
    """Settings of target tracking; times in seconds, the defaults are those of AWS."""

    target_per_minute: float
    least: int = 1
    most: int = 4
    scale_out_cooldown_s: float = 300.0
    scale_in_cooldown_s: float = 300.0
    metric_lag_s: float = 90.0
    launch_s: Range[float] = LAUNCH_S

    def __post_init__(self) -> None:
        if not self.target_per_minute > 0:
            raise ValueError(f"no target: {self.target_per_minute}")
        if not 0 <= self.least <= self.most:
            raise ValueError(f"no limits of capacity: {self.least} to {self.most}")

    def wanted(self, requests: float) -> int:
        """Instances at which so many requests a minute are at the target, without limits."""
        return math.ceil(requests / self.target_per_minute * (1 - _SLACK))

    def launch(self, rng: random.Random) -> float:
        """A launch time, drawn from the triangle over the range."""
        span = self.launch_s
        return rng.triangular(span.low, span.high, span.mid) if span.high > span.low else span.mid


@dataclass(frozen=True)
class Scheduled:
    """From this minute of the month on, other limits of capacity."""

    minute: int
    least: int
    most: int


def every_day(
    minute_of_day: int, least: int, most: int, minutes: int, days: Iterable[int] = range(7)
) -> list[Scheduled]:
    """One action on the given days of the week (the month's first day is 0), all month."""
    wanted = set(days)
    return [
        Scheduled(day * 1440 + minute_of_day, least, most)
        for day in range(math.ceil(minutes / 1440))
        if day % 7 in wanted and day * 1440 + minute_of_day < minutes
    ]


@dataclass(frozen=True)
class Track:
    """Capacity over the month: what serves, what is billed, and when launches were decided."""

    serving: Steps
    billed: Steps
    launches: tuple[float, ...] = ()


@dataclass
class Fleet:
    """Instances while time passes: in service, on their way, and what that adds up to."""

    current: int
    ready_s: float | None = None
    arriving: int = 0
    serving: list[tuple[float, int]] = field(default_factory=list)
    billed: list[tuple[float, int]] = field(default_factory=list)
    launches: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.serving.append((0.0, self.current))
        self.billed.append((0.0, self.current))

    @property
    def updating(self) -> bool:
        """Whether instances are on their way."""
        return self.ready_s is not None

    def advance(self, now_s: float) -> None:
        """What has launched by now serves."""
        if self.ready_s is not None and self.ready_s <= now_s:
            self.current += self.arriving
            self.serving.append((self.ready_s, self.arriving))
            self.ready_s, self.arriving = None, 0

    def grow(self, wanted: int, now_s: float, ready_s: float) -> None:
        """Launch up to ``wanted``; billed from now, serving from ``ready_s``."""
        self.arriving, self.ready_s = wanted - self.current, ready_s
        self.billed.append((now_s, self.arriving))
        self.launches.append(now_s)

    def shrink(self, wanted: int, now_s: float, release_s: float = 0.0) -> None:
        """End service of what is above ``wanted`` now, and its bill ``release_s`` later."""
        delta = wanted - self.current
        self.serving.append((now_s, delta))
        self.billed.append((now_s + release_s, delta))
        self.current = wanted

    def track(self) -> Track:
        """All that happened."""
        return Track(Steps.summed(self.serving), Steps.summed(self.billed), tuple(self.launches))


def track_target(
    counts: np.ndarray,
    policy: Policy,
    schedule: Iterable[Scheduled] = (),
    initial: int | None = None,
    seed: int = 0,
) -> Track:
    """Capacity that target tracking gives for these requests of each minute.

    Args:
        counts: requests of each minute.
        policy: its settings.
        schedule: changes of the limits, in any order; they take effect without an alarm.
        initial: instances in service at the beginning; by default what the first minute wants.
        seed: of the launch times.
    """
    import random

    rng = random.Random(seed)
    least, most = policy.least, policy.most
    actions = _by_minute(schedule)
    first = policy.wanted(float(counts[0])) if initial is None and len(counts) else initial or 0
    fleet = Fleet(max(least, 1, min(most, first)))
    high = low = 0
    out_from = in_from = -math.inf
    for minute, requests in enumerate(counts.tolist()):
        begin = minute * MINUTE_S
        fleet.advance(begin)
        if minute in actions:
            least, most = actions[minute].least, actions[minute].most
        held = max(max(least, 1), min(most, fleet.current))
        if not fleet.updating and held > fleet.current:
            fleet.grow(held, begin, begin + policy.launch(rng))
        elif not fleet.updating and held < fleet.current:
            fleet.shrink(held, begin)
        end = begin + MINUTE_S
        fleet.advance(end)
        metric = requests / fleet.current
        high = high + 1 if metric > policy.target_per_minute else 0
        low = low + 1 if metric < LOW_BAND * policy.target_per_minute else 0
        now = end + policy.metric_lag_s
        if fleet.updating:
            continue
        wanted = max(max(least, 1), min(most, policy.wanted(requests)))
        if high >= HIGH_MINUTES and wanted > fleet.current and now >= out_from:
            fleet.grow(wanted, now, now + policy.launch(rng))
            out_from = now + policy.scale_out_cooldown_s
        elif low >= LOW_MINUTES and wanted < fleet.current and now >= max(in_from, out_from):
            fleet.shrink(wanted, now)
            in_from = now + policy.scale_in_cooldown_s
    fleet.advance(math.inf)
    return fleet.track()


def _by_minute(schedule: Iterable[Scheduled]) -> dict[int, Scheduled]:
    """The last action of each minute.

    Raises:
        ValueError: limits that contradict each other.
    """
    found = {}
    for action in schedule:
        if not 0 <= action.least <= action.most or action.most < 1:
            raise ValueError(f"no limits of capacity: {action.least} to {action.most}")
        found[action.minute] = action
    return found


def simulate_target_tracking(
    per_minute: np.ndarray,
    service_s: float,
    lanes_per_instance: int,
    scv: float,
    target_per_minute: float,
    least: int,
    most: int,
    launch_s: Range[float] = LAUNCH_S,
    *,
    schedule: Iterable[Scheduled] = (),
    scale_out_cooldown_s: float = 300.0,
    scale_in_cooldown_s: float = 300.0,
    metric_lag_s: float = 90.0,
    timeout_s: float = TIMEOUT_S,
    initial: int | None = None,
    seed: int = 0,
    events: float = EVENTS,
) -> ScalingResult:
    """A month of a real-time endpoint under target tracking.

    Args:
        per_minute: expected requests of each minute; those that come are drawn (Poisson).
        service_s: mean time of one request on a lane.
        lanes_per_instance: requests that an instance serves at a time.
        scv: squared coefficient of variation of the service time (lognormal).
        target_per_minute: requests a minute and instance.
        least: instances, at least 1.
        most: instances.
        launch_s: from the decision until an instance serves; each launch is drawn from it.
        schedule: scheduled changes of ``least`` and ``most``.
        scale_out_cooldown_s: seconds.
        scale_in_cooldown_s: seconds.
        metric_lag_s: from the end of a minute until its metric is seen.
        timeout_s: a request that would wait longer is dropped.
        initial: instances at the beginning.
        seed: of all that is drawn.
        events: most requests to simulate one by one (``answers``); ``inf`` for all.

    Raises:
        ValueError: limits or a target that make no policy.
    """
    import numpy as np

    policy = Policy(
        target_per_minute, least, most, scale_out_cooldown_s, scale_in_cooldown_s, metric_lag_s,
        launch_s,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    load = Load(per_minute, draw_counts(per_minute, rng), service_s, scv)
    track = track_target(load.counts, policy, schedule, initial, seed)
    lanes = track.serving.times(lanes_per_instance)
    answered = answer(load, lanes, rng, patience_s=timeout_s, events=events)
    return ScalingResult(**dict(scaling_fields(load, track, lanes, answered)))


def scaling_fields(
    load: Load, track: Track, lanes: Steps, answered: Answered
) -> Iterator[tuple[str, float]]:
    """The fields of ``results.ScalingResult``."""
    yield from answered.fields().items()
    end = load.end_s
    lane_s = lanes.total_s(end)
    yield "instance_hours", track.billed.total_s(end) / 3600
    yield "peak_instances", track.billed.peak(end)
    yield "utilisation", answered.served * load.service_s / lane_s if lane_s else 0.0
    yield "short_share", answered.share(answered.short)
    yield "launches", sum(1 for time in track.launches if time < end)
