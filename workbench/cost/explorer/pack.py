"""The explorer's findings as plain JSON values, each string and each list once.

What the page does with them is arithmetic only: quantity times price, less a discount, summed in
the order of the lines. Amounts and prices are decimal text, so that nothing is lost on the way.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from workbench.cost.explorer.prices import Bought, Choice, PriceBook
from workbench.cost.explorer.search import Found
from workbench.cost.money import Price
from workbench.cost.options import Option, Place
from workbench.cost.transfer import Transfer

DIGITS = 7
"""Significant ones of a p99; choices of equal cost are in order already."""


class _Interned:
    """Values by their number, each once."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def __call__(self, value: Hashable) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    def values(self) -> list[Any]:
        return list(self._numbers)


class Packed:
    """Collects points; ``data`` is what they come to."""

    def __init__(self, kinds: Sequence[Option], regions: Sequence[str], prices: PriceBook) -> None:
        self._kinds, self._regions, self._prices = kinds, regions, prices
        self._option = {kind.name: number for number, kind in enumerate(kinds)}
        names = ("place", "item", "amount", "bought", "sentence", "said", "row", "reasons",
                 "refused", "price", "source", "basis")  # fmt: skip
        self._tables = {name: _Interned() for name in names}
        self._seen: dict[Choice, tuple[float, ...]] = {}
        self._bases: dict[tuple[int, int], int] = {}

    def point(self, variant: int, found: Found) -> tuple[list[int], list[int]]:
        """The rows of a point, in the order of ties, and for each region what is refused."""
        rows: dict[tuple[float, ...], dict[str, tuple[str, ...]]] = {}
        for choice in found.choices:
            rows.setdefault(self._row(variant, choice), {})[choice.only] = choice.assumptions
        numbers = [self._with_said(row, by_region) for row, by_region in rows.items()]
        return numbers, [self._refused(found.refused[region]) for region in self._regions]

    def data(self) -> dict[str, Any]:
        """Plain JSON values; see ``cost.js`` for how they are read."""
        rows: list[tuple[int, ...]] = self._table("row")
        names = ("option", "place", "low", "mid", "high", "p99_low", "p99", "p99_high",
                 "instances", "cold", "said", "only")  # fmt: skip
        priced = self._priced()
        return {
            "options": [
                {
                    "name": kind.name,
                    "title": kind.title().rstrip("."),
                    "provider": kind.provider,
                    "covered": kind.savings_plan,
                }
                for kind in self._kinds
            ],
            "places": [str(place) for place in self._table("place")],
            "items": self._table("item"),
            "amounts": self._table("amount"),
            "bought": self._table("bought"),
            "rows": {name: [row[at] for row in rows] for at, name in enumerate(names)},
            "said": self._table("said"),
            "reasons": self._table("reasons"),
            "refused": self._table("refused"),
            "sentences": self._table("sentence"),
            "priced": priced,
            "prices": self._table("price"),
            "sources": self._table("source"),
            "bases": self._table("basis"),
            "based": self._based(),
        }

    def _table(self, name: str) -> list[Any]:
        return self._tables[name].values()

    def _row(self, variant: int, choice: Choice) -> tuple[float, ...]:
        if choice not in self._seen:
            self._seen[choice] = self._made(variant, choice)
        return self._seen[choice]

    def _made(self, variant: int, choice: Choice) -> tuple[float, ...]:
        # Not by its text: one of a base and an overflow does not show the overflow's memory.
        place = self._tables["place"](choice.place)
        self._bases[variant, place] = self._tables["basis"](_basis(choice.sized.moved))
        ends = [self._bought(bought) for bought in choice.bought]
        p99 = [capacity.p99_ms for capacity in choice.sized.capacities]
        middle = choice.sized.middle
        return (
            self._option[choice.option.name],
            place,
            ends[0],
            ends[len(ends) // 2],
            ends[-1],
            *(_rounded(ms) for ms in (min(p99), middle.p99_ms, max(p99))),
            middle.instances or 0,
            _rounded(middle.cold_share),
        )

    def _bought(self, bought: Bought) -> int:
        flat: list[int] = []
        for item, amount in zip(bought.items, bought.amounts, strict=True):
            flat += [self._tables["item"](tuple(map(str, item))), self._amount(amount)]
        return self._tables["bought"](tuple(flat))

    def _amount(self, amount: Decimal) -> int:
        return self._tables["amount"](f"{amount:f}")

    def _with_said(self, row: tuple[float, ...], by_region: Mapping[str, tuple[str, ...]]) -> int:
        """A row with its assumptions, and the only regions that it is for as bits (0: all)."""
        only = sum(1 << at for at, region in enumerate(self._regions) if region in by_region)
        told = set(by_region.values())
        told_in = [by_region.get(region, ()) for region in self._regions]
        said = tuple(self._sentences(one) for one in (told if len(told) == 1 else told_in))
        return self._tables["row"]((*row, self._tables["said"](said), only))

    def _sentences(self, told: Iterable[str]) -> tuple[int, ...]:
        return tuple(self._tables["sentence"](one) for one in told)

    def _refused(self, refused: Sequence[tuple[str, tuple[str, ...]]]) -> int:
        flat: list[int] = []
        for name, reasons in refused:
            flat += [self._option[name], self._tables["reasons"](self._sentences(reasons))]
        return self._tables["refused"](tuple(flat))

    def _priced(self) -> list[list[Any]]:
        """Of each option on a place that a row has: for each region its items and their prices."""
        rows: list[tuple[int, ...]] = self._table("row")
        places: list[Place] = self._table("place")
        pairs = dict.fromkeys((row[0], row[1]) for row in rows)
        items = {tuple(item): at for at, item in enumerate(self._table("item"))}
        found = []
        for option, place in pairs:
            by_region = []
            for region in self._regions:
                known = self._prices.of(self._kinds[option], places[place], region)
                flat = []
                for item, price in known.items():
                    if (at := items.get(tuple(map(str, item)))) is not None:
                        flat += [at, self._price(price)]
                by_region.append(flat)
            found.append([option, place, by_region])
        return found

    def _price(self, price: Price) -> int:
        source = self._tables["source"](price.source)
        return self._tables["price"]((f"{price.usd:f}", source, price.as_of, price.confidence))

    def _based(self) -> list[list[int]]:
        return [[variant, place, basis] for (variant, place), basis in self._bases.items()]


def _basis(moved: Transfer) -> tuple[int, str]:
    return int(moved.basis == "measured"), f"{moved.why} ({moved.basis})"


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
