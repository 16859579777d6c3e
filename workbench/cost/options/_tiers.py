"""Prices that fall in steps with the quantity of a month."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from workbench.cost.money import Line, Price, Quantity


@dataclass(frozen=True)
class Tier:
    """The price ``item`` holds for ``width`` units above the tiers before; None: for all others."""

    item: str
    width: Decimal | None


def tiered_lines(
    name: str, quantity: Quantity, tiers: Sequence[Tier], price_of: Callable[[str], Price]
) -> Iterator[Line]:
    """A line for each tier that the quantity reaches; only their prices are asked for."""
    left = quantity.amount
    for number, tier in enumerate(tiers, 1):
        part = left if tier.width is None else min(left, tier.width)
        if part <= 0:
            return
        yield Line(
            item=name,
            quantity=Quantity(amount=part, unit=quantity.unit),
            price=price_of(tier.item),
            note=f"price step {number}" if number > 1 or part < quantity.amount else "",
        )
        left -= part


def beyond(quantity: Quantity, free: Decimal) -> Quantity:
    """What is left of a quantity after the free part."""
    return Quantity(amount=max(Decimal(0), quantity.amount - free), unit=quantity.unit)
