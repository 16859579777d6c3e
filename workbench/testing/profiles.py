"""``measure`` and ``assert_within``: a model's figures, alone or side by side with another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from workbench.artifact import Artifact
from workbench.check.measuring import same_inputs
from workbench.errors import GateError, InputError, WorkbenchError
from workbench.gates import (
    CELLS,
    NAMES,
    ParsedGate,
    figure,
    judge_figure,
    parse_gate,
)
from workbench.plugins import did_you_mean
from workbench.profile_options import ProfileOptions
from workbench.records import Interval, Outcome, Setting
from workbench.testing.deciding import (
    BoundError,
    Budget,
    Decision,
    UndecidedError,
    decide_cells,
    milliseconds,
)
from workbench.testing.figures import Figure
from workbench.testing.session import current
from workbench.testing.side_by_side import SideBySide, alone
from workbench.testing.subjects import Subject, find_subject

FIRST_PROCESSES = 2
"""As many as an interval asks for, where a figure is only looked at."""


@dataclass(frozen=True, eq=False, repr=False)
class Profile:
    """A model's figures, measured when one is first looked at, side by side with a baseline's."""

    side: SideBySide
    reference: bool = False
    selector: dict[str, int | str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The variant's name, or the file's."""
        return self.side.subject(self.reference).name

    @property
    def artifact(self) -> Artifact:
        """The model."""
        return self.side.subject(self.reference).artifact

    @property
    def baseline(self) -> Profile:
        """What it is held against, measured in the same rounds.

        Raises:
            InputError: it is measured alone.
        """
        self.side.subject(reference=True)
        return replace(self, reference=True)

    def at(self, **selector: int | str) -> Profile:
        """The same in some of the cells that it is measured in: ``batch=8``, ``threads=1`` …

        Raises:
            InputError: no cell is selected.
        """
        chosen = replace(self, selector={**self.selector, **selector})
        if not chosen.settings:
            cells = "; ".join(map(str, self.side.settings))
            raise InputError(f"{selector} selects none of the cells: {cells}.")
        return chosen

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The cells that its latencies are of: a bound on them must hold in each."""
        return _selected(self.side.settings, self.selector)

    def figure(self, name: str) -> Figure:
        """A figure by the name that gates give it, such as ``latency.p50`` or ``size``.

        Raises:
            InputError: gates know no such figure.
        """
        if name not in NAMES:
            raise InputError(f"'{name}' is no measurement.", hint=did_you_mean(name, NAMES))
        return Figure(self, name)

    @property
    def p50(self) -> Figure:
        """Median latency, ms."""
        return Figure(self, "latency.p50")

    @property
    def p95(self) -> Figure:
        """95th percentile of latency, ms."""
        return Figure(self, "latency.p95")

    @property
    def p99(self) -> Figure:
        """99th percentile of latency, ms."""
        return Figure(self, "latency.p99")

    @property
    def speedup(self) -> Figure:
        """The baseline's p50 over this one's."""
        return Figure(self, "speedup")

    @property
    def size(self) -> Figure:
        """All files of the model, bytes."""
        return Figure(self, "size")

    @property
    def memory(self) -> Figure:
        """Growth of the resident peak by loading and running it once, bytes."""
        return Figure(self, "memory")

    @property
    def load(self) -> Figure:
        """Time to load it, files cached, ms."""
        return Figure(self, "load")

    @property
    def quality(self) -> Figure:
        """The task's metric, as the run measured it."""
        return Figure(self, "quality")

    # --- judging ---------------------------------------------------------------------------------

    def holds(self, gate: ParsedGate) -> bool:
        """Judge a gate, tell the session, and be true if it holds.

        Raises:
            BoundError: it is broken.
            UndecidedError: it is not decided (skips or fails expectedly where the session says so).
            WorkbenchError: it cannot be judged or measured.
        """
        __tracebackhide__ = True
        try:
            decision = self.decide(gate)
        except WorkbenchError as error:
            raise error.with_traceback(None) from None
        settle([decision])
        return True

    def decide(self, gate: ParsedGate) -> Decision:
        """Judge a gate, measuring as long as the session's budget lasts."""
        side, session = self.side, current()
        relative = gate.bound.reference is not None or gate.name == "speedup"
        if gate.bound.reference == "previous":
            raise GateError(
                f"'{gate.text}' speaks of an earlier run.",
                hint="In a test give that run's model as against= and write 'baseline'.",
            )
        if relative:
            if self.reference:
                raise InputError(f"'{gate.text}' is for what is measured against the baseline.")
            names: tuple[str, ...] = (self.name, side.subject(reference=True).name)
        else:
            names = (self.name,)
        if gate.name not in CELLS:
            if relative:
                side.refuse_other_task(gate.name)
            measured = side.measurement(gate.name, reference=self.reference)
            other = side.measurement(gate.name, reference=relative) if relative else measured
            judged = judge_figure(gate, measured, other, paired=side.paired)
            return Decision(gate.text, names, judged)
        settings = _selected(side.settings, {**self.selector, **gate.selector})
        if not settings:
            raise GateError(f"'{gate.text}': no cell that is measured is selected.")
        budget = Budget(session.budget_s, alone)
        judged, processes, needed = decide_cells(
            gate,
            side.pair("p50" if gate.name == "speedup" else gate.name.rpartition(".")[2]),
            settings,
            measured=side.settings,
            budget=budget,
            comparisons=session.comparisons,
            reference=self.reference,
        )
        return Decision(
            gate.text, names, judged, processes, budget.spent_s, needed, budget.processes
        )

    def interval(self, name: str) -> Interval:
        """A figure with its 95 % interval; of a latency, in the one cell that is selected.

        Raises:
            InputError: there is no such figure, or it is one for each of several cells.
        """
        if name not in CELLS:
            found = figure(name, self.side.measurement(name, reference=self.reference))
            if found is None:
                raise InputError(f"{name} of '{self.name}' was not measured.")
            return found
        if name == "speedup":
            raise InputError("A speed-up is compared with a bound, such as speedup >= 1.5.")
        if len(self.settings) != 1:
            raise InputError(f"{name} has a value in each of {len(self.settings)} cells: use at().")
        percentile = name.rpartition(".")[2]
        pair, budget = self.side.pair(percentile), Budget(current().budget_s, alone)
        while len(pair.rounds) < FIRST_PROCESSES and budget.measure(
            pair, self.side.settings, percentile
        ):
            pass
        interval = milliseconds(pair, self.settings[0], percentile, reference=self.reference)
        if interval is None:
            raise InputError(f"{name} of '{self.name}' cannot be measured at {self.settings[0]}.")
        return interval

    def __repr__(self) -> str:
        against = self.side.then.name if self.side.then and not self.reference else None
        cells = "; ".join(map(str, self.settings))
        return f"<{self.name}{f' against {against}' if against else ''} at {cells}>"


