"""Gates: bounds on measurements, judged on intervals.

A gate reads ``measurement[selector] operator bound``::

    quality >= baseline - 0.5%            size <= 0.30 * baseline
    latency.p50 <= baseline               latency.p95[batch=1, sequence=16] <= 20 ms
    speedup[threads=1] >= 1.5             cosine_min >= 0.999

``baseline`` is the same measurement of the baseline; ``- 0.5%`` is relative to it. ``previous``
stands in its place for the same variant of an earlier run, which only ``workbench check`` knows. A
gate on a noisy figure passes when the whole interval keeps the bound, fails when the whole
interval breaks it, and is undecided in between. A latency gate without a selector must hold in
every cell of the grid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from workbench.errors import GateError
from workbench.plugins import did_you_mean
from workbench.records import Interval, Latency, Measurement, Outcome, Setting, Verdict

SIZES = {"B": 1.0, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
TIMES = {"us": 1e-3, "ms": 1.0, "s": 1e3}
"""Bytes and milliseconds are the units of the records."""

FOOTPRINT: dict[str, Callable[[Measurement], float | None]] = {
    "size": lambda m: float(m.footprint.size_bytes),
    "model_size": lambda m: float(m.footprint.model_bytes),
    "parameters": lambda m: float(m.footprint.parameters),
    "sparsity": lambda m: m.footprint.sparsity,
    "macs": lambda m: None if m.footprint.macs is None else float(m.footprint.macs),
    "memory": lambda m: (
        None if m.footprint.peak_memory_bytes is None else float(m.footprint.peak_memory_bytes)
    ),
}
"""Figures without an interval: they are counted, or peaks of one run."""

CONFIDENCE = 0.9
"""Intervals that state less do not decide a gate."""

CELLS = ("latency.p50", "latency.p95", "latency.p99", "speedup")
AGREEMENT = (
    *("cosine_mean", "cosine_min", "nearest_neighbour", "label_agreement", "max_abs", "mean_abs"),
)
NAMES = (*FOOTPRINT, "load", "quality", *AGREEMENT, *CELLS)
UNITS = {
    **dict.fromkeys(("size", "model_size", "memory"), SIZES),
    **dict.fromkeys(("load", "latency.p50", "latency.p95", "latency.p99"), TIMES),
}
"""The units that a measurement's bound may have; others have none."""

_GATE = re.compile(
    r"^\s*(?P<name>[a-z][a-z0-9_.]*)\s*(?:\[(?P<selector>[^\]]*)\])?\s*"
    r"(?P<operator><=|>=|<|>)\s*(?P<bound>.+?)\s*$"
)
_NUMBER = r"(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(?P<unit>%|[A-Za-z]*)"
Reference = Literal["baseline", "previous"]
REFERENCES: tuple[Reference, ...] = ("baseline", "previous")
"""What a bound may refer to: the run's own baseline, or the same variant of an earlier run."""

_REFERENCE = rf"(?P<reference>{'|'.join(REFERENCES)})"
_ABSOLUTE = re.compile(rf"^-?{_NUMBER}$")
_FACTOR = re.compile(rf"^{_NUMBER}\s*\*\s*{_REFERENCE}$")
_OFFSET = re.compile(rf"^{_REFERENCE}\s*(?P<sign>[+-])\s*{_NUMBER}$")


@dataclass(frozen=True)
class Bound:
    """``factor * reference + offset``; an absolute bound has factor 0 and no reference."""

    factor: float
    offset: float
    reference: Reference | None = None

    def of(self, reference: float | None) -> float:
        """The bound's value; ``reference`` may be none for an absolute bound."""
        given = self.factor and reference is not None
        return self.offset + (self.factor * reference if given else 0)  # type: ignore[operator]


