"""What of two runs may be compared, and the differences with their intervals.

Size is counted: it is compared always. Quality is compared on one task and its data. Latency is
compared where the machine and the runtime are the same, or over a baseline that both measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.compare.changes import baseline_score, samples_of, task_of
from workbench.compare.intervals import told
from workbench.compare.records import (
    Basis,
    Difference,
    LatencyChange,
    QualityChange,
    Relation,
    Told,
)
from workbench.compare.sources import Source, same_files
from workbench.intervals import COUNTED, exact, ratio, widest_difference
from workbench.machine import RUNTIMES, same_machine
from workbench.records import Interval, Latency, Measurement, Setting

SPEED = ("batch", "calibration_samples")
"""Options of a task that do not change which samples are judged."""


def relate(before: Source, after: Source) -> Relation:
    """What of a run may be compared with the reference."""
    common = same_files(before, before.baseline.name, after, after.baseline.name)
    one, other = before.run.machine.versions, after.run.machine.versions
    changed = [name for name in RUNTIMES if one.get(name) != other.get(name)]
    why = ""
    if common is None:
        why = "whether the baselines are the same files cannot be told without their artifacts"
    elif not common:
        why = "the baselines are not the same files"
    elif changed:
        why = f"{changed[0]} is not of the same version"
    return Relation(
        run=after.label,
        same_run=before.same_run(after),
        machine=same_machine(before.run.machine, after.run.machine),
        normalised=not why,
        why_not_normalised=why,
    )


def difference(
    before: Source, name: str, after: Source, partner: str, relation: Relation
) -> Difference | None:
    """One variant against the reference's, without cost; none where one was not measured."""
    one, other = measured(before, name), measured(after, partner)
    if one is None or other is None:
        return None
    identical = same_files(before, name, after, partner)
    ours, theirs = other.footprint, one.footprint
    load = memory = None
    if footprint_reason(before, after, relation) is None:
        memory = _over(ours.peak_memory_bytes, theirs.peak_memory_bytes)
        if ours.load_ms and theirs.load_ms:
            load = ratio(ours.load_ms, theirs.load_ms, "ratio of medians, drift included")
    return Difference(
        identical=identical,
        size=_over(ours.size_bytes, theirs.size_bytes),
        parameters=_over(ours.parameters, theirs.parameters),
        quality=quality_change(before, name, after, partner),
        latency=tuple(
            latency_change(before, name, after, partner, cell.setting, relation)
            for cell in other.latency
        ),
        memory=memory,
        load=load,
    )


def _over(ours: int | None, theirs: int | None) -> float | None:
    return ours / theirs if theirs and ours is not None else None


def measured(source: Source, name: str) -> Measurement | None:
    """What was measured of a variant, or none."""
    found = source.result(name)
    return found.measurement if found else None


def footprint_reason(before: Source, after: Source, relation: Relation) -> str | None:
    """Why memory and load time cannot be compared, or none where they can.

    They are measured where the recipe runs, which is not the recorded machine when latency was
    measured elsewhere.
    """
    if relation.same_run:
        return None
    if before.run.machine.instance_type or after.run.machine.instance_type:
        return "they were measured where the recipe ran, which is not recorded"
    return "; ".join(relation.machine) or None


# --- quality -------------------------------------------------------------------------------------


def quality_reason(before: Source, after: Source) -> str | None:
    """Why the quality of two runs cannot be compared, or none where it can."""
    one, other = task_of(before.run.recipe), task_of(after.run.recipe)
    if before.run.task != after.run.task:
        return f"the tasks are {before.run.task} and {after.run.task}"
    if one.get("data") != other.get("data"):
        return f"the data are {one.get('data')} and {other.get('data')}"
    return None


def quality_change(before: Source, name: str, after: Source, partner: str) -> QualityChange:
    """The score of a variant against the reference's, on what both runs hold."""
    first, second = measured(before, name), measured(after, partner)
    one = first.quality if first else None
    other = second.quality if second else None

    def refused(why: str) -> QualityChange:
        return QualityChange(basis="not compared", why=why)

    if one is None or other is None:
        return refused("quality was not measured in both")
    if why := quality_reason(before, after):
        return refused(why)
    if one.metric != other.metric:
        return refused(f"the metrics are {one.metric} and {other.metric}")
    if one.score is None or other.score is None:
        return refused("the task has no labels, only closeness to each run's baseline")
    unpaired = unpaired_reason(before, after)
    if unpaired is None:
        if same_files(before, name, after, partner) and one.score == other.score:
            same = exact(0.0, "the same files on the same data")
            return QualityChange(basis="same files", difference=same, told=Told.NOT_APART)
        ours = exact(0.0) if partner == after.baseline.name else other.difference
        theirs = exact(0.0) if name == before.baseline.name else one.difference
        if ours is not None and theirs is not None:
            return _paired(ours, theirs)
        unpaired = "no paired difference to the baseline was recorded"
    apart = one.score.high < other.score.low or other.score.high < one.score.low
    better = other.score.value > one.score.value
    return QualityChange(
        basis="intervals",
        told=(Told.BETTER if better else Told.WORSE) if apart else Told.NOT_APART,
        why=unpaired,
    )


