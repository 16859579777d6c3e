"""Decides a gate on a latency by measuring process after process, as ``workbench check`` does.

The statistics are those of :mod:`workbench.check.levels`: one figure from each fresh process,
Student's t over them, and looks after 6, 8, 12 … processes that share the error probability. Each
look is at the first so many processes only, so that what a test says hangs neither on its
neighbours, which may have measured the same pair before, nor on how often it is asked. (A bound
in milliseconds above the baseline's is turned into a ratio by all that was measured of it.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import exp, log
from typing import Any

from workbench.check.findings import Test, judge_ratio
from workbench.check.gates_file import PlacedGate
from workbench.check.levels import (
    LOOKS,
    RESOLUTION_MS,
    Level,
    level,
    processes_to_decide,
    spent,
    t_interval,
)
from workbench.check.measuring import QUANTILES, Pair
from workbench.gates import Bound, Judged, ParsedGate, judge_cell, worst_of
from workbench.records import Interval, Outcome, Setting


class BoundError(AssertionError):
    """A bound is broken: the whole interval lies beyond it."""


class UndecidedError(AssertionError):
    """A bound could not be decided: the interval spans it, or there is no figure."""


@dataclass(frozen=True)
class Decision:
    """A gate, judged in a test.

    Attributes:
        gate: its text.
        names: of what was measured and, where there is one, of what it was measured against.
        judged: the outcome with its reason.
        processes: fresh processes that it was judged on; 0 where nothing had to be measured.
        started: how many of them were started for this gate; the others had measured before.
        seconds: spent on measuring for this gate now.
        needed: how many more processes would decide it, if all stays as it is.
    """

    gate: str
    names: tuple[str, ...]
    judged: Judged
    processes: int = 0
    seconds: float = 0.0
    needed: int | None = None
    started: int = 0

    def explain(self, budget_s: float) -> str:
        """What a person is told: the gate, the figures, and what may be done."""
        verb = {Outcome.PASS: "holds", Outcome.FAIL: "is broken"}.get(
            self.judged.outcome, "is undecided"
        )
        against = " against ".join(self.names)
        lines = [f"{self.gate} {verb} ({against})", f"  {self.judged.reason}"]
        observed = self.judged.observed
        if self.processes and observed is not None:
            lines.append(
                f"  {observed.method}, {observed.confidence:.1%}; {self.seconds:.1f} s were spent"
            )
        if self.judged.outcome is Outcome.UNDECIDED and self.processes:
            if observed is None:
                lines.append("  a larger budget lets it look: --workbench-budget SECONDS")
            elif self.needed:
                lines.append(
                    f"  about {self.needed} more processes would decide it, if all stays as it is; "
                    f"the budget was {budget_s:g} s: --workbench-budget SECONDS"
                )
            else:
                lines.append(f"  it lies too near the bound: {LOOKS[-1]} processes would not do")
        return "\n".join(lines)

    def entry(self) -> dict[str, Any]:
        """As plain JSON data."""
        observed = self.judged.observed
        return {
            "gate": self.gate,
            "models": list(self.names),
            "outcome": str(self.judged.outcome),
            "reason": self.judged.reason,
            "observed": observed.model_dump(mode="json") if observed else None,
            "bound": self.judged.bound,
            "processes": self.processes,
            "started": self.started,
            "seconds": round(self.seconds, 2),
        }


@dataclass
class Budget:
    """What may be spent on measuring, and the lock that is held while one measures."""

    seconds: float
    alone: Callable[[], AbstractContextManager[None]]
    spent_s: float = 0.0
    processes: int = 0

    def measure(self, pair: Pair, settings: Sequence[Setting], percentile: str) -> bool:
        """Let one more process measure; false where the budget is spent.

        Waiting for the others is not counted.
        """
        if self.spent_s >= self.seconds:
            return False
        with self.alone():
            began = time.monotonic()
            pair.measure(settings, [percentile])
            self.spent_s += time.monotonic() - began
            self.processes += 1
        return True


def decide_cells(
    gate: ParsedGate,
    pair: Pair,
    settings: Sequence[Setting],
    *,
    measured: Sequence[Setting],
    budget: Budget,
    comparisons: int = 1,
    reference: bool = False,
) -> tuple[Judged, int, int | None]:
    """Measure until a gate on latency is decided in every cell, or the budget is spent.

    Args:
        gate: the gate; its reference, if it has one, is what the pair was measured against.
        pair: both models, and what was measured of them before.
        settings: the cells in which it must hold.
        measured: the cells that a process measures: these, and those of other gates.
        budget: for measuring.
        comparisons: how many gates share the probability of a false failure.
        reference: whether an absolute bound is for the reference, not for what is measured.

    Returns:
        The verdict, the processes that it was given on, and how many more would decide it.

    Raises:
        WorkbenchError: a model does not run, or the measuring process died.
    """
    percentile = "p50" if gate.name == "speedup" else gate.name.rpartition(".")[2]
    whole = level(len(settings) * max(1, comparisons))
    found: dict[Setting, Judged] = {}
    before, looked = 0, 0
    for look in LOOKS:
        while len(pair.rounds) < look and budget.measure(pair, measured, percentile):
            pass
        if len(pair.rounds) < look:
            break
        spend = whole.part(spent(look) - spent(before))
        for setting in settings:
            if setting not in found or found[setting].outcome is Outcome.UNDECIDED:
                figures = _logs(gate, pair, setting, percentile, reference)[:look]
                found[setting] = _judge(gate, pair, setting, figures, spend, reference)
        before = looked = look
        outcomes = {judged.outcome for judged in found.values()}
        if Outcome.FAIL in outcomes or Outcome.UNDECIDED not in outcomes:
            break
    if not looked:
        reason = (
            f"the budget of {budget.seconds:g} s ended after {len(pair.rounds)} processes, and the "
            f"first look is at {LOOKS[0]}"
        )
        return Judged(Outcome.UNDECIDED, reason), len(pair.rounds), LOOKS[0] - len(pair.rounds)
    judged = list(found.values())
    verdict = judged[0] if len(judged) == 1 else worst_of(judged)
    needed = None
    if verdict.outcome is Outcome.UNDECIDED:
        each = [
            processes_to_decide(
                _logs(gate, pair, setting, percentile, reference)[:looked],
                found[setting].bound or 0.0,
                gate.at_least,
                whole,
            )
            for setting in settings
            if found[setting].outcome is Outcome.UNDECIDED
        ]
        needed = max((n for n in each if n), default=None) if None not in each else None
    return verdict, looked, needed


def _logs(
    gate: ParsedGate, pair: Pair, setting: Setting, percentile: str, reference: bool
) -> list[float]:
    """One logarithm from each process: of the ratio, or of the milliseconds."""
    if gate.name == "speedup":
        return [-value for value in pair.logs(setting, percentile)]
    if gate.bound.reference:
        return pair.logs(setting, percentile)
    import numpy as np

    column = 1 if reference else 0
    return [
        log(float(np.quantile(found[setting][column].samples_ms, QUANTILES[percentile])))
        for found in pair.rounds
        if setting in found
    ]


def _judge(
    gate: ParsedGate,
    pair: Pair,
    setting: Setting,
    logs: Sequence[float],
    spend: Level,
    reference: bool,
) -> Judged:
    if len(logs) < LOOKS[0]:
        return Judged(Outcome.NOT_JUDGED, f"this machine cannot measure {setting}")
    relative = gate.name == "speedup" or gate.bound.reference is not None
    percentile = "p50" if gate.name == "speedup" else gate.name.rpartition(".")[2]
    interval = t_interval(
        logs,
        gate.at_least,
        spend,
        resolution=pair.resolution(setting),
        what=f" that ran {pair.variant} and {pair.against} in turn" if relative else "",
    )
    if relative:
        test = Test(PlacedGate(gate, (pair.variant,), gate.text), pair.variant, setting)
        return judge_ratio(test, interval, pair.then_ms(setting, percentile))
    cell = pair.rounds[-1][setting][1 if reference else 0]
    return judge_cell(gate, cell.model_copy(update={f"{percentile}_ms": interval}), None)


def milliseconds(
    pair: Pair, setting: Setting, percentile: str, *, reference: bool
) -> Interval | None:
    """A percentile with its 95 % interval, of what was measured so far.

    None where fewer than two processes measured.
    """
    gate = ParsedGate("", f"latency.{percentile}", {}, "<=", Bound(0.0, 0.0))
    logs = _logs(gate, pair, setting, percentile, reference)
    if len(logs) < 2:
        return None
    return t_interval(logs, False, Level(0.025, 0.025), resolution=RESOLUTION_MS / exp(min(logs)))