@dataclass(frozen=True)
class ParsedGate:
    """A gate's parts."""

    text: str
    name: str
    selector: dict[str, int | str]
    operator: str
    bound: Bound

    @property
    def at_least(self) -> bool:
        """Whether larger values pass."""
        return self.operator in (">=", ">")

    def compare(self, low: float, high: float, bound: float) -> Outcome:
        """Judge an interval against a bound."""
        strict = self.operator in ("<", ">")
        if self.at_least:
            low, high, bound = -high, -low, -bound
        keeps, breaks = (high < bound, low >= bound) if strict else (high <= bound, low > bound)
        if keeps:
            return Outcome.PASS
        return Outcome.FAIL if breaks else Outcome.UNDECIDED

    def margin(self, value: float, bound: float) -> float:
        """How far a value keeps the bound, as a share of the bound; negative: broken."""
        share = (value - bound) / abs(bound) if bound else 0.0
        return share if self.at_least else -share


def parse_gate(text: str) -> ParsedGate:
    """Parse a gate.

    Raises:
        GateError: the expression, the measurement, the selector or the unit is not known.
    """
    match = _GATE.match(text)
    if match is None:
        raise GateError(f"'{text}' is no gate.", hint="Write one like: quality >= baseline - 0.5%")
    name = match["name"]
    if name not in NAMES:
        raise GateError(f"'{name}' is no measurement.", hint=did_you_mean(name, NAMES))
    selector = _selector(match["selector"], text)
    if selector and name not in CELLS:
        raise GateError(f"'{text}': only {', '.join(CELLS)} take a selector in brackets.")
    bound = _bound(match["bound"], text, UNITS.get(name, {}))
    return ParsedGate(text, name, selector, match["operator"], bound)


def _selector(text: str | None, gate: str) -> dict[str, int | str]:
    selector: dict[str, int | str] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in Setting.model_fields:
            raise GateError(
                f"'{gate}': '{key}' selects nothing.", hint=did_you_mean(key, Setting.model_fields)
            )
        if key == "device":
            selector[key] = value
        elif value.isdigit():
            selector[key] = int(value)
        else:
            raise GateError(f"'{gate}': {key} selects by a whole number, as in {key}=1.")
    return selector


def _bound(text: str, gate: str, units: dict[str, float]) -> Bound:
    if text in REFERENCES:
        return Bound(1.0, 0.0, next(name for name in REFERENCES if name == text))
    if match := _FACTOR.match(text):
        return Bound(_number(match, gate, {}), 0.0, _reference(match))
    if match := _OFFSET.match(text):
        sign = 1.0 if match["sign"] == "+" else -1.0
        amount = _number(match, gate, units)
        if match["unit"] == "%":
            return Bound(1 + sign * amount, 0.0, _reference(match))
        return Bound(1.0, sign * amount, _reference(match))
    if (match := _ABSOLUTE.match(text)) and match["unit"] not in REFERENCES:
        sign = -1.0 if text.startswith("-") else 1.0
        return Bound(0.0, sign * _number(match, gate, units))
    hint = "Write a number with a unit, '0.3 * baseline' or 'baseline - 0.5%'."
    for reference in REFERENCES:
        if text.endswith(reference) and (number := text.removesuffix(reference).strip(" *×x")):
            hint = f"Did you mean '{number} * {reference}'?"
    raise GateError(f"'{gate}': '{text}' is no bound.", hint=hint)


def _reference(match: re.Match[str]) -> Reference:
    return next(name for name in REFERENCES if name == match["reference"])


def _number(match: re.Match[str], gate: str, units: dict[str, float]) -> float:
    value, unit = float(match["number"]), match["unit"]
    if unit == "%":
        return value / 100
    if unit and unit not in units:
        hint = f"Units here are: {', '.join(units)}." if units else "No unit fits here, but %."
        raise GateError(f"'{gate}': the unit '{unit}' is not known here.", hint=hint)
    return value * (units[unit] if unit else 1.0)


def impossible(gate: ParsedGate, grid: Sequence[Setting], figures: Sequence[str]) -> str | None:
    """Why a gate can never be judged, or none.

    Args:
        gate: the gate.
        grid: the cells that will be measured.
        figures: what the task gives of quality and agreement.
    """
    if gate.name in ("quality", *AGREEMENT) and gate.name not in figures:
        return f"'{gate.text}': the task does not give '{gate.name}', but {', '.join(figures)}."
    if gate.name in CELLS and not any(_selected(cell, gate.selector) for cell in grid):
        return f"'{gate.text}': no cell of the profile is selected."
    return None


