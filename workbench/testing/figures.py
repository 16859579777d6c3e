"""Figures that a test compares: ``measured.p95 <= baseline.p95 * 1.1``.

A comparison is a gate written in Python: it becomes one (``latency.p95 <= 1.1 * baseline``) and is
judged as one. It is true if the bound holds, raises :class:`BoundError` if it is broken, and
where the figures do not tell yet, measures on. So a false answer never comes from noise, and
``if`` and ``not`` read as they should.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NoReturn

from workbench.errors import InputError
from workbench.gates import CELLS, Bound, ParsedGate, parse_gate

if TYPE_CHECKING:
    from workbench.records import Interval
    from workbench.testing.profiles import Profile

Operator = Literal["<=", "<", ">=", ">"]
_TURNED: dict[Operator, Operator] = {"<=": ">=", ">=": "<=", "<": ">", ">": "<"}


@dataclass(frozen=True, eq=False, repr=False)
class Figure:
    """A figure of a profile, ``factor`` times it and ``offset`` on top: something to compare.

    Times are in milliseconds, sizes in bytes. A bound is a number in that unit, a text with a unit
    (``"20 ms"``, ``"30 MB"``), or the same figure of the other model.
    """

    profile: Profile
    name: str
    factor: float = 1.0
    offset: float = 0.0

    def interval(self) -> Interval:
        """The figure itself with its 95 % interval, measured if it was not yet.

        Raises:
            InputError: it is a multiple, or there is no such figure.
        """
        if (self.factor, self.offset) != (1.0, 0.0):
            raise InputError(f"{self!r} is a bound, no figure.")
        return self.profile.interval(self.name)

    @property
    def value(self) -> float:
        """The middle of the interval: to print; a bound is kept by the whole of it."""
        return self.interval().value

    # --- bounds ----------------------------------------------------------------------------------

    def __mul__(self, factor: float) -> Figure:
        if not factor > 0:
            raise InputError(f"{self.name} can be multiplied by a positive number only.")
        return replace(self, factor=self.factor * factor, offset=self.offset * factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Figure:
        if not divisor > 0:
            raise InputError(f"{self.name} can be divided by a positive number only.")
        return self * (1 / divisor)

    def __add__(self, offset: float) -> Figure:
        return replace(self, offset=self.offset + offset)

    __radd__ = __add__

    def __sub__(self, offset: float) -> Figure:
        return self + -offset

    # --- comparisons -----------------------------------------------------------------------------

    def __le__(self, other: Figure | float | str) -> bool:
        __tracebackhide__ = True
        return self._compare("<=", other)

    def __lt__(self, other: Figure | float | str) -> bool:
        __tracebackhide__ = True
        return self._compare("<", other)

    def __ge__(self, other: Figure | float | str) -> bool:
        __tracebackhide__ = True
        return self._compare(">=", other)

    def __gt__(self, other: Figure | float | str) -> bool:
        __tracebackhide__ = True
        return self._compare(">", other)

    def __eq__(self, other: object) -> bool:
        """Of a noisy figure only bounds can be told."""
        if self is other:
            return True
        raise TypeError(f"{self!r} can be compared by <= and >= only: it has an interval or a unit")

    __hash__ = object.__hash__

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self!r} is a figure: compare it with a bound")

    def __float__(self) -> NoReturn:
        raise TypeError(f"{self!r} has an interval; its middle, to print, is .value")

    def _compare(self, operator: Operator, other: Figure | float | str) -> bool:
        __tracebackhide__ = True
        subject, gate = as_gate(self, operator, other)
        return subject.holds(gate)

    def __repr__(self) -> str:
        text = f"{self.profile.name}'s {self.name}"
        return f"<{_scaled(text, Bound(self.factor, self.offset))}>"


def as_gate(
    left: Figure, operator: Operator, right: Figure | float | str
) -> tuple[Profile, ParsedGate]:
    """The gate that a comparison stands for, and the profile whose figure it bounds.

    Raises:
        InputError: the two were not measured side by side, or are not the same figure.
        GateError: a bound given as a text cannot be read.
        TypeError: the bound is no number, text or figure.
    """
    if isinstance(right, str):
        read = parse_gate(f"{left.name} {operator} {right}").bound
        if read.reference is not None:
            raise InputError(
                f"'{right}' refers to {read.reference}.",
                hint="Compare with its figure, or use assert_within.",
            )
        right = read.offset
    if isinstance(right, Figure):
        return _beside(left, operator, right)
    if isinstance(right, bool) or not isinstance(right, int | float):
        raise TypeError(f"{left!r} cannot be compared with {type(right).__name__}")
    bound = Bound(0.0, (right - left.offset) / left.factor)
    return left.profile, _gate(left, operator, bound)


def _beside(left: Figure, operator: Operator, right: Figure) -> tuple[Profile, ParsedGate]:
    if left.name != right.name:
        raise InputError(f"{left!r} and {right!r} are not the same figure.")
    one, other = left.profile, right.profile
    if one.side is not other.side or one.selector != other.selector:
        raise InputError(
            f"{left!r} and {right!r} were not measured side by side.",
            hint="measured = measure(model, against=other); compare with measured.baseline.",
        )
    if one.reference is other.reference:
        raise InputError(f"{left!r} and {right!r} are figures of the same model.")
    if one.reference:
        return _beside(right, _TURNED[operator], left)
    if left.name == "speedup":
        raise InputError("A speed-up is over the baseline already: compare it with a number.")
    bound = Bound(
        right.factor / left.factor, (right.offset - left.offset) / left.factor, "baseline"
    )
    return one, _gate(left, operator, bound)


def _gate(figure: Figure, operator: Operator, bound: Bound) -> ParsedGate:
    selector = figure.profile.selector if figure.name in CELLS else {}
    chosen = f"[{', '.join(f'{k}={v}' for k, v in selector.items())}]" if selector else ""
    shown = _scaled(bound.reference, bound) if bound.reference else f"{bound.offset:.9g}"
    text = f"{figure.name}{chosen} {operator} {shown}"
    return ParsedGate(text, figure.name, dict(selector), operator, bound)


def _scaled(name: str, bound: Bound) -> str:
    text = name if bound.factor == 1 else f"{bound.factor:.6g} * {name}"
    sign = "+" if bound.offset > 0 else "-"
    return f"{text} {sign} {abs(bound.offset):.6g}" if bound.offset else text
