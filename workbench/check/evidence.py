"""What the stored figures of both runs say of each test, and which of them ask for measuring."""

from __future__ import annotations

from workbench.check.findings import (
    DIFFERENCE,
    NORMALISED,
    PROCESSES,
    RATIO,
    SAME,
    STORED,
    THROUGH_BASELINE,
    TWO_INTERVALS,
    Finding,
    Test,
    bound_of_ratio,
    cell_of,
    figure_finding,
    judged_ratio,
    more_processes,
    not_judged,
    processes_of,
    same_task,
    spoken,
    stored_figure,
    widener,
    with_samples,
)
from workbench.check.levels import Level
from workbench.check.measuring import same_inputs
from workbench.check.sides import Side
from workbench.gates import AGREEMENT, CELLS, Judged, judge_cell, judge_difference
from workbench.intervals import ratio
from workbench.machine import RUNTIMES, same_machine, same_outputs
from workbench.records import Interval, Machine, Measurement, Outcome, VariantResult

OTHER_TASK = "the task, its metric or its number of samples changed"


class Evidence:
    """Both runs, and what their stored figures say of each test."""

    def __init__(self, now: Side, previous: Side | None, here: Machine, *, measure: bool) -> None:
        """``here`` is this machine; ``measure`` is whether measuring on it is allowed."""
        self.now = now
        self.previous = previous
        self.here = here
        self.measure = measure

    def look(self, test: Test, whole: Level) -> Finding:
        """What is known without measuring, at what one test may spend.

        Raises:
            CorruptError: an artifact is not what was written.
        """
        result = self.now.variant(test.variant)
        measured = result.measurement if result else None
        if measured is None:
            return not_judged("nothing was measured of this variant")
        if test.parsed.bound.reference == "previous":
            return self._previous(test, measured, whole)
        reference = self.now.baseline.measurement
        if reference is None:
            return not_judged("nothing was measured of the baseline")
        if test.parsed.name not in CELLS:
            return figure_finding(test.parsed, measured, reference, whole, paired=True)
        return self._cell(test, measured, reference, whole)

    # --- the run's own baseline ------------------------------------------------------------------

    def _cell(
        self, test: Test, measured: Measurement, reference: Measurement, whole: Level
    ) -> Finding:
        cell = cell_of(measured, test.setting)
        if cell is None:
            return Finding(Judged(Outcome.UNDECIDED, "no cell of the grid is selected"), STORED)
        more = self._baseline_pair(test)
        spend = whole.part(0.5) if more else whole
        processes = processes_of(cell)
        unit = "" if test.parsed.name == "speedup" else "ms"
        if processes < 2:
            reason = f"one process says nothing of what processes differ by, at {cell.setting}"
            return Finding(Judged(Outcome.UNDECIDED, reason), STORED, unit, measure=more)
        widen = widener(test.parsed, spend, processes - 1)
        judged = judge_cell(test.parsed, cell, cell_of(reference, test.setting), widen)
        needed = more_processes(judged, processes)
        return Finding(judged, STORED, unit, needed, PROCESSES if needed else "", measure=more)

    def _baseline_pair(self, test: Test) -> bool:
        """Whether variant and baseline can be measured again here, as the run did."""
        parsed = test.parsed
        ratio = parsed.bound.reference == "baseline" or parsed.name == "speedup"
        own, base = self.now.artifact(test.variant), self.now.artifact(self.now.baseline.name)
        here = not same_machine(self.now.run.machine, self.here)
        return self.measure and ratio and here and own is not None and base is not None

    # --- an earlier run --------------------------------------------------------------------------

    def _previous(self, test: Test, measured: Measurement, whole: Level) -> Finding:
        assert self.previous is not None
        then = self.previous.variant(test.variant)
        if then is None or then.measurement is None:
            return not_judged(f"the earlier run has no variant '{test.variant}'")
        name = test.parsed.name
        if name in CELLS:
            return self._latency_then(test, measured, then, whole)
        if name == "quality":
            return self._quality_then(test, measured, then, whole)
        if name == "load":
            return not_judged("load times of two runs were not measured side by side")
        if name in AGREEMENT and not self._same_artifact(self.now.baseline.name):
            return not_judged("it is closeness to the baseline, and the baseline changed")
        if name in AGREEMENT:
            mine, theirs = measured.quality, then.measurement.quality
            if mine and theirs and not same_task(self.now.run, mine, self.previous.run, theirs):
                return not_judged(OTHER_TASK)
        if name == "memory" and (reasons := self._other_machine()):
            return not_judged(f"memory of another machine ({reasons})")
        return figure_finding(test.parsed, measured, then.measurement, whole, paired=False)

    def _latency_then(
        self, test: Test, measured: Measurement, then: VariantResult, whole: Level
    ) -> Finding:
        parsed = test.parsed
        if test.setting is None:
            return not_judged("no cell of the grid is selected")
        if parsed.name == "speedup" and not self._same_artifact(self.now.baseline.name):
            return not_judged("the baseline itself changed, so speed-ups are of different things")
        if parsed.name == "speedup" and parsed.bound.offset and not self.speedup_then(test):
            return not_judged(f"the earlier run has no speed-up at {test.setting}")
        if self._same_artifact(test.variant):
            return self._unchanged(test, measured)
        assert self.previous is not None
        own, other = self.now.artifact(test.variant), self.previous.artifact(test.variant)
        if self.measure and own is not None and other is not None:
            if not same_inputs(own, other):
                return not_judged("it takes other inputs than in the earlier run")
            waiting = Judged(Outcome.UNDECIDED, f"not measured yet at {test.setting}")
            return Finding(waiting, STORED, RATIO, measure=True)
        return self._normalised(test, measured, then, whole)

    def speedup_then(self, test: Test) -> float | None:
        """The speed-up that the earlier run stored, for a gate on it; else none."""
        then = self.previous.variant(test.variant) if self.previous else None
        if test.parsed.name != "speedup" or test.against != "previous" or then is None:
            return None
        measured = then.measurement
        return stored_figure(test.parsed, cell_of(measured, test.setting)) if measured else None

    def _unchanged(self, test: Test, measured: Measurement) -> Finding:
        """The same model: its latency can only have changed with the runtime or the machine."""
        assert self.previous is not None
        mine, theirs = self.now.run.machine.versions, self.previous.run.machine.versions
        for name in RUNTIMES:
            if mine.get(name) != theirs.get(name):
                return not_judged(
                    f"the same model, but under {name} {mine.get(name)} and {theirs.get(name)}: "
                    "one process holds one of them"
                )
        now = stored_figure(test.parsed, cell_of(measured, test.setting))
        stored = self.speedup_then(test) or now
        bound = bound_of_ratio(test.parsed, stored)
        exact = Interval(value=1, low=1, high=1, n=1, method=SAME)
        if bound is None:
            return not_judged(f"the run has no {test.parsed.name} at {test.setting}")
        reason = f"the same model under the same runtime, bound {bound:.3g} × previous"
        return Finding(judged_ratio(test.parsed, exact, bound, reason), SAME, RATIO)

    def _normalised(
        self, test: Test, measured: Measurement, then: VariantResult, whole: Level
    ) -> Finding:
        """From the speed-ups of both runs, each measured beside the same baseline.

        ``now / previous = (baseline / previous) / (baseline / now)``: of the two logarithms, each
        with the interval of its own run, the half-widths add up as the root of their squares, for
        the runs are independent.
        """
        parsed = test.parsed
        assert self.previous is not None
        why = "not measured side by side, and "
        if parsed.name not in ("latency.p50", "speedup"):
            return not_judged(f"{why}only p50 can be normalised by the baseline")
        if not self._same_artifact(self.now.baseline.name):
            return not_judged(f"{why}the baselines differ, by which it could be normalised")
        if reasons := self._other_machine():
            return not_judged(f"{why}the machines differ ({reasons})")
        one = cell_of(measured, test.setting)
        assert then.measurement is not None
        other = cell_of(then.measurement, test.setting)
        if one is None or other is None or one.speedup is None or other.speedup is None:
            return not_judged(f"{why}a speed-up over the baseline is missing at {test.setting}")
        processes = min(processes_of(one), processes_of(other))
        if processes < 2:
            return not_judged(f"{why}a run measured in one process only")
        ends = (one.speedup, other.speedup)
        found = ratio(*(ends if parsed.name == "speedup" else ends[::-1]), NORMALISED)
        if found is None:
            return not_judged(f"{why}a speed-up over the baseline is 0 at {test.setting}")
        widen = widener(parsed, whole, processes - 1)
        bound = bound_of_ratio(parsed, stored_figure(parsed, other))
        if bound is None:
            return not_judged(f"the earlier run has no {parsed.name} at {test.setting}")
        shown = widen(found)
        reason = (
            f"{spoken(parsed)} {shown.value:.3f} [{shown.low:.3f}, {shown.high:.3f}] × previous, "
            f"bound {bound:.3g}, by the speed-ups of both runs, at {test.setting}"
        )
        judged = judged_ratio(parsed, shown, bound, reason)
        needed = more_processes(judged, processes)
        return Finding(judged, NORMALISED, RATIO, needed, PROCESSES if needed else "")

    def _quality_then(
        self, test: Test, measured: Measurement, then: VariantResult, whole: Level
    ) -> Finding:
        assert self.previous is not None
        assert then.measurement is not None
        mine, theirs = measured.quality, then.measurement.quality
        if mine is None or theirs is None or mine.score is None or theirs.score is None:
            return not_judged("quality was not measured in both runs")
        if not same_task(self.now.run, mine, self.previous.run, theirs):
            return not_judged(OTHER_TASK)
        parsed, score = test.parsed, theirs.score.value
        more = self._both_artifacts(test.variant)
        widen = widener(parsed, whole.part(0.5) if more else whole, None, logs=False)
        alike = same_outputs(self.now.run.machine, self.previous.run.machine)
        if self._same_artifact(test.variant) and alike:
            nothing = Interval(value=0, low=0, high=0, n=mine.samples, method=SAME)
            return Finding(judge_difference(parsed, nothing, score), SAME, DIFFERENCE)
        if mine.difference and theirs.difference and self._same_artifact(self.now.baseline.name):
            # Each is paired with the same baseline on the same samples. How the two depend on each
            # other is not stored, so their half-widths add up: right at the worst.
            a, b = mine.difference, theirs.difference
            paired = Interval(value=a.value - b.value, low=a.low - b.high, high=a.high - b.low,
                              n=mine.samples, method=THROUGH_BASELINE)  # fmt: skip
            judged, how = judge_difference(parsed, paired, score, widen), THROUGH_BASELINE
        else:
            a, b = mine.score, theirs.score
            apart = Interval(value=a.value - b.value, low=a.low - b.high, high=a.high - b.low,
                             n=mine.samples, method=TWO_INTERVALS)  # fmt: skip
            judged, how = judge_difference(parsed, apart, score, widen), TWO_INTERVALS
        return with_samples(judged, how, DIFFERENCE)._replace(measure=more)

    def _both_artifacts(self, name: str) -> bool:
        """Whether this variant of both runs can be run here, and may be."""
        assert self.previous is not None
        own, other = self.now.artifact(name), self.previous.artifact(name)
        return self.measure and own is not None and other is not None and same_inputs(own, other)

    def _same_artifact(self, name: str) -> bool:
        """Whether both runs hold the same model as this variant: by content, else by key.

        A key is the digest of the model, of all steps with their code, and of the libraries.
        """
        assert self.previous is not None
        mine, theirs = self.now.variant(name), self.previous.variant(name)
        if mine is None or theirs is None:
            return False
        own, other = self.now.artifact(name), self.previous.artifact(name)
        if own is not None and other is not None:
            return own.digest == other.digest
        return mine.key == theirs.key

    def _other_machine(self) -> str:
        assert self.previous is not None
        return "; ".join(same_machine(self.now.run.machine, self.previous.run.machine))
