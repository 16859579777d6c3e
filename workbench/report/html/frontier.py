"""The frontier: which variants no other beats in latency, quality and size at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workbench.records import Interval, Measurement, Run, Setting

CLOSENESS = ("cosine_mean", "label_agreement", "nearest_neighbour", "cosine_min")
"""Label-free figures that can stand for quality, the one that says most first."""


@dataclass(frozen=True)
class Point:
    """A variant in one cell: p50 in ms, quality on the run's scale, size in bytes.

    ``beaten_by`` names a variant that is at least as good in all three and better in one, going
    by the values; empty where there is none.
    """

    variant: str
    baseline: bool
    ms: Interval
    quality: Interval | None
    size_bytes: int
    beaten_by: str = ""

    def as_data(self) -> dict[str, Any]:
        """Plain values for the page."""
        return asdict(self) | {
            "ms": _ends(self.ms),
            "quality": None if self.quality is None else _ends(self.quality),
        }


@dataclass(frozen=True)
class Scale:
    """What the frontier's quality is: ``label`` for the axis, ``kind`` of the figure."""

    kind: str
    label: str


def quality_scale(run: Run) -> Scale | None:
    """The one figure of quality that all measured variants of the run have, or none.

    The paired difference to the baseline where there is one: its interval is far narrower than
    that of a score. Else the score, else the closeness to the baseline.
    """
    measured = [v for v in run.variants if v.measurement]
    others = [v.measurement for v in measured if v.measurement and not v.baseline]
    every = [v.measurement.quality for v in measured if v.measurement]
    found = [m.quality for m in others]
    metric = next((q.metric for q in every if q), "")
    if found and all(q and q.difference for q in found):
        return Scale("difference", f"change of {metric} to the baseline")
    if every and all(q and q.score for q in every):
        return Scale("score", metric)
    for name in CLOSENESS:
        if found and all(q and name in q.agreement for q in found):
            return Scale(name, f"{name.replace('_', ' ')} to the baseline")
    return None


def cells(run: Run) -> list[Setting]:
    """The cells of the grid, in the order in which they were measured."""
    return list(
        dict.fromkeys(
            cell.setting for v in run.variants if v.measurement for cell in v.measurement.latency
        )
    )


def frontier(run: Run, setting: Setting) -> list[Point]:
    """A point for each variant that was measured in the cell."""
    scale = quality_scale(run)
    points = [
        Point(
            variant.name,
            variant.baseline,
            cell.p50_ms,
            _quality(variant.measurement, scale, baseline=variant.baseline),
            variant.measurement.footprint.size_bytes,
        )
        for variant in run.variants
        if variant.measurement
        for cell in variant.measurement.latency
        if cell.setting == setting
    ]
    return [_judged(point, points) for point in points]


def _quality(own: Measurement, scale: Scale | None, *, baseline: bool) -> Interval | None:
    if scale is None:
        return None
    if scale.kind == "score":
        return own.quality.score if own.quality else None
    if baseline:
        value = 0.0 if scale.kind == "difference" else 1.0
        return Interval(value=value, low=value, high=value, n=1, method="by definition")
    if own.quality is None:
        return None
    if scale.kind == "difference":
        return own.quality.difference
    value = own.quality.agreement[scale.kind]
    return Interval(value=value, low=value, high=value, n=own.quality.samples, method="counted")


def _judged(point: Point, all_points: Iterable[Point]) -> Point:
    for other in all_points:
        if other.variant != point.variant and _beats(other, point):
            return Point(**(vars(point) | {"beaten_by": other.variant}))
    return point


def _beats(one: Point, other: Point) -> bool:
    pairs = [(one.ms.value, other.ms.value), (one.size_bytes, other.size_bytes)]
    if one.quality and other.quality:
        pairs.append((-one.quality.value, -other.quality.value))
    return beats(*zip(*pairs, strict=True))


def beats(one: Sequence[float], other: Sequence[float]) -> bool:
    """At least as good in everything, better in something; less is better in each term."""
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _ends(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
