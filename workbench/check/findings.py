"""What the figures that are stored say of a gate, and which gates ask for measuring."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from workbench.check.gates_file import PlacedGate
from workbench.check.levels import Level, samples_to_decide, widened
from workbench.check.sides import Side
from workbench.errors import InputError
from workbench.gates import (
    CELLS,
    Judged,
    ParsedGate,
    Widen,
    judge_figure,
)
from workbench.profile_options import ProfileOptions
from workbench.records import (
    Interval,
    Latency,
    Measurement,
    Outcome,
    Quality,
    Run,
    Setting,
)

PROCESSES, SAMPLES = "processes", "samples of the task"
RATIO, DIFFERENCE = "×", "Δ"
BYTES = ("size", "model_size", "memory")
NOISY = (*CELLS, "quality", "load")
"""Figures with an interval: the tests that the error probability is shared by."""

STORED = "stored figures"
COUNTED = "counted"
SAME = "the same by construction"
NORMALISED = "normalised by the baseline"
PAIRED = "paired difference"
THROUGH_BASELINE = "paired through the baseline"
TWO_INTERVALS = "two intervals"
NOTHING = "not judged"


class Finding(NamedTuple):
    """What is known of one test; ``measure`` says whether measuring may tell more."""

    judged: Judged
    how: str
    unit: str = ""
    samples_needed: int | None = None
    samples: str = ""
    measure: bool = False

    @property
    def decided(self) -> bool:
        """Whether it passed or failed."""
        return self.judged.outcome in (Outcome.PASS, Outcome.FAIL)


@dataclass(frozen=True, eq=False)
class Test:
    """One gate for one variant, in one cell if it is a gate on latency."""

    gate: PlacedGate
    variant: str
    setting: Setting | None = None

    @property
    def parsed(self) -> ParsedGate:
        """The gate's parts."""
        return self.gate.parsed

    @property
    def against(self) -> str:
        """What a side-by-side measurement of it would hold the variant against."""
        return self.parsed.bound.reference or "baseline"


def not_judged(reason: str) -> Finding:
    """Nothing can be said, and why."""
    return Finding(Judged(Outcome.NOT_JUDGED, reason), NOTHING)


def judge_ratio(test: Test, ratio: Interval, then_ms: float) -> Judged:
    """Judge what was measured side by side.

    Args:
        test: what is judged.
        ratio: of the figure that the gate speaks of, over that of the reference.
        then_ms: the reference's percentile in this measurement; for a gate on a speed-up over an
            earlier one, that speed-up.
    """
    parsed = test.parsed
    if parsed.name == "speedup" and test.against == "baseline":
        bound = parsed.bound.of(1.0)
    else:
        bound = parsed.bound.of(then_ms) / then_ms
    reason = (
        f"{spoken(parsed)} {ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}] "
        f"× {test.against}, bound {bound:.3g}, side by side at {test.setting}"
    )
    return judged_ratio(parsed, ratio, bound, reason)


def profile_of(side: Side) -> ProfileOptions:
    """The grid and the axes with which a run was measured.

    Raises:
        InputError: this version cannot read them.
    """
    try:
        return ProfileOptions.model_validate(side.run.recipe.get("profile", {}))
    except ValueError as error:
        raise InputError(f"{side.file}: the recipe's profile cannot be read: {error}") from error


def figure_finding(
    parsed: ParsedGate, measured: Measurement, reference: Measurement, whole: Level, *, paired: bool
) -> Finding:
    """A gate on a figure of the whole variant, by the intervals that are stored.

    ``paired`` is whether ``measured``'s difference of quality is to that reference.
    """
    widen = widener(parsed, whole, None, logs=False)
    judged = judge_figure(parsed, measured, reference, widen, paired=paired)
    if parsed.name not in NOISY:
        return Finding(judged, COUNTED, "B" if parsed.name in BYTES else "")
    if parsed.name == "load":
        return with_samples(judged, STORED, "ms", "loads")
    by_pairs = parsed.bound.factor and measured.quality and measured.quality.difference
    return with_samples(judged, PAIRED if by_pairs else STORED, DIFFERENCE if by_pairs else "")


def with_samples(judged: Judged, how: str, unit: str, samples: str = SAMPLES) -> Finding:
    """A finding, with how many more samples would decide it where it is not decided."""
    needed = None
    if judged.outcome is Outcome.UNDECIDED and judged.observed and judged.bound is not None:
        needed = samples_to_decide(judged.observed, judged.bound)
    return Finding(judged, how, unit, needed, samples if needed else "")


def widener(parsed: ParsedGate, spend: Level, degrees: int | None, *, logs: bool = True) -> Widen:
    """What brings stored intervals to these error probabilities, as :func:`levels.widened`."""

    def widen(interval: Interval) -> Interval:
        return widened(interval, parsed.at_least, spend, degrees=degrees, logs=logs)

    return widen


def more_processes(judged: Judged, processes: int) -> int | None:
    """How many more processes a stored interval would have needed, by its width."""
    if judged.outcome is not Outcome.UNDECIDED or not judged.observed or judged.bound is None:
        return None
    counted = judged.observed.model_copy(update={"n": processes})
    return samples_to_decide(counted, judged.bound)


def processes_of(cell: Latency) -> int:
    """How many processes measured a cell, as the profiler's note on the method says."""
    found = re.search(r"in (\d+) processes", cell.p50_ms.method)
    return int(found[1]) if found else 1


def cell_of(measured: Measurement, setting: Setting | None) -> Latency | None:
    """The cell of a setting, or none."""
    return next((cell for cell in measured.latency if cell.setting == setting), None)


def stored_figure(parsed: ParsedGate, cell: Latency | None) -> float | None:
    """The figure that a gate on latency speaks of, in ms or as a speed-up; none: not measured."""
    if cell is None:
        return None
    name = "speedup" if parsed.name == "speedup" else f"{parsed.name.rpartition('.')[2]}_ms"
    found: Interval | None = getattr(cell, name)
    return found.value if found else None


def bound_of_ratio(parsed: ParsedGate, then: float | None) -> float | None:
    """The bound as a ratio; one with an offset asks for the figure itself."""
    if not parsed.bound.offset:
        return parsed.bound.factor
    return parsed.bound.of(then) / then if then else None


def judged_ratio(parsed: ParsedGate, ratio: Interval, bound: float, reason: str) -> Judged:
    """A ratio against the bound as a ratio."""
    outcome = parsed.compare(ratio.low, ratio.high, bound)
    return Judged(outcome, reason, ratio, bound, parsed.margin(ratio.value, bound))


def same_task(one: Run, mine: Quality, other: Run, theirs: Quality) -> bool:
    """Whether two qualities are of one metric, of one task, and on as many samples."""
    tasks = one.recipe.get("task"), other.recipe.get("task")
    return tasks[0] == tasks[1] and (mine.metric, mine.samples) == (theirs.metric, theirs.samples)


def spoken(parsed: ParsedGate) -> str:
    """What a gate on latency speaks of, in a word."""
    return "speed-up" if parsed.name == "speedup" else parsed.name.rpartition(".")[2]
