"""Objectives of a search: figures of a candidate that are made small or large.

Each is named as gates name it. The latency is a ratio to the baseline's in the same rounds, as a
busy machine slows both; so are the costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from workbench.errors import GateError
from workbench.gates import (
    AGREEMENT,
    CELLS,
    FOOTPRINT,
    ParsedGate,
    figure,
    impossible,
    parse_gate,
    selected_cells,
)
from workbench.intervals import exact
from workbench.plugins import did_you_mean
from workbench.records import Interval, Measurement, Setting

COST, LATENCY = "cost", "latency.p50"
LARGER_IS_BETTER = ("quality", "cosine_mean", "cosine_min", "nearest_neighbour", "label_agreement")
SMALLER_IS_BETTER = (
    *("size", "model_size", "parameters", "macs", "memory", "max_abs", "mean_abs", LATENCY, COST),
)
NAMES = (*SMALLER_IS_BETTER, *LARGER_IS_BETTER)


class Stage(IntEnum):
    """What must be done to know a figure; what costs less comes first."""

    COUNT = 0
    FOOTPRINT = 1
    QUALITY = 2
    LATENCY = 3
    COST = 4


def stage_of(name: str) -> Stage:
    """The stage at which a gate's or an objective's measurement is known."""
    if name == COST:
        return Stage.COST
    if name in CELLS:
        return Stage.LATENCY
    if name in ("quality", *AGREEMENT):
        return Stage.QUALITY
    return Stage.COUNT if name in COUNTED else Stage.FOOTPRINT


COUNTED = ("size", "model_size", "parameters", "sparsity")
"""What is read off the files, without running them."""


@dataclass(frozen=True)
class Objective:
    """One figure; ``gate`` has its selector, and is none for the cost."""

    text: str
    name: str
    gate: ParsedGate | None

    @property
    def maximise(self) -> bool:
        """Whether larger is better."""
        return self.name in LARGER_IS_BETTER

    @property
    def stage(self) -> Stage:
        """When it is known."""
        return stage_of(self.name)

    def term(self, value: float) -> float:
        """The value as a term of which less is better."""
        return -value if self.maximise else value

    def observe(self, measured: Measurement, *, baseline: bool = False) -> Interval | None:
        """The figure of a candidate; none where it was not measured (the cost never is, here).

        Quality is the paired difference to the baseline where there is one, as its interval is
        far narrower than a score's; of the ``baseline`` itself it is 0. Latency is the geometric
        mean, over the cells, of this p50 over the baseline's, with that of the cells' ends.
        """
        if self.gate is None:
            return exact(1.0, "by definition") if baseline else None
        if self.name == LATENCY:
            cells = selected_cells(self.gate, measured)
            if baseline or not cells:
                return exact(1.0, "by definition") if baseline else None
            ratios = [cell.speedup for cell in cells if cell.speedup is not None]
            return _slowdown(ratios) if len(ratios) == len(cells) else None
        if self.name == "quality":
            if baseline:
                return exact(0.0, "by definition")
            if measured.quality and measured.quality.difference:
                return measured.quality.difference
        if baseline and self.name in AGREEMENT:
            return exact(1.0 if self.maximise else 0.0, "by definition")
        return figure(self.name, measured)


def _slowdown(speedups: Sequence[Interval]) -> Interval:
    """One over the geometric mean of speed-ups; the ends are those of the cells' ends."""

    def mean(values: list[float]) -> float:
        return math.exp(-sum(map(math.log, values)) / len(values))

    return Interval(
        value=mean([s.value for s in speedups]),
        low=mean([s.high for s in speedups]),
        high=mean([s.low for s in speedups]),
        n=min(s.n for s in speedups),
        method=f"{speedups[0].method}, geometric mean of {len(speedups)} cells",
        confidence=min(s.confidence for s in speedups),
    )


def parse_objective(text: str) -> Objective:
    """An objective such as ``size`` or ``latency.p50[batch=1]``.

    Raises:
        GateError: no such figure, or one that a search cannot weigh.
    """
    stripped = text.strip()
    if stripped == COST:
        return Objective(stripped, COST, None)
    name = stripped.partition("[")[0].strip()
    if name in ("latency", "speedup", *CELLS) and name != LATENCY:
        raise GateError(
            f"'{text}' is no objective of a search.", hint=f"Write {LATENCY}, with a selector."
        )
    if name not in NAMES:
        raise GateError(f"'{text}' is no objective.", hint=did_you_mean(name, NAMES))
    gate = parse_gate(f"{stripped} <= 0")
    return Objective(stripped, name, gate)


def parse_constraint(text: str) -> ParsedGate:
    """A gate that bounds a search.

    Raises:
        GateError: it is no gate, or it speaks of an earlier run.
    """
    parsed = parse_gate(text)
    if parsed.bound.reference == "previous":
        raise GateError(f"'{text}': a search knows no earlier run.", hint="Write 'baseline'.")
    if parsed.name in ("latency.p95", "latency.p99"):
        raise GateError(
            f"'{text}': what a search measures of a chain is too short to tell {parsed.name}.",
            hint=f"Bound {LATENCY} or speedup here, and the rest in `gates:` of a recipe.",
        )
    return parsed


def objective_impossible(
    objective: Objective, grid: Sequence[Setting], figures: Sequence[str]
) -> str | None:
    """Why an objective can never be measured, or none; see :func:`workbench.gates.impossible`."""
    if objective.gate is None or (reason := impossible(objective.gate, grid, figures)) is None:
        return None
    return reason.replace(objective.gate.text, objective.text)


__all__ = [
    "FOOTPRINT",
    "Objective",
    "Stage",
    "objective_impossible",
    "parse_constraint",
    "parse_objective",
    "stage_of",
]
