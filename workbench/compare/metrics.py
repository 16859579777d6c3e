"""A figure of a variant by the name that gates give it, and whether two of them differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from workbench.compare.figures import footprint_reason, latency_change, quality_change, relate
from workbench.compare.intervals import told
from workbench.compare.records import Basis, Told
from workbench.compare.sources import Source
from workbench.errors import GateError, InputError
from workbench.gates import (
    AGREEMENT,
    CELLS,
    FOOTPRINT,
    NAMES,
    ParsedGate,
    figure,
    parse_gate,
    selected_cells,
)
from workbench.intervals import exact, ratio
from workbench.plugins import did_you_mean
from workbench.records import Interval, Latency, Measurement, Setting

COST = "cost"
COUNTED_FIGURES = tuple(name for name in FOOTPRINT if name != "memory")
MORE = ("quality", "speedup", "cosine_mean", "cosine_min", "nearest_neighbour", "label_agreement")
"""Figures of which more is better; of the others less is, or neither."""

NEITHER = ("parameters", "sparsity", "macs")


@dataclass(frozen=True)
class Metric:
    """A figure by name; ``gate`` has the selector of the cells it speaks of (none: it is cost)."""

    text: str
    name: str
    gate: ParsedGate | None

    @property
    def better(self) -> Literal["more", "less", "neither"]:
        """Which way is better."""
        return "more" if self.name in MORE else "neither" if self.name in NEITHER else "less"

    @property
    def unit(self) -> str:
        """Of the values: bytes, ms, USD a month, × of a ratio, or none."""
        if self.name in ("size", "model_size", "memory"):
            return "bytes"
        if self.name == "load" or self.name.startswith("latency."):
            return "ms"
        return {COST: "USD a month", "speedup": "×"}.get(self.name, "")


def parse_metric(text: str) -> Metric:
    """A metric as gates write it: ``size``, ``quality``, ``latency.p50[batch=1]``; or ``cost``.

    Raises:
        InputError: there is no such figure or selector.
    """
    text = text.strip()
    name = text.partition("[")[0].strip()
    if text == COST:
        return Metric(COST, COST, None)
    if name not in NAMES:
        raise InputError(f"'{name}' is no metric.", hint=did_you_mean(name, (*NAMES, COST)))
    gate = f"{text} <= 1"  # only its left side is of interest
    try:
        return Metric(text, name, parse_gate(gate))
    except GateError as error:
        raise InputError(error.message.replace(gate, text), hint=error.hint) from None


def cells_of(metric: Metric, measured: Measurement) -> Iterator[tuple[Setting | None, Interval]]:
    """The figure with its cell, for each cell that the metric speaks of; none of what is absent."""
    if metric.gate is not None and metric.name in CELLS:
        for cell in selected_cells(metric.gate, measured):
            value = _of_cell(metric.name, cell)
            if value is not None:
                yield cell.setting, value
    elif (value := figure(metric.name, measured)) is not None:
        yield None, value


def _of_cell(name: str, cell: Latency) -> Interval | None:
    if name == "speedup":
        return cell.speedup
    found: Interval | None = getattr(cell, f"{name.rpartition('.')[2]}_ms")
    return found


@dataclass(frozen=True)
class Step:
    """One point of a trend against the one before: what is told, and on what ground."""

    told: Told
    difference: Interval | None = None
    basis: str = ""


def step(
    metric: Metric,
    before: Source,
    after: Source,
    variant: str,
    setting: Setting | None,
    values: tuple[Interval, Interval],
) -> Step:
    """Whether a figure changed between two runs on one machine.

    A difference is told where its interval says so: of latency over a common baseline where there
    is one, of quality paired where it can be. What was counted changed where it is not equal. A
    peak of memory and a closeness have no interval: nothing is told of them.
    """
    one, other = values
    if metric.name in COUNTED_FIGURES:
        if one.value == other.value:
            return Step(Told.NOT_APART, exact(1.0), "counted")
        change = exact(other.value / one.value) if one.value else None
        if metric.better == "neither":
            return Step(Told.PERHAPS, change, "counted")
        return Step(Told.BETTER if other.value < one.value else Told.WORSE, change, "counted")
    if metric.name == "quality":
        quality = quality_change(before, variant, after, variant)
        return Step(quality.told, quality.difference, quality.basis)
    if metric.name == "memory" or metric.name in AGREEMENT:
        return Step(Told.NOTHING, None, "no interval")
    relation = relate(before, after)
    if metric.name == "latency.p50" and setting is not None:
        latency = latency_change(before, variant, after, variant, setting, relation)
        if latency.basis is not Basis.NONE:
            return Step(latency.told, latency.speed, latency.basis.value)
    if metric.name == "load" and (why := footprint_reason(before, after, relation)):
        if after.run.machine.instance_type:  # a series is of one machine, but that is not it
            return Step(Told.NOTHING, None, why)
        return _raw(one, other, metric, "the runtime changed, drift included")
    if metric.name == "speedup":
        found = ratio(other, one, "ratio of speed-ups")
        return Step(told(found, 1.0), found, "normalised by each run's own baseline")
    return _raw(one, other, metric, Basis.RAW.value)


def _raw(one: Interval, other: Interval, metric: Metric, basis: str) -> Step:
    """A ratio of two times: how many times as fast; drift is not in its interval."""
    found = ratio(one, other, "ratio of times")
    apart = told(found, 1.0) in (Told.BETTER, Told.WORSE)
    return Step(Told.PERHAPS if apart else told(found, 1.0), found, basis)
