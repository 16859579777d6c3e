"""One trial: a chain is made and measured beside the baseline, what costs little first.

A constraint that is broken ends the trial, and so does another trial that is better in all
objectives, once they are known: what only constraints ask for comes after them. Where steps only
change values of weights (fine-tuning), what constraints ask of size and speed is first measured
without them, so that nothing is trained that would be too slow.

Latency is a short measurement in which the two models take turns; it is the run at the end of a
search that measures for good. One trial at a time measures latency on a machine, under a lock;
other trials may be making their artifacts meanwhile, which slows both models of the pair.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter

from workbench.artifact import Artifact
from workbench.errors import (
    BudgetError,
    CorruptError,
    InputError,
    MissingError,
    RecipeError,
    StepError,
    WorkbenchError,
)
from workbench.gates import ParsedGate, judge
from workbench.intervals import exact
from workbench.machine import machine
from workbench.objectives import Objective, Stage, parse_constraint, parse_objective, stage_of
from workbench.profiler import count_footprint
from workbench.progress import Progress
from workbench.recipe import NamedUse, RecipeSource, Use
from workbench.records import Interval, Measurement, Outcome, Verdict
from workbench.report.html.frontier import beats
from workbench.resolve import Resolved, resolve, with_variants
from workbench.runner import Runner
from workbench.search.records import Ended, Question, Trial, terms
from workbench.store import Store

CANDIDATE, UNTRAINED = "candidate", "untrained"
UNTRAINED_TELLS = (Stage.COUNT, Stage.FOOTPRINT, Stage.LATENCY)
"""Stages whose figures do not hang on the values of the weights."""

CLEAR = 0.5
"""A latency that breaks its bound by less than this share of it is measured at length before the
trial is given up: a short measurement in one process is off by as much on a busy machine."""

LEAST = 1e-9
"""Violation of a constraint that is broken by next to nothing; Optuna takes 0 for kept."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Spec:
    """What an evaluator is built from; it is sent to other processes."""

    source: RecipeSource
    root: Path
    strict: bool = False


