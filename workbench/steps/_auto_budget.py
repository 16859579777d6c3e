"""The budget of ``scheme: auto``: what quality may be lost, and whether a candidate keeps to it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.errors import StepError
from workbench.plugins import did_you_mean
from workbench.records import Quality

AT_LEAST = ("cosine_mean", "cosine_min", "nearest_neighbour", "label_agreement")
AT_MOST = ("max_abs", "mean_abs")
NAMES = ("quality", *AT_LEAST, *AT_MOST)
"""What a budget may speak of: gates know these measurements by the same names."""

_NUMBER = re.compile(r"^\s*(?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(?P<percent>%?)\s*$")


@dataclass(frozen=True)
class Bound:
    """One part of a budget.

    ``quality``: the least difference to the float model, below zero; relative to its score where
    ``relative``. The others: a least or a largest value of an agreement with the float model.
    """

    name: str
    value: float
    relative: bool = False

    def __str__(self) -> str:
        shown = f"{100 * self.value:g}%" if self.relative else f"{self.value:g}"
        return f"{self.name} {'≤' if self.name in AT_MOST else '≥'} {shown}"


@dataclass(frozen=True)
class Kept:
    """A candidate against one bound; ``margin`` is below zero where it is broken.

    ``margin`` is in multiples of the loss that is allowed, so that bounds of different kinds can
    be held against each other.
    """

    holds: bool
    margin: float
    told: str


def parse_within(within: Mapping[str, str | float]) -> tuple[Bound, ...]:
    """The bounds of ``within: {quality: -0.5%, cosine_mean: 0.995}``.

    Raises:
        ValueError: an unknown name, no number, or a loss that is none.
    """
    if not within:
        raise ValueError("within names no bound; write one such as {quality: -0.5%}")
    return tuple(_bound(name, value) for name, value in within.items())


def _bound(name: str, written: str | float) -> Bound:
    if name not in NAMES:
        raise ValueError(f"within: '{name}' is no measurement. {did_you_mean(name, NAMES)}")
    match = _NUMBER.match(str(written))
    if match is None:
        raise ValueError(f"within.{name}: '{written}' is no number; write one such as -0.5%")
    percent = bool(match["percent"])
    value = float(match["number"]) / (100 if percent else 1)
    if name == "quality" and value >= 0:
        raise ValueError(f"within.quality: '{written}' is no loss; write it as -0.5% or -0.005")
    if name in AT_LEAST and not -1 <= value <= 1:
        raise ValueError(f"within.{name}: {written} is never reached; the most is 1")
    if name in AT_MOST and value <= 0:
        raise ValueError(f"within.{name}: {written} is never kept; write a number above 0")
    return Bound(name, value, relative=percent and name == "quality")


def check_figures(bounds: Sequence[Bound], figures: Sequence[str] | None) -> None:
    """Refuse a budget that speaks of what the task does not give, before long work.

    Raises:
        StepError: names the figure and what there is.
    """
    if figures is None:
        return
    for bound in bounds:
        if bound.name not in figures:
            raise StepError(
                f"within.{bound.name}: the task does not give this figure.",
                hint=f"It gives: {', '.join(figures)}.",
            )


def check(bound: Bound, quality: Quality, reference: Quality) -> Kept:
    """Whether a candidate keeps a bound against the float model's quality.

    The whole interval of the paired difference must keep it: its lower end counts. Agreements are
    figures without an interval.

    Raises:
        StepError: the task does not give this figure.
    """
    if bound.name == "quality":
        if reference.score is None or quality.difference is None:
            raise StepError(
                "within.quality: the task has no labels, so it gives no quality.",
                hint=f"Bound an agreement: {', '.join(quality.agreement)}.",
            )
        allowed = bound.value * (abs(reference.score.value) if bound.relative else 1.0)
        found = quality.difference
        told = f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}] against {allowed:+.4f}"
        # A score of 0 allows a relative loss of 0.
        margin = (found.low - allowed) / abs(allowed) if allowed else found.low
        return Kept(found.low >= allowed, margin, f"{quality.metric} {told}")
    observed = quality.agreement.get(bound.name)
    if observed is None:
        given = ", ".join(quality.agreement) or "none"
        raise StepError(
            f"within.{bound.name}: the task does not give this figure.", hint=f"It gives: {given}."
        )
    told = f"{bound.name} {observed:.5g} against {bound.value:g}"
    if bound.name in AT_MOST:
        return Kept(observed <= bound.value, (bound.value - observed) / bound.value, told)
    slack = max(1 - bound.value, 1e-9)
    return Kept(observed >= bound.value, (observed - bound.value) / slack, told)


def least_margin(kept: Sequence[Kept]) -> float:
    """How far the budget as a whole is kept, or broken."""
    return min((item.margin for item in kept), default=math.inf)
