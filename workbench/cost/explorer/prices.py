"""Bills taken apart: what is bought, which the region hardly changes, and what it costs there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from workbench.cost.catalog import Catalog, PriceMissingError
from workbench.cost.estimates import Sized
from workbench.cost.money import Price, Quantity, Unit
from workbench.cost.options import Option, Place


class Item(NamedTuple):
    """A line of a bill without amount and price; ``note`` says which price step it is."""

    name: str
    unit: Unit
    note: str


class Bought(NamedTuple):
    """The lines of a bill without their prices."""

    items: tuple[Item, ...]
    amounts: tuple[Decimal, ...]


@dataclass(frozen=True, eq=False)
class Choice:
    """An option on a place: what is bought at each end of the range of the speed.

    ``only`` is the region that it was sized for, where that matters; else empty.
    """

    option: Option
    place: Place
    sized: Sized
    bought: tuple[Bought, ...]
    assumptions: tuple[str, ...] = ()
    only: str = ""
    _usd: dict[str, tuple[Decimal, Decimal] | str] = field(default_factory=dict, repr=False)

    @property
    def tie(self) -> tuple[float, int, str]:
        """The order of choices that cost the same, as the planner ranks them."""
        simplest = 0 if self.option.name == "real-time" else 1
        return self.sized.middle.p99_ms, simplest, f"{self.option.name} {self.place}"

    def usd(self, prices: PriceBook, region: str) -> tuple[Decimal, Decimal] | str:
        """A month at the mid speed: what a Savings Plan covers, and the rest; or which price of
        any end is not known in the region."""
        if region not in self._usd:
            self._usd[region] = prices.missing(self, region) or self._total(prices, region)
        return self._usd[region]

    def _total(self, prices: PriceBook, region: str) -> tuple[Decimal, Decimal]:
        known = prices.of(self.option, self.place, region)
        bought = self.bought[len(self.bought) // 2]
        covered = rest = Decimal(0)
        for item, amount in zip(bought.items, bought.amounts, strict=True):
            usd = amount * known[item].usd
            if self.option.savings_plan and item.unit is Unit.HOUR:
                covered += usd
            else:
                rest += usd
        return covered, rest


@dataclass
class PriceBook:
    """The price of each line by option, place and region, as the options' own bills have it."""

    catalog: Catalog
    _known: dict[tuple[str, Place, str], dict[Item, Price]] = field(default_factory=dict)
    _missing: dict[tuple[object, ...], str] = field(default_factory=dict)

    def of(self, option: Option, place: Place, region: str) -> dict[Item, Price]:
        """The prices of an option on a place in a region that are known so far."""
        return self._known.setdefault((option.name, place, region), {})

    def buy(self, option: Option, place: Place, sized: Sized, region: str) -> tuple[Bought, ...]:
        """What is bought at each end; its prices are known afterwards.

        Raises:
            PriceMissingError: a price is not in the catalog.
        """
        prices = self.of(option, place, region)
        units = (capacity.units for capacity in sized.capacities)
        return tuple(self._read(option, place, region, each, prices) for each in units)

    def missing(self, choice: Choice, region: str) -> str | None:
        """Which price of a choice is not known in a region, in a sentence; None: all are."""
        prices = self.of(choice.option, choice.place, region)
        if all(item in prices for bought in choice.bought for item in bought.items):
            return None
        try:
            self.buy(choice.option, choice.place, choice.sized, region)
        except PriceMissingError as error:
            return str(error)
        return None

    def _read(
        self,
        option: Option,
        place: Place,
        region: str,
        units: Mapping[str, Quantity],
        prices: dict[Item, Price],
    ) -> Bought:
        # Only amounts above 0 need a price.
        key = (option.name, place, region, *((n, q.amount > 0) for n, q in units.items()))
        if known := self._missing.get(key):
            raise PriceMissingError(known)
        try:
            lines = option.bill(units, place, self.catalog, region).lines
        except PriceMissingError as error:
            self._missing[key] = str(error)
            raise
        items = tuple(Item(line.item, line.quantity.unit, line.note) for line in lines)
        prices.update(zip(items, (line.price for line in lines), strict=True))
        return Bought(items, tuple(line.quantity.amount for line in lines))