class Evaluator:
    """Judges the chains of one recipe's search."""

    def __init__(self, spec: Spec, resolved: Resolved | None = None) -> None:
        self.resolved = resolved or resolve(spec.source)
        self.spec, self.strict = spec, spec.strict
        self.store = Store(spec.root)
        search = self.resolved.recipe.search
        assert search is not None
        self.objectives: list[Objective] = [parse_objective(text) for text in search.objectives]
        self.constraints: list[ParsedGate] = [parse_constraint(text) for text in search.constraints]
        self.baseline = self.resolved.recipe.baseline

    @cached_property
    def reference(self) -> Artifact:
        """The baseline's artifact.

        Raises:
            WorkbenchError: it cannot be made, or the task's data do not fit the model.
        """
        runner = Runner(self.resolved, self.store)
        root = runner.artifact_of_model
        if root.manifest.signature.inputs:
            self.resolved.task.check(root)
        return runner.artifact(self.baseline)

    @property
    def timed(self) -> bool:
        """Whether trials measure latency."""
        return Stage.LATENCY in self._stages

    @cached_property
    def started(self) -> dict[str, Interval]:
        """The baseline's figures by objective: its share of itself is 1."""
        measured = Measurement(footprint=count_footprint(self.reference))
        if any(one.stage is Stage.FOOTPRINT for one in self.objectives):
            runner = Runner(self.resolved, self.store)
            measured = Measurement(footprint=runner.footprint(self.reference))
        found = {one.text: one.observe(measured, baseline=True) for one in self.objectives}
        return {text: interval for text, interval in found.items() if interval is not None}

    def judge(self, question: Question, say: Say = lambda text: None) -> Trial:
        """Make and measure a chain.

        Raises:
            MissingError: this machine lacks something that a step needs.
            CorruptError: a stored file is not what was written.
        """
        began = time.monotonic()
        trial = Trial(
            number=question.number,
            steps=question.steps,
            knobs=question.knobs,
            ended=Ended.MEASURED,
            machine=machine(),
        )
        try:
            trial = self._judged(trial, question, say)
        except (MissingError, CorruptError):
            raise
        except WorkbenchError as error:
            told = error.plain if isinstance(error, RecipeError) else error.message
            trial = trial.model_copy(update={"ended": Ended.REFUSED, "reason": told})
        return trial.model_copy(update={"seconds": round(time.monotonic() - began, 2)})

    def _judged(self, trial: Trial, question: Question, say: Say) -> Trial:
        uses: list[Use] = TypeAdapter(list[NamedUse]).validate_python(list(question.steps))
        resolved = self._with(CANDIDATE, uses)
        untrained = self._untrained(resolved, uses)
        if untrained is not None:
            early = self._early(trial, untrained, say)
            if early.ended is Ended.BROKEN:
                return early
        runner = Runner(resolved, self.store, _Telling(say))
        made = runner.artifact(CANDIDATE)
        trial = trial.model_copy(update={"digest": made.digest})
        if made.digest == self.reference.digest:
            return trial.model_copy(update={"ended": Ended.SAME, "reason": "it is the baseline"})
        if (earlier := question.made.get(made.digest)) is not None:
            told = f"the artifact of trial {earlier}"
            update = {"ended": Ended.SAME, "same_as": earlier, "reason": told}
            return trial.model_copy(update=update)
        pair = _Pair(runner, self.reference, made)
        for stage in self._stages:
            trial = self._bound(trial, pair, stage, self.constraints, say)
            if trial.ended is Ended.BROKEN:
                return trial
            if stage == self._last_weighed:
                _require_known(trial, self.objectives)
            more = stage == self._last_weighed and stage != self._stages[-1]
            if more and self._beaten(trial, question.rivals):
                told = "another trial is better in all objectives"
                return trial.model_copy(update={"ended": Ended.BEATEN, "reason": told})
        return trial

    def _with(self, name: str, uses: Sequence[Use]) -> Resolved:
        first = self.resolved.recipe.variants[self.baseline]
        return with_variants(self.resolved, {self.baseline: first, name: uses})

    def _untrained(self, resolved: Resolved, uses: Sequence[Use]) -> Sequence[Use] | None:
        """The chain without the steps that only change values; none where it tells nothing.

        A step that measures while it chooses may choose otherwise for other weights.
        """
        steps = resolved.chains[CANDIDATE]
        trains = [step.keeps_shapes for step in steps]
        if not any(trains) or any(s.uses_bench for s in steps[trains.index(True) :]):
            return None
        if not any(stage_of(one.name) in UNTRAINED_TELLS for one in self.constraints):
            return None
        return [use for use, learns in zip(uses, trains, strict=True) if not learns]

    def _early(self, trial: Trial, uses: Sequence[Use], say: Say) -> Trial:
        """The trial, ended where the untrained chain breaks a constraint on size or speed."""
        try:
            runner = Runner(self._with(UNTRAINED, uses), self.store, _Telling(say))
            made = runner.artifact(UNTRAINED)
        except (InputError, StepError, BudgetError):
            return trial  # without training a step may fail that works with it
        pair = _Pair(runner, self.reference, made)
        bounds = [c for c in self.constraints if stage_of(c.name) in UNTRAINED_TELLS]
        for stage in sorted({stage_of(one.name) for one in bounds}):
            trial = self._bound(trial, pair, stage, bounds, say)
            if trial.ended is Ended.BROKEN:
                told = f"before it was trained: {trial.reason}"
                return trial.model_copy(update={"reason": told})
        return trial

    @cached_property
    def _stages(self) -> list[Stage]:
        """What is to be measured, in this order: for objectives, then for constraints only."""
        weighed = {one.stage for one in self.objectives} | {Stage.COUNT}
        if Stage.COST in weighed:
            weighed.add(Stage.LATENCY)
        bounded = {stage_of(one.name) for one in self.constraints} - weighed
        return [*sorted(weighed), *sorted(bounded)]

    @cached_property
    def _last_weighed(self) -> Stage:
        """After this stage all objectives are known."""
        return max(one.stage for one in self.objectives)

    def _beaten(self, trial: Trial, rivals: Sequence[Sequence[float]]) -> bool:
        mine = terms(trial.figures, self.objectives)
        return any(beats(rival, mine) for rival in rivals)

    def _bound(
        self, trial: Trial, pair: _Pair, stage: Stage, constraints: Sequence[ParsedGate], say: Say
    ) -> Trial:
        """The trial with what one stage measures, held against the constraints of that stage."""
        before = trial
        pair.measure(stage, say)
        figures = dict(trial.figures)
        for one in self.objectives:
            found = pair.cost if one.gate is None else one.observe(pair.measured)
            if found is not None:
                figures[one.text] = found
        trial = trial.model_copy(update={"figures": figures})
        for parsed in constraints:
            if stage_of(parsed.name) != stage:
                continue
            verdict = judge(parsed.text, CANDIDATE, pair.measured, pair.base)
            open_ = verdict.outcome is Outcome.UNDECIDED
            if verdict.outcome is Outcome.FAIL or (open_ and self.strict):
                by = _violation(parsed, verdict)
                if stage is Stage.LATENCY and by < CLEAR and not pair.long:
                    pair.measure_long(say)
                    return self._bound(before, pair, stage, constraints, say)
                told = f"{parsed.text}: {verdict.reason}"
                update = {"ended": Ended.BROKEN, "violation": by, "reason": told}
                return trial.model_copy(update=update)
            undecided = (*trial.undecided, parsed.text) if open_ else trial.undecided
            update = {"passed": trial.passed + 1, "undecided": undecided}
            trial = trial.model_copy(update=update)
        return trial