Model = Artifact | Profile | Path | str
"""An artifact, a profile of it, or what a person writes: ``runs/x:int8``, a folder, a file."""

Sizes = int | Sequence[int]


def measure(
    model: Model,
    *,
    against: Model | None = None,
    batch: Sizes = 1,
    sequence: Sizes = 128,
    threads: Sizes = 1,
    device: Literal["cpu", "cuda"] = "cpu",
    axes: dict[str, int] | None = None,
) -> Profile:
    """What to measure of a model, side by side with another; measuring waits for a comparison.

    Latencies are on random inputs, in fresh processes that run both models in turn.

    Args:
        model: what is measured.
        against: what it is held against; none: the baseline of its run, if it is of one.
        batch: samples; ignored where the model fixes it.
        sequence: tokens; ignored where the model has no sequence axis.
        threads: of each model.
        device: where to run.
        axes: sizes of other dynamic axes; none: those of the run's recipe.

    Raises:
        InputError: there is no such model, or the two do not take the same inputs.
        CorruptError: a stored file is not what was written.
    """
    now = _subject(model)
    then = _subject(against) if against is not None else now.baseline()
    if then is not None and not same_inputs(now.artifact, then.artifact):
        raise InputError(f"'{now.name}' takes other inputs than '{then.name}'.")
    for subject in (now, then):
        if subject is not None:
            _ = subject.artifact.model_path  # refuses what is no ONNX model
    if axes is None and now.run is not None:
        axes = now.run.recipe.get("profile", {}).get("axes")
    try:
        options = ProfileOptions(
            batch=_sizes(batch),
            sequence=_sizes(sequence),
            threads=_sizes(threads),
            devices=(device,),
            axes=axes or {},
        )
    except ValueError as error:
        raise InputError(f"These cells cannot be measured: {_first(error)}.") from None
    settings = options.grid(now.artifact.manifest.signature)
    key = (now.identity, then.identity if then else None, settings, tuple(options.axes.items()))
    side = SideBySide(now, then, options, settings)
    return Profile(current().measured.setdefault(key, side))


def assert_within(measured: Model, *gates: str) -> None:
    """Assert that gates hold, in the grammar of recipes: ``latency.p50 <= 1.1 * baseline``.

    All are judged before any is complained of.

    Args:
        measured: what ``measure`` returned; or a model, which is then measured in one cell (batch
            1, sequence 128, one thread) against the baseline of its run.
        gates: the gates.

    Raises:
        BoundError: one is broken.
        UndecidedError: none is broken, and one could not be decided.
        GateError: one cannot be read.
        InputError: what one speaks of is not there.
    """
    __tracebackhide__ = True
    if not gates:
        raise InputError("assert_within needs a gate, such as 'latency.p50 <= 1.1 * baseline'.")
    try:
        parsed = [parse_gate(gate) for gate in gates]
        profile = measured if isinstance(measured, Profile) else measure(measured)
        decisions = [profile.decide(gate) for gate in parsed]
    except WorkbenchError as error:
        raise error.with_traceback(None) from None
    settle(decisions)


def settle(decisions: Sequence[Decision]) -> None:
    """Tell the session of each decision, and raise what they ask for."""
    __tracebackhide__ = True
    session = current()
    for decision in decisions:
        session.record(decision.entry())
    told = [decision for decision in decisions if decision.judged.outcome is not Outcome.PASS]
    message = "\n".join(decision.explain(session.budget_s) for decision in told)
    if any(decision.judged.outcome is Outcome.FAIL for decision in told):
        raise BoundError(message)
    if not told:
        return
    if session.undecided == "fail":
        raise UndecidedError(message)
    import pytest

    (pytest.skip if session.undecided == "skip" else pytest.xfail)(message)


def _subject(given: Model) -> Subject:
    return (
        given.side.subject(given.reference) if isinstance(given, Profile) else find_subject(given)
    )


def _sizes(given: Sizes) -> tuple[int, ...]:
    return (given,) if isinstance(given, int) else tuple(given)


def _selected(settings: Sequence[Setting], selector: dict[str, int | str]) -> tuple[Setting, ...]:
    return tuple(s for s in settings if all(getattr(s, k) == v for k, v in selector.items()))


def _first(error: ValueError) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        fault = error.errors()[0]
        return (
            f"{'.'.join(map(str, fault['loc'][:1]))}: {fault['msg'].removeprefix('Value error, ')}"
        )
    return str(error)