Widen = Callable[[Interval], Interval]
"""Makes a stated interval one of another confidence."""


def _as_stated(interval: Interval) -> Interval:
    return interval


class Judged(NamedTuple):
    """One figure against its bound; ``margin`` is relative to the bound, negative: broken."""

    outcome: Outcome
    reason: str
    observed: Interval | None = None
    bound: float | None = None
    margin: float = 0.0


def judge(gate: str, variant: str, measured: Measurement, baseline: Measurement) -> Verdict:
    """Judge one gate for one variant of a run; one that speaks of ``previous`` is not judged.

    Raises:
        GateError: the gate cannot be parsed.
    """
    parsed = parse_gate(gate)
    if parsed.bound.reference == "previous":
        told = "it speaks of an earlier run: workbench check --baseline RUN"
        judged = Judged(Outcome.NOT_JUDGED, told)
    elif parsed.name in CELLS:
        judged = _judge_cells(parsed, measured, baseline)
    else:
        judged = judge_figure(parsed, measured, baseline)
    return Verdict(
        gate=gate,
        variant=variant,
        outcome=judged.outcome,
        reason=judged.reason,
        observed=judged.observed,
        bound=judged.bound,
    )


def judge_figure(
    parsed: ParsedGate,
    measured: Measurement,
    reference: Measurement,
    widen: Widen = _as_stated,
    *,
    paired: bool = True,
) -> Judged:
    """Judge a gate on a figure that is one for the whole variant: size, quality, load …

    ``reference`` is of what the bound refers to; ``paired`` is whether the variant's difference of
    quality is to that reference. Intervals decide as ``widen`` returns them.
    """
    observed, other = figure(parsed.name, measured), figure(parsed.name, reference)
    if observed is None or (parsed.bound.factor and other is None):
        return Judged(Outcome.UNDECIDED, f"{parsed.name} was not measured")
    difference = measured.quality.difference if measured.quality and paired else None
    if parsed.name == "quality" and parsed.bound.factor and other and difference is not None:
        # Paired: the interval of the difference is far narrower than that of either score.
        return judge_difference(parsed, difference, other.value, widen)
    bound = parsed.bound.of(other.value if other else None)
    outcome = _against(parsed, widen(observed), widen(other) if other else None)
    shown = f"{_show(parsed.name, widen(observed))}, bound {_value(parsed.name, bound)}"
    return Judged(outcome, shown, widen(observed), bound)


def judge_difference(
    parsed: ParsedGate, difference: Interval, reference: float, widen: Widen = _as_stated
) -> Judged:
    """Judge a gate on quality by the difference to a reference whose score is ``reference``."""
    bound = parsed.bound.of(reference) - reference
    difference = widen(difference)
    reason = (
        f"difference {difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}], "
        f"bound {bound:+.4f}"
    )
    outcome = parsed.compare(difference.low, difference.high, bound)
    return Judged(outcome, reason, difference, bound)


def _against(parsed: ParsedGate, observed: Interval, reference: Interval | None) -> Outcome:
    """Judge an interval against both ends of a bound that has an interval too."""
    ends = (reference.low, reference.high) if reference else (None,)
    outcomes = {parsed.compare(observed.low, observed.high, parsed.bound.of(end)) for end in ends}
    return outcomes.pop() if len(outcomes) == 1 else Outcome.UNDECIDED


def figure(name: str, measured: Measurement) -> Interval | None:
    """A figure of a whole variant by its gate's name; none where it was not measured."""
    if name in FOOTPRINT:
        return _exact(FOOTPRINT[name](measured))
    if name == "load":
        return measured.footprint.load_ms
    if measured.quality is None:
        return None
    if name == "quality":
        return measured.quality.score
    return _exact(measured.quality.agreement.get(name))


def _exact(value: float | None) -> Interval | None:
    if value is None:
        return None
    return Interval(value=value, low=value, high=value, n=1, method="counted")


def _show(name: str, observed: Interval) -> str:
    value, low, high = (_value(name, v) for v in (observed.value, observed.low, observed.high))
    return f"{name} {value}" if low == high else f"{name} {value} [{low}, {high}]"


