"""Which layer in which scheme: the way from the cheapest model to the most careful one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Assignment = dict[str, str]
"""A scheme by layer."""


@dataclass(frozen=True)
class Choice:
    """One scheme for one layer: what it costs, and the error that it alone makes.

    ``cost`` is in shares of the float model's bytes or time, ``error`` the mean square error of
    the model's output relative to the output's mean square.
    """

    scheme: str
    cost: float
    error: float


@dataclass(frozen=True)
class Point:
    """One assignment on the way with the sums of its layers' costs and errors."""

    schemes: Assignment
    cost: float
    error: float


def lower_hull(choices: Sequence[Choice]) -> list[Choice]:
    """The choices on the lower convex hull of cost and error, the cheapest first.

    Others are never best for any price of the error.
    """
    hull: list[Choice] = []
    for choice in sorted(choices, key=lambda c: (c.cost, c.error)):
        if hull and choice.error >= hull[-1].error:
            continue
        while len(hull) > 1 and _slope(hull[-1], choice) >= _slope(hull[-2], hull[-1]):
            hull.pop()
        hull.append(choice)
    return hull


def way(layers: Mapping[str, Sequence[Choice]]) -> list[Point]:
    """From all layers at their cheapest to all at their most exact, one upgrade at a time.

    The upgrade that takes off most error for its cost comes next: with errors that add up, each
    point has the least error of all assignments of its cost (Shoham and Gersho 1988, Efficient
    bit allocation for an arbitrary set of quantizers, IEEE Transactions on Acoustics 36(9)).
    """
    hulls = {name: lower_hull(choices) for name, choices in layers.items()}
    upgrades = [
        (_slope(below, above), at, name, above)
        for name, hull in hulls.items()
        for at, (below, above) in enumerate(pairwise(hull))
    ]
    now = {name: hull[0] for name, hull in hulls.items()}
    points = [_point(now)]
    for _, _, name, above in sorted(upgrades, key=lambda u: -u[0]):
        now[name] = above
        points.append(_point(now))
    return points


def spread(points: Sequence[Point], count: int) -> list[int]:
    """Positions of up to ``count`` points: the ends, and between them evenly in the error's log."""
    last = len(points) - 1
    if len(points) <= count:
        return list(range(len(points)))
    floor = min((p.error for p in points if p.error > 0), default=1.0)
    logs = [math.log(max(p.error, floor)) for p in points]
    wanted = [logs[0] + (logs[-1] - logs[0]) * step / (count - 1) for step in range(count)]
    inner = {min(range(len(points)), key=lambda at: abs(logs[at] - log)) for log in wanted[1:-1]}
    return sorted({0, last, *inner})


def _slope(below: Choice, above: Choice) -> float:
    """Error that is taken off per cost; infinite where it costs nothing."""
    gained, paid = below.error - above.error, above.cost - below.cost
    return gained / paid if paid > 0 else math.inf


def _point(now: Mapping[str, Choice]) -> Point:
    return Point(
        {name: choice.scheme for name, choice in now.items()},
        sum(choice.cost for choice in now.values()),
        sum(choice.error for choice in now.values()),
    )
