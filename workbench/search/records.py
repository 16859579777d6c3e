"""What a search leaves behind: its trials, and the points of its frontier."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from workbench.objectives import Objective, parse_objective
from workbench.records import Interval, Machine, Record


class Ended(StrEnum):
    """How a trial ended."""

    MEASURED = "measured"
    BROKEN = "broken"
    """It breaks a constraint; what costs more was not measured."""
    BEATEN = "beaten"
    """Another is better in all objectives; what only constraints ask for was not measured."""
    SAME = "same"
    """Its artifact is that of another trial, or the baseline's."""
    REFUSED = "refused"
    """Its steps do not fit together, or one of them could not do its work."""


class Question(Record):
    """A chain to try. ``rivals`` are the terms of what was measured, less is better in each.

    ``made`` says which trial made an artifact, by its digest.
    """

    number: int
    steps: tuple[Any, ...]
    knobs: dict[str, str | int | float]
    rivals: tuple[tuple[float, ...], ...] = ()
    made: dict[str, int] = Field(default_factory=dict)


class Trial(Record):
    """One chain that was tried.

    ``figures`` are those of the objectives, as far as they were measured: latency and cost as a
    share of the baseline's in the same rounds. ``violation`` is by how much of its bound a
    constraint is broken, ``undecided`` are the constraints whose bound lies within the interval.
    """

    number: int
    steps: tuple[Any, ...]
    knobs: dict[str, str | int | float]
    ended: Ended
    reason: str = ""
    figures: dict[str, Interval] = Field(default_factory=dict)
    violation: float = 0.0
    undecided: tuple[str, ...] = ()
    passed: int = 0
    """Constraints that were kept before one was broken."""
    digest: str | None = None
    same_as: int | None = None
    machine: Machine | None = None
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """Of the variant that it becomes."""
        return f"trial-{self.number}"

    def terms(self, objectives: Sequence[Objective]) -> tuple[float, ...]:
        """The figures as terms of which less is better; all must be known."""
        return terms(self.figures, objectives)


def knobs_text(knobs: dict[str, str | int | float]) -> str:
    """``bits=8, block=32``; of a choice among steps only what was chosen."""
    parts = (str(v) if k.startswith("step ") else f"{k}={_short(v)}" for k, v in knobs.items())
    return ", ".join(parts)


def _short(value: str | int | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def terms(figures: dict[str, Interval], objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Figures as terms of which less is better; all must be known."""
    return tuple(one.term(figures[one.text].value) for one in objectives)


class Point(Record):
    """A variant of the run that ends a search, with its figures from that run.

    It is on the frontier unless another point, or a baseline that keeps the constraints, beats it
    (``beaten_by``), or it breaks a constraint there (``broken``).
    """

    variant: str
    trial: int | None = None
    knobs: dict[str, str | int | float] = Field(default_factory=dict)
    figures: dict[str, Interval]
    usd: float | None = None
    """US dollars a month on the cheapest hosting option, where the cost is an objective."""
    beaten_by: str = ""
    broken: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()

    @property
    def on_frontier(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.beaten_by and not self.broken


class SearchResult(Record):
    """``search.json``: all that was tried, and the frontier.

    ``baseline`` and ``points`` are none and empty where no trial keeps the constraints;
    ``closest`` is then the number of the one that comes nearest.
    """

    schema_version: Literal[1] = 1
    name: str
    created: str
    objectives: tuple[str, ...]
    constraints: tuple[str, ...]
    trials: tuple[Trial, ...]
    exhausted: bool
    """Whether every chain was tried."""
    resumed: int = 0
    """Trials that were there from an earlier sitting."""
    baseline: Point | None = None
    points: tuple[Point, ...] = ()
    closest: int | None = None
    seconds: float

    @property
    def frontier(self) -> tuple[Point, ...]:
        """The points on it, by the first objective."""
        return tuple(point for point in self.points if point.on_frontier)

    @property
    def parsed_objectives(self) -> tuple[Objective, ...]:
        """The objectives, parsed."""
        return tuple(map(parse_objective, self.objectives))

    def trial(self, number: int) -> Trial:
        """A trial by its number."""
        return next(trial for trial in self.trials if trial.number == number)