def _value(name: str, value: float) -> str:
    """A figure with its unit."""
    if name in ("size", "model_size", "memory"):
        return f"{value / 1e6:.4g} MB"
    return f"{value:.4g} ms" if name == "load" else f"{value:.4g}"


WORST_FIRST = (Outcome.FAIL, Outcome.UNDECIDED, Outcome.NOT_JUDGED, Outcome.PASS)
"""In this order outcomes are listed, and the first that occurs speaks for several."""


def severity(judged: Judged) -> tuple[int, float]:
    """Larger is worse: by the outcome, then by the margin."""
    return -WORST_FIRST.index(judged.outcome), -judged.margin


def worst_of(judged: Sequence[Judged]) -> Judged:
    """The verdict on a gate that must hold in every cell: it speaks of the worst."""
    worst = max(judged, key=severity)
    count = sum(item.outcome is Outcome.PASS for item in judged)
    return worst._replace(
        reason=f"holds in {count} of {len(judged)} cells; worst: {worst.reason}", margin=0.0
    )


def _judge_cells(parsed: ParsedGate, measured: Measurement, baseline: Measurement) -> Judged:
    cells = selected_cells(parsed, measured)
    if not cells:
        return Judged(Outcome.UNDECIDED, "no cell of the grid is selected")
    references = {cell.setting: cell for cell in baseline.latency}
    return worst_of([judge_cell(parsed, cell, references.get(cell.setting)) for cell in cells])


def selected_cells(parsed: ParsedGate, measured: Measurement) -> list[Latency]:
    """The cells that a gate speaks of."""
    return [cell for cell in measured.latency if _selected(cell.setting, parsed.selector)]


def judge_cell(
    parsed: ParsedGate, cell: Latency, reference: Latency | None, widen: Widen = _as_stated
) -> Judged:
    """Judge a gate on latency in one cell, against the baseline in the same cell and rounds.

    Intervals decide as ``widen`` returns them.
    """

    def judged(
        observed: Interval, bound: float, what: str, outcome: Outcome | None = None
    ) -> Judged:
        outcome = outcome or parsed.compare(observed.low, observed.high, bound)
        reason = (
            f"{what} {observed.value:.3g} [{observed.low:.3g}, {observed.high:.3g}] "
            f"against {bound:.3g} at {cell.setting}"
        )
        return Judged(outcome, reason, observed, bound, parsed.margin(observed.value, bound))

    def unknown(reason: str) -> Judged:
        return Judged(Outcome.UNDECIDED, f"{reason} at {cell.setting}")

    if parsed.name == "speedup":
        if cell.speedup is None:
            return unknown("no speed-up was measured")
        return judged(widen(cell.speedup), parsed.bound.of(1.0), "speed-up")
    percentile = parsed.name.rpartition(".")[2]
    observed = getattr(cell, f"{percentile}_ms")
    if observed is None:
        return unknown(f"too few samples for {percentile}")
    if observed.confidence < CONFIDENCE:
        return unknown(
            f"{observed.n} samples tell {percentile} with {observed.confidence:.0%} confidence only"
        )
    if not parsed.bound.factor:
        return judged(widen(observed), parsed.bound.offset, f"{percentile} ms")
    other: Interval | None = getattr(reference, f"{percentile}_ms") if reference else None
    if other is None:
        return unknown(f"the baseline has no {percentile}")
    bound = parsed.bound.of(other.value)
    if percentile == "p50" and cell.speedup is not None and bound > 0:
        # Paired rounds: judged on the ratio, shown in milliseconds.
        ratio = Interval(
            value=other.value / cell.speedup.value,
            low=other.value / cell.speedup.high,
            high=other.value / cell.speedup.low,
            n=cell.speedup.n,
            method="paired " + cell.speedup.method,
        )
        return judged(widen(ratio), bound, "p50 ms")
    outcome = _against(parsed, widen(observed), widen(other))
    return judged(widen(observed), bound, f"{percentile} ms", outcome)


def _selected(setting: Setting, selector: dict[str, int | str]) -> bool:
    return all(getattr(setting, key) == value for key, value in selector.items())