def _paired(ours: Interval, theirs: Interval) -> QualityChange:
    """The difference, where each run holds its own to the same baseline on the same samples."""
    if theirs.method == COUNTED:
        return QualityChange(basis="paired", difference=ours, told=told(ours, 0.0))
    found = widest_difference(ours, theirs, "paired differences to one baseline, end to end")
    if ours.method == COUNTED:
        found = found.model_copy(update={"n": theirs.n, "method": theirs.method})
        return QualityChange(basis="paired", difference=found, told=told(found, 0.0))
    return QualityChange(basis="differences", difference=found, told=told(found, 0.0))


def unpaired_reason(before: Source, after: Source) -> str | None:
    """Why nothing ties the samples of two runs together, or none where something does."""
    if before.same_run(after):
        return None
    if other_samples(before, after):
        return "not all samples are the same"
    if not same_files(before, before.baseline.name, after, after.baseline.name):
        return "no baseline is common to both"
    if baseline_score(before) != baseline_score(after):
        return "the common baseline scores differently: data, machine or runtime are not the same"
    return None


def other_samples(before: Source, after: Source) -> bool:
    """Whether two runs judged quality on samples that cannot all be the same."""
    one, other = (
        {key: value for key, value in task_of(source.run.recipe).items() if key not in SPEED}
        for source in (before, after)
    )
    return one != other or samples_of(before) != samples_of(after)


# --- latency -------------------------------------------------------------------------------------


def cell_of(source: Source, name: str, setting: Setting) -> Latency | None:
    """The latency of a variant in a cell, or none."""
    found = measured(source, name)
    return next((c for c in found.latency if c.setting == setting), None) if found else None


def latency_change(
    before: Source, name: str, after: Source, partner: str, setting: Setting, relation: Relation
) -> LatencyChange:
    """One cell against the reference's, on the best basis that the two runs allow."""
    one, other = cell_of(before, name, setting), cell_of(after, partner, setting)
    if one is None or other is None:
        return LatencyChange(setting=setting, basis=Basis.NONE)

    def change(basis: Basis, speed: Interval | None, said: Told | None = None) -> LatencyChange:
        found = told(speed, 1.0) if said is None else said
        return LatencyChange(setting=setting, speed=speed, basis=basis, told=found)

    normalised = _normalised(before, name, one, after, partner, other)
    if relation.same_run:
        found = normalised or ratio(one.p50_ms, other.p50_ms, "ratio of medians")
        return change(Basis.INTERLEAVED, found)
    if one.samples_ms and one.samples_ms == other.samples_ms:
        same = exact(1.0, "one measurement, taken from the store")
        return change(Basis.SAME, same, Told.NOT_APART)
    elsewhere = bool(relation.machine)
    raw = None if elsewhere else ratio(one.p50_ms, other.p50_ms, "ratio of medians")
    if same_files(before, name, after, partner) and not elsewhere:
        return change(Basis.DRIFT, raw, Told.NOT_APART)
    baselines = name == before.baseline.name and partner == after.baseline.name
    if relation.normalised and normalised is not None and not baselines:
        return change(Basis.OTHER_MACHINE if elsewhere else Basis.NORMALISED, normalised)
    if elsewhere:
        return change(Basis.NONE, None)
    apart = told(raw, 1.0) in (Told.BETTER, Told.WORSE)
    return change(Basis.RAW, raw, Told.PERHAPS if apart else told(raw, 1.0))


def _normalised(
    before: Source, name: str, one: Latency, after: Source, partner: str, other: Latency
) -> Interval | None:
    """Ratio of the speed-ups; a baseline's own is exactly 1."""
    theirs = exact(1.0) if name == before.baseline.name else one.speedup
    ours = exact(1.0) if partner == after.baseline.name else other.speedup
    if ours is None or theirs is None:
        return None
    found = ratio(ours, theirs, "ratio of speed-ups over one baseline")
    counts = [x.n for x in (ours, theirs) if x.method != COUNTED]
    return found and found.model_copy(update={"n": min(counts, default=1)})


def drifts(before: Source, after: Source, relation: Relation) -> Sequence[LatencyChange]:
    """How many times as fast the very same baseline was in the second run, cell by cell."""
    found = measured(after, after.baseline.name)
    if relation.same_run or found is None:
        return ()
    cells = (
        latency_change(
            before, before.baseline.name, after, after.baseline.name, cell.setting, relation
        )
        for cell in found.latency
    )
    return tuple(cell for cell in cells if cell.basis is Basis.DRIFT and cell.speed)
