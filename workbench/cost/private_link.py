"""AWS PrivateLink before SageMaker's runtime: an interface endpoint in each zone, and its data.

One interface endpoint of the runtime serves all of an account's endpoints in a network. It is paid
by the hour in each zone, and by the data that pass it in either direction (AWS PrivateLink
pricing). Savings Plans of SageMaker do not cover it. The payloads of asynchronous requests are
counted too, though those that lie in S3 pass a gateway that costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from workbench.cost.case import Case
from workbench.cost.catalog import PriceMissingError
from workbench.cost.money import Line, Price, decimal, gigabytes, hours
from workbench.cost.options._tiers import Tier, tiered_lines

SERVICE = "privatelink"
ENDPOINT = "interface-endpoint"
TIERS = (
    Tier("data", Decimal(10**6)),
    Tier("data-tier2", Decimal(4 * 10**6)),
    Tier("data-tier3", None),
)
"""First PB of a month, next 4 PB, what is beyond."""


def private_link_lines(case: Case) -> Iterator[Line]:
    """The lines of a month.

    Raises:
        PriceMissingError: a price is not in the catalog; the message says how to give it.
    """
    zones = case.modifiers.private_link
    yield Line(
        item="interface endpoint", quantity=hours(case.hours * zones), price=_price(case, ENDPOINT)
    )
    traffic = case.traffic
    size = traffic.payload_in_bytes + traffic.payload_out_bytes
    data = gigabytes(decimal(traffic.requests) * size)
    yield from tiered_lines(
        "data through PrivateLink", data, TIERS, lambda item: _price(case, item)
    )


def _price(case: Case, item: str) -> Price:
    try:
        return case.catalog.item("aws", SERVICE, item, case.region)
    except PriceMissingError as error:
        raise PriceMissingError(
            error.message,
            hint=f"Give it with --prices: provider aws, service {SERVICE}, item {item}, "
            f"region {case.region}.",
        ) from None
