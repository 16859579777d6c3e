"""The ``search:`` section of a recipe: chains with open choices, and what is to become of them.

A chain is written as a variant writes it; any option, at any depth, may be ``{choice: [...]}`` or
``{range: [low, high]}``, and in the place of a step may stand ``{choice: [...]}`` of steps or of
lists of steps. Each such place is a knob; a :class:`Space` is the chain with its knobs, and turns
a value for each of them into a chain without any.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count, product
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from workbench.errors import InputError

CHOICE, RANGE, STEP, LOG = "choice", "range", "step", "log"
LISTED = 20_000
"""Values, and combinations of them, up to which all are listed."""

Sampler = Literal["tpe", "nsga2"]
Place = tuple[str | int, ...]
Value = str | int | float
"""Of a knob: a choice's label, or a number of a range."""


class SearchOptions(BaseModel):
    """What `workbench search` tries, what it looks for, and how long."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: list[Any] = Field(
        min_length=1,
        description="A chain as a variant writes it, where an option may be {choice: [8, 4]} or "
        "{range: [0.1, 0.9]} (with step: 0.1 or log: true), and a step {choice: [prune: …, []]}.",
    )
    objectives: tuple[str, ...] = Field(
        ("size", "latency.p50", "quality"),
        min_length=1,
        description="What is weighed: size, model_size, parameters, macs, memory, latency.p50 "
        "(of the cells that a selector names), cost, max_abs and mean_abs are made small; quality "
        "and the other agreements with the baseline large.",
    )
    constraints: tuple[str, ...] = Field(
        (), description="Bounds as gates write them; a chain that breaks one is no result."
    )
    trials: int = Field(30, ge=1, description="Chains to try, at most.")
    minutes: float | None = Field(
        None, gt=0, description="Time after which no further chain is begun, over all sittings."
    )
    sampler: Sampler = Field(
        "tpe", description="Optuna's sampler: tpe learns from few trials, nsga2 from hundreds."
    )
    seed: int = Field(0, ge=0, description="Of the sampler.")


class SpaceError(InputError):
    """A fault in the chain of a search; ``place`` is where, below ``steps``."""

    def __init__(self, place: Place, message: str, *, hint: str | None = None) -> None:
        self.place = place
        super().__init__(message, hint=hint)


@dataclass(frozen=True)
class Knob:
    """One open place: a choice of values (by their labels), or a range of numbers."""

    name: str
    place: Place
    choices: Mapping[str, Any] | None = None
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether a range is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def count(self) -> float:
        """How many values there are; infinite for a range of fractions without a step."""
        if self.choices is not None:
            return len(self.choices)
        if self.step is None and not self.whole:
            return math.inf
        return math.floor((self.high - self.low) / (self.step or 1) + 1e-9) + 1

    @property
    def values(self) -> tuple[Value, ...]:
        """All values; of a range that has too many its ends."""
        if self.choices is not None:
            return tuple(self.choices)
        if self.count > LISTED:
            return (self.low, self.high)
        return tuple(self.settle(self.low + at * (self.step or 1)) for at in range(int(self.count)))

    def settle(self, number: float) -> float:
        """A number of the range as a recipe writes it: six digits tell fractions apart."""
        if self.whole:
            return int(number)
        return min(max(float(f"{number:.6g}"), self.low), self.high)


@dataclass(frozen=True)
class Drawn:
    """A chain without open places; ``knobs`` has the values of those that it hangs on."""

    steps: tuple[Any, ...]
    knobs: Mapping[str, Value]

    @property
    def key(self) -> str:
        """Equal for equal chains."""
        return json.dumps(self.steps, sort_keys=True)


class Space:
    """A chain with its knobs."""

    def __init__(self, steps: list[Any]) -> None:
        """Find the knobs of the steps.

        Raises:
            SpaceError: a choice or range is malformed, or there is none.
        """
        self.steps = steps
        self._at: dict[Place, Knob] = {}
        for index, item in enumerate(steps):
            self._find(item, (index,))
        if not self._at:
            raise SpaceError(
                (), "nothing is left open here.", hint="Write a choice: {bits: {choice: [8, 4]}}"
            )
        names = _names(list(self._at))
        self._at = {place: replace(knob, name=names[place]) for place, knob in self._at.items()}

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """All knobs, in the order in which they are written."""
        return tuple(self._at.values())

    @property
    def count(self) -> float:
        """How many combinations of values there are; several may draw the same chain."""
        return math.prod(knob.count for knob in self.knobs)

    @property
    def listed(self) -> int:
        """How many combinations :meth:`combinations` can give."""
        return math.prod(len(knob.values) for knob in self.knobs)

    def draw(self, values: Mapping[str, Value]) -> Drawn:
        """The chain that a value for each knob makes."""
        used: dict[str, Value] = {}
        chain: list[Any] = []
        for index, item in enumerate(self.steps):
            found = self._draw(item, (index,), values, used)
            chain.extend(found if isinstance(found, list) else [found])
        return Drawn(tuple(chain), used)

    def combinations(self, most: int) -> Iterator[dict[str, Value]]:
        """The first combinations of values, the last knob turning fastest; ranges by their ends."""
        names = [knob.name for knob in self.knobs]
        combined = product(*(knob.values for knob in self.knobs))
        for _, values in zip(range(most), combined, strict=False):
            yield dict(zip(names, values, strict=True))

    def uses(self) -> Iterator[tuple[Place, Any]]:
        """Every step as it is written, open places included, and where."""
        for index, item in enumerate(self.steps):
            if (knob := self._at.get((index,))) is None:
                yield (index,), item
                continue
            for at, (_, alternative) in enumerate((knob.choices or {}).items()):
                place: Place = (index, CHOICE, at)
                if isinstance(alternative, list):
                    yield from (((*place, n), use) for n, use in enumerate(alternative))
                else:
                    yield place, alternative

    def of_step(self, place: Place, use: Any) -> Space | None:
        """A step of :meth:`uses` as a space of its own; none where nothing in it is open."""
        if not any(knob[: len(place)] == place for knob in self._at):
            return None
        return Space([use])

    def _draw(self, node: Any, place: Place, values: Mapping[str, Value], used: Any) -> Any:
        if (knob := self._at.get(place)) is not None:
            value = values[knob.name]
            if knob.choices is None:
                value = used[knob.name] = knob.settle(float(value))
                return value
            used[knob.name] = value
            at = list(knob.choices).index(str(value))
            return self._draw(knob.choices[str(value)], (*place, CHOICE, at), values, used)
        if isinstance(node, dict):
            return {k: self._draw(v, (*place, k), values, used) for k, v in node.items()}
        if isinstance(node, list):
            return [self._draw(v, (*place, n), values, used) for n, v in enumerate(node)]
        return node

    def _find(self, node: Any, place: Place) -> None:
        if isinstance(node, dict) and (CHOICE in node or RANGE in node):
            self._at[place] = knob = _knob(node, place)
            for at, value in enumerate((knob.choices or {}).values()):
                self._find(value, (*place, CHOICE, at))
        elif isinstance(node, dict):
            for key, value in node.items():
                self._find(value, (*place, key))
        elif isinstance(node, list):
            for index, value in enumerate(node):
                self._find(value, (*place, index))


def _keys(place: Place) -> list[str]:
    """The keys that lead to a place: none where a step stands."""
    return [part for part in place if isinstance(part, str) and part != CHOICE]


def _names(places: list[Place]) -> dict[Place, str]:
    """As few of the last keys as tell a knob from the others; a number where all are equal."""

    def last(place: Place, length: int) -> str:
        return ".".join(_keys(place)[-length:]) or f"step {int(place[0]) + 1}"

    names: dict[Place, str] = {}
    for place in places:
        lengths = range(1, max(1, len(_keys(place))) + 1)
        for name in (last(place, length) for length in lengths):
            if sum(last(other, name.count(".") + 1) == name for other in places) == 1:
                break
        numbered = (name if number == 1 else f"{name} {number}" for number in count(1))
        taken = set(names.values())
        names[place] = next(shown for shown in numbered if shown not in taken)
    return names


def _knob(node: dict[str, Any], place: Place) -> Knob:
    if CHOICE in node:
        _only(node, place, (CHOICE,))
        values = node[CHOICE]
        if not isinstance(values, list) or not values:
            raise SpaceError(place, "a choice is a list of values, as in {choice: [8, 4]}.")
        labels = [_label(value) if _keys(place) else _steps_label(value) for value in values]
        for at, label in enumerate(labels):
            if label in labels[:at]:
                raise SpaceError((*place, CHOICE, at), f"the value {label} stands here twice.")
        return Knob("", place, choices=dict(zip(labels, values, strict=True)))
    _only(node, place, (RANGE, STEP, LOG))
    ends, step, log = node[RANGE], node.get(STEP), node.get(LOG, False)
    if not isinstance(ends, list) or len(ends) != 2 or not all(map(_is_number, ends)):
        raise SpaceError(place, "a range is two numbers, as in {range: [0.1, 0.9]}.")
    low, high = ends
    if not low < high:
        raise SpaceError(place, f"the range from {low} to {high} is empty.")
    if not isinstance(log, bool):
        raise SpaceError(place, "log is true or false.")
    if step is not None and not (_is_number(step) and 0 < step <= high - low):
        raise SpaceError(place, f"the step {step} does not fit between {low} and {high}.")
    if log and (low <= 0 or step is not None):
        raise SpaceError(place, "a log range begins above 0 and has no step.")
    if step is not None and not isinstance(step, int):
        low, high = float(low), float(high)
    return Knob("", place, low=low, high=high, step=step, log=log)


def _only(node: dict[str, Any], place: Place, known: tuple[str, ...]) -> None:
    for key in node:
        if key not in known:
            raise SpaceError(place, f"'{key}' cannot stand beside {known[0]}.")


def _is_number(value: Any) -> bool:
    finite = isinstance(value, int | float) and math.isfinite(value)
    return finite and not isinstance(value, bool)


def _label(value: Any) -> str:
    """A value as people read it; the same for equal values only."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _steps_label(value: Any) -> str:
    """Steps as people read them: their names, and the options that are plain values."""
    uses = value if isinstance(value, list) else [value]
    return " + ".join(map(_step_label, uses)) or "none"


def _step_label(use: Any) -> str:
    if not isinstance(use, dict) or len(use) != 1:
        return _label(use)
    [(name, options)] = use.items()
    if not isinstance(options, dict):
        return f"{name} {_label(options)}"
    plain = (f"{k}={v}" for k, v in options.items() if not isinstance(v, dict | list))
    return " ".join((str(name), *plain))


__all__ = ["Drawn", "Knob", "SearchOptions", "Space", "SpaceError", "Value"]
