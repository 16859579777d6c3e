"""Judging candidates on the real metric, timing and pricing them, and choosing the best."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.artifact import Artifact, seal
from workbench.records import Account, Interval, Latency, Manifest, Quality, StepRecord
from workbench.steps import Bench, StepContext
from workbench.steps._auto_budget import Bound, Kept, check, least_margin
from workbench.steps._auto_curve import Point

TIMED = 4
"""Candidates within the budget that are timed on the whole profile: the fastest, as predicted."""

SAME = 0.02
"""Figures closer than this are taken for the same: medians of one machine repeat to about that."""


@dataclass
class Candidate:
    """A model on the way, as it was judged; ``speedup`` and ``usd_month`` where measured."""

    point: Point
    artifact: Artifact
    quality: Quality
    kept: tuple[Kept, ...]
    speedup: Interval | None = None
    usd_month: float | None = None

    @property
    def keeps(self) -> bool:
        """Whether it is within the budget."""
        return all(item.holds for item in self.kept)

    @property
    def margin(self) -> float:
        """How far it keeps the budget; below zero: it breaks it."""
        return least_margin(self.kept)

    @property
    def size_bytes(self) -> int:
        """Bytes of the ONNX file."""
        return self.artifact.model_path.stat().st_size


def judge(
    point: Point,
    place: Path,
    manifest: Manifest,
    bounds: Sequence[Bound],
    source: Artifact,
    reference: Quality,
    bench: Bench,
) -> Candidate:
    """Judge the model that was saved at a place.

    Raises:
        StepError: the task does not give what the budget speaks of.
    """
    counted = dict(Counter(point.schemes.values()))
    record = StepRecord(
        step="quantize",
        options={"scheme": "auto"},
        key="",
        seconds=0,
        account=Account(summary="a candidate of auto", changed=counted),
    )
    lineage = (*manifest.lineage, record)
    artifact = seal(place, manifest.model_copy(update={"lineage": lineage}))
    quality = bench.quality(artifact, source)
    kept = tuple(check(bound, quality, reference) for bound in bounds)
    return Candidate(point, artifact, quality, kept)


def best_of(
    goal: str, candidates: Mapping[int, Candidate], source: Artifact, context: StepContext
) -> Candidate:
    """The smallest, fastest or cheapest candidate that keeps the budget; at least one does.

    Of those that cannot be told apart by their speed or price the smallest, and of those that
    cannot be told apart by their size either the one with the largest margin.
    """
    kept = [c for _, c in sorted(candidates.items()) if c.keeps]
    if goal == "size":
        return min(kept, key=lambda c: (c.size_bytes, c.point.error))
    context.say("timing the candidates")
    kept = sorted(kept, key=lambda c: c.point.cost)[:TIMED]
    beyond = [c for _, c in sorted(candidates.items()) if not c.keeps][-1:]
    timed = {str(at): c for at, c in enumerate([*kept, *beyond])}
    models = {name: c.artifact.model_path for name, c in timed.items()}
    found = context.bench.latency({"float": source.model_path, **models}, "float")
    for name, candidate in timed.items():
        candidate.speedup = speedup_of(found[name])
    if goal == "cost":
        context.say("pricing the candidates")
        prices = context.bench.cost({n: c.artifact for n, c in timed.items()}, found)
        for name, candidate in timed.items():
            candidate.usd_month = prices[name]
        kept = _least(kept, lambda c: c.usd_month)
    else:
        kept = _least(kept, lambda c: 1 / c.speedup.value if c.speedup else None)
    return max(_least(kept, lambda c: c.size_bytes), key=lambda c: c.margin)


def _least(
    candidates: Sequence[Candidate], figure: Callable[[Candidate], float | None]
) -> list[Candidate]:
    """Those whose figure cannot be told from the least one."""
    found = [(value, c) for c in candidates if (value := figure(c)) is not None]
    least = min(value for value, _ in found)
    return [c for value, c in found if value <= least * (1 + SAME)]


def speedup_of(cells: Sequence[Latency]) -> Interval | None:
    """Geometric mean of the cells' speed-ups; its ends are the slowest and the fastest cell."""
    ratios = [cell.speedup.value for cell in cells if cell.speedup]
    if not ratios:
        return None
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    return Interval(
        value=mean,
        low=min(ratios),
        high=max(ratios),
        n=len(ratios),
        method="geometric mean and range of the cells",
    )


def curve_of(candidates: Mapping[int, Candidate], chosen: Candidate) -> list[dict[str, Any]]:
    """The trade-off curve as plain JSON, the cheapest candidate first."""
    return [
        {
            "layers": dict(Counter(candidate.point.schemes.values())),
            "size_bytes": candidate.size_bytes,
            "predicted_error": candidate.point.error,
            "metric": candidate.quality.metric,
            "difference": _plain(candidate.quality.difference),
            "agreement": candidate.quality.agreement,
            "speedup": _plain(candidate.speedup),
            "usd_month": candidate.usd_month,
            "budget": "; ".join(item.told for item in candidate.kept),
            "keeps": candidate.keeps,
            "chosen": candidate is chosen,
        }
        for _, candidate in sorted(candidates.items())
    ]


def _plain(interval: Interval | None) -> dict[str, float] | None:
    return None if interval is None else interval.model_dump(include={"value", "low", "high"})
