"""What a check says: ``CheckResult``, of which every output is a view."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from pydantic import Field

from workbench.records import Interval, Machine, Outcome, Record, Setting, Verdict

Against = Literal["absolute", "baseline", "previous"]


class CellVerdict(Record):
    """A gate in one cell of the latency grid; fields as in :class:`CheckVerdict`."""

    setting: Setting
    outcome: Outcome
    reason: str
    observed: Interval | None = None
    bound: float | None = None
    unit: str = ""
    how: str
    samples_needed: int | None = None
    samples: str = ""


class CheckVerdict(Verdict):
    """A gate, judged for one variant in a check.

    ``observed`` and ``bound`` are in ``unit``: ``×`` is a ratio to what ``against`` names, ``Δ`` a
    difference to it, ``""`` the figure itself without a unit. Of a gate on several cells they are
    those of the worst. An interval's ends are one-sided bounds of different confidence (see
    :mod:`workbench.check.levels`); its ``confidence`` is that of both together.
    """

    name: str = Field(description="The gate's own name, or its text.")
    against: Against
    unit: str = ""
    how: str = Field(description="How it was judged: counted, stored, side by side …")
    samples_needed: int | None = Field(
        None, description="How many more ``samples`` would decide it; an estimate."
    )
    samples: str = Field("", description="What is counted: processes, samples of the task.")
    note: str | None = Field(None, description="The reason that the gates file gives for the gate.")
    file: str | None = Field(None, description="Where the gate is written.")
    line: int | None = Field(None, description="1-based.")
    cells: tuple[CellVerdict, ...] = ()


class Identity(Record):
    """Which run it was."""

    path: str = Field(description="As it was given.")
    name: str
    created: str
    measured: str
    model: str
    sha256: str = Field(description="Of its run.json.")


class CheckResult(Record):
    """The result of ``workbench check``; ``--json`` prints it."""

    schema_version: Literal[1] = 1
    run: Identity
    previous: Identity | None = None
    created: str = Field(description="ISO 8601, UTC.")
    smoke: bool = False
    strict: bool = Field(False, description="Whether what is not decided counts as failed.")
    verdicts: tuple[CheckVerdict, ...] = ()
    notes: tuple[str, ...] = Field((), description="What was assumed or left out.")
    machine: Machine = Field(description="Where the check itself ran.")
    false_failure: float = Field(description="Bound on the probability of any false failure.")
    seconds_measured: float = 0.0
    processes: int = Field(0, description="Fresh processes that measured.")

    @property
    def counts(self) -> dict[Outcome, int]:
        """How many verdicts came out how; every outcome is there."""
        found = Counter(verdict.outcome for verdict in self.verdicts)
        return {outcome: found[outcome] for outcome in Outcome}

    def failed(self, verdict: Verdict) -> bool:
        """Whether a verdict makes the check fail."""
        undecided = (Outcome.UNDECIDED, Outcome.NOT_JUDGED)
        return verdict.outcome is Outcome.FAIL or (self.strict and verdict.outcome in undecided)

    @property
    def passed(self) -> bool:
        """Whether the exit code is 0."""
        return not any(self.failed(verdict) for verdict in self.verdicts)

    @property
    def headline(self) -> str:
        """One line: the answer and the counts."""
        counts = ", ".join(f"{n} {outcome}" for outcome, n in self.counts.items() if n)
        if not self.verdicts:
            return "nothing was judged: there is no gate"
        return f"{'passed' if self.passed else 'FAILED'}: {counts}"
