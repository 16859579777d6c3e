"""The records of a comparison: what changed between runs, and their figures side by side."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from workbench.cost.ranges import Range
from workbench.records import Footprint, Interval, Latency, Machine, Quality, Record, Setting


class Aspect(StrEnum):
    """What a change is a change of."""

    RECIPE = "recipe"
    MODEL = "model"
    DATA = "data"
    VERSIONS = "versions"
    MACHINE = "machine"


class Change(Record):
    """Something that is not the same in a run as in the reference, by its key path."""

    run: str = Field(description="Label of the run that is compared with the reference.")
    aspect: Aspect
    kind: Literal["added", "removed", "changed"]
    key: str = Field(description="Such as variants.int8.quantize.bits.")
    before: Any = None
    after: Any = None


class ComparedRun(Record):
    """One column: a run, or one variant of it."""

    label: str
    name: str
    path: str | None = None
    variant: str | None = Field(None, description="Where one variant was asked for.")
    created: str
    measured: str
    smoke: bool
    model: str
    task: str
    samples: int | None = None
    machine: Machine
    baseline: str
    baseline_digest: str | None = Field(None, description="SHA-256 of the baseline's artifact.")
    variants: tuple[str, ...]


class Basis(StrEnum):
    """What a comparison of two latencies rests on."""

    INTERLEAVED = "interleaved"
    """Both were measured in turns, in the same processes: directly comparable."""
    NORMALISED = "normalised"
    """Ratio of the speed-ups over the same baseline files, each measured beside its own variant."""
    OTHER_MACHINE = "normalised, other machine"
    """Likewise, on different machines: what the recipe gains there, not how fast it is."""
    RAW = "raw, drift included"
    """Ratio of times of two runs on one machine; the interval does not hold the drift."""
    DRIFT = "same files"
    """The same files on the same machine: what differs is noise and drift."""
    SAME = "same measurement"
    """One measurement, which the second run took from the store."""
    NONE = "not compared"


class Told(StrEnum):
    """What the interval of a difference lets one say."""

    BETTER = "better"
    WORSE = "worse"
    NOT_APART = "not told apart"
    """The interval holds 1 (of a ratio) or 0 (of a difference)."""
    PERHAPS = "apart, unless it is drift"
    """The interval holds no 1, but the drift between the measurements is not in it."""
    NOTHING = "nothing"
    """Not compared, or without an interval."""


class LatencyChange(Record):
    """One cell of the latency grid against the reference's.

    ``speed`` is how many times as fast: the reference's p50 over this one, above 1 is faster.
    """

    setting: Setting
    speed: Interval | None = None
    basis: Basis
    told: Told = Told.NOTHING


class QualityChange(Record):
    """Quality against the reference's: this one minus that one.

    ``paired``: judged on the same samples in one run, or again now (``why`` says so).
    ``differences``: each run's paired difference to the same baseline on the same data; the
    interval is the widest that the two allow (at least 90 %). ``intervals``: nothing ties the
    samples together, each score has its own interval. ``same files``: one model on the same data.
    """

    basis: Literal["paired", "differences", "intervals", "same files", "not compared"]
    difference: Interval | None = None
    told: Told = Told.NOTHING
    why: str = ""


class CostChange(Record):
    """US dollars a month against the reference's, each on its best option.

    ``usd`` is the range of the difference, of which what is predicted of a place for both alike
    is taken out.
    """

    usd: Range[Decimal]
    told: Told


class Cost(Record):
    """A month on the best option, or why there is none."""

    option: str | None = None
    place: str | None = None
    usd: Range[Decimal] | None = None
    p99_ms: float | None = None
    measured: bool = False
    why: str = Field("", description="What the speed rests on, or why nothing is possible.")


class Difference(Record):
    """One variant of one run against the reference's.

    Ratios are this one over that one; none where that one is 0 or was not measured.
    """

    identical: bool | None = Field(None, description="Whether the files are; none: not known.")
    size: float | None
    parameters: float | None
    quality: QualityChange
    latency: tuple[LatencyChange, ...] = ()
    memory: float | None = Field(None, description="Peaks of one process each: no interval.")
    load: Interval | None = None
    cost: CostChange | None = None


class Figures(Record):
    """What was measured of one variant in one run; ``latency`` without the raw samples."""

    variant: str
    digest: str | None = None
    footprint: Footprint
    quality: Quality | None = None
    latency: tuple[Latency, ...] = ()
    cost: Cost | None = None


class VariantComparison(Record):
    """One variant, a column a run: none where the run has no such variant or did not measure it.

    ``differences`` are against the first column, which has none itself.
    """

    name: str
    figures: tuple[Figures | None, ...]
    differences: tuple[Difference | None, ...]


class Relation(Record):
    """What of a run may be compared with the reference, and why the rest may not."""

    run: str
    same_run: bool
    machine: tuple[str, ...] = Field(description="Why raw latencies cannot be compared.")
    normalised: bool = Field(description="Whether both measured the same baseline files.")
    why_not_normalised: str = ""


class Comparison(Record):
    """What ``workbench compare`` finds; the first run is the reference."""

    schema_version: Literal[1] = 1
    smoke: bool = Field(description="Smoke runs: no figure says anything.")
    runs: tuple[ComparedRun, ...]
    changes: tuple[Change, ...]
    relations: tuple[Relation, ...] = Field(description="Of each run but the first.")
    variants: tuple[VariantComparison, ...]
    unmatched: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Variants without a partner, by the label of their run."
    )
    traffic: str | None = Field(None, description="What is priced; none: no cost.")
    region: str | None = None
    notes: tuple[str, ...] = ()
