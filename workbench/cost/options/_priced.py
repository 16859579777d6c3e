"""Why an option is refused that has no price to be trusted."""

from __future__ import annotations

from collections.abc import Iterable

from workbench.cost.case import Case
from workbench.cost.catalog import PriceMissingError


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
