"""Prices by the names of what is used: the lines of a bill, and why one cannot be written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from workbench.cost.case import Case
from workbench.cost.catalog import Catalog, PriceMissingError
from workbench.cost.money import Bill, Line, Quantity


def price_reasons(
    case: Case, provider: str, service: str, items: Iterable[str], region: str | None = None
) -> list[str]:
    """What the catalog says of the first price that it does not have; empty: all are there."""
    try:
        for item in items:
            case.catalog.item(provider, service, item, region or case.region)
    except PriceMissingError as error:
        return [str(error)]
    return []


def bill_by_name(
    units: Mapping[str, Quantity], catalog: Catalog, provider: str, service: str, region: str
) -> Bill:
    """A line for each unit, at the price that the catalog has under the unit's own name.

    Raises:
        PriceMissingError: a price is not in the catalog.
    """
    return Bill(
        lines=tuple(
            Line(item=name, quantity=quantity, price=catalog.item(provider, service, name, region))
            for name, quantity in units.items()
        )
    )