def _require_known(trial: Trial, objectives: Sequence[Objective]) -> None:
    """Refuse to weigh a figure that this machine did not give.

    Raises:
        StepError: names it.
    """
    for one in objectives:
        if one.text not in trial.figures:
            raise StepError(f"{one.text} cannot be measured here.")


def _violation(parsed: ParsedGate, verdict: Verdict) -> float:
    """By how much of the bound a constraint is broken; of a bound of 0 by how much."""
    value = verdict.observed.value if verdict.observed else 0.0
    bound = 0.0 if verdict.bound is None else verdict.bound
    share = parsed.margin(value, bound) or -abs(value - bound)
    return max(-share, LEAST)


class _Pair:
    """A candidate and the baseline, measured as far as was asked."""

    def __init__(self, runner: Runner, reference: Artifact, made: Artifact) -> None:
        self.runner, self.reference, self.made = runner, reference, made
        self.base = Measurement(footprint=count_footprint(reference))
        self.measured = Measurement(footprint=count_footprint(made))
        self.cost: Interval | None = None
        self.long = False

    def measure(self, stage: Stage, say: Say) -> None:
        """Do one stage; what can be counted was, and before the cost comes the latency."""
        bench, both = self.runner.bench, (self.reference, self.made)
        if stage is Stage.FOOTPRINT:
            say("size and memory")
            self._add("footprint", *map(self.runner.footprint, both))
        elif stage is Stage.QUALITY:
            say("quality")
            of_base = bench.quality(self.reference, self.reference)
            self._add("quality", of_base, bench.quality(self.made, self.reference))
        elif stage is Stage.LATENCY:
            if not self.long:
                say("latency")
                self._latency(quick=True)
        elif stage is Stage.COST:
            say("cost")
            cells = {"baseline": self.base.latency, CANDIDATE: self.measured.latency}
            named = {"baseline": self.reference, CANDIDATE: self.made}
            usd = bench.cost(named, cells)
            self.cost = cost_share(usd[CANDIDATE], usd["baseline"])

    def measure_long(self, say: Say) -> None:
        """The latency at the full length of the profile, for good."""
        say("latency, at length")
        self._latency(quick=False)
        self.long = True

    def _latency(self, *, quick: bool) -> None:
        paths = {"baseline": self.reference.model_path, CANDIDATE: self.made.model_path}
        with _alone(self.runner.store):
            cells = self.runner.bench.latency(paths, "baseline", quick=quick)
        self._add("latency", cells["baseline"], cells[CANDIDATE])

    def _add(self, field: str, base: object, measured: object) -> None:
        self.base = self.base.model_copy(update={field: base})
        self.measured = self.measured.model_copy(update={field: measured})


def cost_share(usd: float, baseline_usd: float) -> Interval:
    """A month's cost as a share of the baseline's.

    Raises:
        InputError: the baseline costs nothing.
    """
    if not baseline_usd:
        raise InputError("Hosting the baseline costs nothing under this traffic: none is saved.")
    return exact(usd / baseline_usd, "the cheapest hosting options")


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """No other trial measures latency on this machine meanwhile."""
    with store.lock(f"latency-{socket.gethostname()}"):
        yield


class _Telling(Progress):
    """Tells what a runner is at in a trial."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def start(self, label: str) -> None:
        """A piece begins."""
        self._say(label)

    def note(self, **facts: str | int) -> None:
        """What a step is at."""
        if "doing" in facts:
            self._say(str(facts["doing"]))


__all__ = ["Evaluator", "Spec", "cost_share"]
