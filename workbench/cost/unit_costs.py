"""Costs of one thing: an inference, a million of them, a thousand requests; and savings.

These are the figures in which others publish. They take a place at full load, so they are the
lowest that it can cost; what a traffic costs is a matter of the options.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from workbench.cost.money import Line, Price, Quantity, Unit, decimal

Number = int | float | str | Decimal

_SECONDS = Decimal(3600)


def per_inference(price: Price, invocations_per_minute: Number) -> Decimal:
    """Dollars per inference of an instance that is loaded to its most, every hour.

    So Inference Recommender defines ``CostPerInference``: the price of an hour over sixty times the
    most invocations of a minute.
    """
    return _hour(price) / (60 * decimal(invocations_per_minute))


def per_million(price: Price, rate_per_s: Number) -> Decimal:
    """Dollars per million of whatever comes at a rate: inferences, tokens."""
    return _hour(price) * 10**6 / (decimal(rate_per_s) * _SECONDS)


def thousands_per_dollar(price: Price, latency_ms: Number) -> Decimal:
    """Thousands of inferences for a dollar, one after the other."""
    an_hour = _SECONDS * 1000 / decimal(latency_ms)
    return an_hour / _hour(price) / 1000


def per_thousand(usd: Decimal, requests: Number) -> Decimal:
    """Dollars per thousand requests."""
    return usd * 1000 / decimal(requests)


def percent_saved(before: Number, after: Number) -> Decimal:
    """By how many percent ``after`` costs less than ``before``; below 0: it costs more."""
    return (1 - decimal(after) / decimal(before)) * 100


def whole_seconds(seconds: Number, count: Number = 1) -> Quantity:
    """Instance-hours of a time that is billed by whole seconds, each begun one as a whole."""
    started = Decimal(math.ceil(decimal(seconds)))
    return Quantity(amount=started * decimal(count) / _SECONDS, unit=Unit.HOUR)


def gb_months(gigabytes: Number, hours: Number, hours_per_month: Number = 730) -> Quantity:
    """Storage that is kept for some hours, in GB-months."""
    amount = decimal(gigabytes) * decimal(hours) / decimal(hours_per_month)
    return Quantity(amount=amount, unit=Unit.GB_MONTH)


def line_usd(item: str, amount: Number, price: Price) -> Decimal:
    """Dollars of so many units of the price."""
    return Line(
        item=item, quantity=Quantity(amount=decimal(amount), unit=price.per), price=price
    ).usd


def crossing(points: Sequence[tuple[Number, Number]], usd: Number) -> Decimal | None:
    """At how many requests a published column of (requests, dollars) reaches a fixed cost.

    Between two rows it is taken for a straight line. None: it never does.
    """
    rows = [(decimal(x), decimal(y)) for x, y in points]
    for (x0, y0), (x1, y1) in pairwise(rows):
        if y0 <= decimal(usd) <= y1 and y1 > y0:
            return x0 + (decimal(usd) - y0) / (y1 - y0) * (x1 - x0)
    return None


def _hour(price: Price) -> Decimal:
    """The price of one hour; a price per second is that of 3600 of them."""
    if price.per is Unit.SECOND:
        return price.usd * _SECONDS
    return Line(item="hour", quantity=Quantity(amount=Decimal(1), unit=Unit.HOUR), price=price).usd
