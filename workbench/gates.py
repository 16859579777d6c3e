"""Gates: bounds on measurements, judged on intervals.

A gate reads ``measurement[selector] operator bound``::

    quality >= baseline - 0.5%            size <= 0.30 * baseline
    latency.p50 <= baseline               latency.p95[batch=1, sequence=16] <= 20 ms
    speedup[threads=1] >= 1.5             cosine_min >= 0.999

``baseline`` is the same measurement of the baseline; ``- 0.5%`` is relative to it. A gate on a
noisy figure passes when the whole interval keeps the bound, fails when the whole interval breaks
it, and is undecided in between. A latency gate without a selector must hold in every cell of the
grid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    "cosine_mean",
    "cosine_min",
    "nearest_neighbour",
    "label_agreement",
    "max_abs",
    "mean_abs",
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
_ABSOLUTE = re.compile(rf"^-?{_NUMBER}$")
_FACTOR = re.compile(rf"^{_NUMBER}\s*\*\s*baseline$")
_OFFSET = re.compile(rf"^baseline\s*(?P<sign>[+-])\s*{_NUMBER}$")


@dataclass(frozen=True)
class Bound:
    """``factor * baseline + offset``; an absolute bound has factor 0."""

    factor: float
    offset: float

    def of(self, baseline: float | None) -> float:
        """The bound's value; ``baseline`` may be none for an absolute bound."""
        return self.offset + (self.factor * baseline if self.factor and baseline is not None else 0)


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
    if text == "baseline":
        return Bound(1.0, 0.0)
    if match := _FACTOR.match(text):
        return Bound(_number(match, gate, {}), 0.0)
    if match := _OFFSET.match(text):
        sign = 1.0 if match["sign"] == "+" else -1.0
        amount = _number(match, gate, units)
        return Bound(1 + sign * amount, 0.0) if match["unit"] == "%" else Bound(1.0, sign * amount)
    if (match := _ABSOLUTE.match(text)) and match["unit"] != "baseline":
        sign = -1.0 if text.startswith("-") else 1.0
        return Bound(0.0, sign * _number(match, gate, units))
    if text.endswith("baseline"):
        hint = f"Did you mean '{text.split()[0]} * baseline'?"
        raise GateError(f"'{gate}': '{text}' is no bound.", hint=hint)
    raise GateError(
        f"'{gate}': '{text}' is no bound.",
        hint="Write a number with a unit, '0.3 * baseline' or 'baseline - 0.5%'.",
    )


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


def judge(gate: str, variant: str, measured: Measurement, baseline: Measurement) -> Verdict:
    """Judge one gate for one variant.

    Raises:
        GateError: the gate cannot be parsed.
    """
    parsed = parse_gate(gate)

    def verdict(
        outcome: Outcome, reason: str, observed: Interval | None = None, bound: float | None = None
    ) -> Verdict:
        return Verdict(
            gate=gate,
            variant=variant,
            outcome=outcome,
            reason=reason,
            observed=observed,
            bound=bound,
        )

    if parsed.name in CELLS:
        return _judge_cells(parsed, measured, baseline, verdict)
    observed, reference = _figure(parsed.name, measured), _figure(parsed.name, baseline)
    if observed is None or (parsed.bound.factor and reference is None):
        return verdict(Outcome.UNDECIDED, f"{parsed.name} was not measured")
    difference = measured.quality.difference if measured.quality else None
    if parsed.name == "quality" and parsed.bound.factor and difference is not None:
        # Paired: the interval of the difference is far narrower than that of either score.
        assert reference is not None
        bound = parsed.bound.of(reference.value) - reference.value
        outcome = parsed.compare(difference.low, difference.high, bound)
        return verdict(
            outcome,
            f"difference {difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}], "
            f"bound {bound:+.4f}",
            difference,
            bound,
        )
    bound = parsed.bound.of(reference.value if reference else None)
    outcome = _against(parsed, observed, reference)
    shown = f"{_show(parsed.name, observed)}, bound {_value(parsed.name, bound)}"
    return verdict(outcome, shown, observed, bound)


def _against(parsed: ParsedGate, observed: Interval, reference: Interval | None) -> Outcome:
    """Judge an interval against both ends of a bound that has an interval too."""
    ends = (reference.low, reference.high) if reference else (None,)
    outcomes = {parsed.compare(observed.low, observed.high, parsed.bound.of(end)) for end in ends}
    return outcomes.pop() if len(outcomes) == 1 else Outcome.UNDECIDED


def _figure(name: str, measured: Measurement) -> Interval | None:
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


_SEVERITY = (Outcome.PASS, Outcome.UNDECIDED, Outcome.FAIL)


def _judge_cells(
    parsed: ParsedGate,
    measured: Measurement,
    baseline: Measurement,
    verdict: Callable[..., Verdict],
) -> Verdict:
    """Every selected cell must keep the bound; the verdict speaks of the worst."""
    cells = [cell for cell in measured.latency if _selected(cell.setting, parsed.selector)]
    if not cells:
        return verdict(Outcome.UNDECIDED, "no cell of the grid is selected")
    references = {cell.setting: cell for cell in baseline.latency}
    judged = [_judge_cell(parsed, cell, references.get(cell.setting)) for cell in cells]
    worst = max(
        judged,
        key=lambda item: (_SEVERITY.index(item[0]), -item[3]),
    )
    outcome, observed, bound, _, reason = worst
    count = sum(item[0] is Outcome.PASS for item in judged)
    held = f"holds in {count} of {len(judged)} cells; worst: {reason}"
    return verdict(outcome, held, observed, bound)


_Cell = tuple[Outcome, Interval | None, float | None, float, str]


def _judge_cell(parsed: ParsedGate, cell: Latency, reference: Latency | None) -> _Cell:
    """Outcome, observed interval, bound, relative margin (negative: broken), and the reason."""

    def judged(
        observed: Interval, bound: float, what: str, outcome: Outcome | None = None
    ) -> _Cell:
        outcome = outcome or parsed.compare(observed.low, observed.high, bound)
        margin = (observed.value - bound) / bound if bound else 0.0
        return (
            outcome,
            observed,
            bound,
            margin if parsed.at_least else -margin,
            f"{what} {observed.value:.3g} [{observed.low:.3g}, {observed.high:.3g}] "
            f"against {bound:.3g} at {cell.setting}",
        )

    def unknown(reason: str) -> _Cell:
        return Outcome.UNDECIDED, None, None, 0.0, f"{reason} at {cell.setting}"

    if parsed.name == "speedup":
        if cell.speedup is None:
            return unknown("no speed-up was measured")
        return judged(cell.speedup, parsed.bound.of(1.0), "speed-up")
    percentile = parsed.name.rpartition(".")[2]
    observed = getattr(cell, f"{percentile}_ms")
    if observed is None:
        return unknown(f"too few samples for {percentile}")
    if observed.confidence < CONFIDENCE:
        return unknown(
            f"{observed.n} samples tell {percentile} with {observed.confidence:.0%} confidence only"
        )
    if not parsed.bound.factor:
        return judged(observed, parsed.bound.offset, f"{percentile} ms")
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
        return judged(ratio, bound, "p50 ms")
    return judged(observed, bound, f"{percentile} ms", _against(parsed, observed, other))


def _selected(setting: Setting, selector: dict[str, int | str]) -> bool:
    return all(getattr(setting, key) == value for key, value in selector.items())
