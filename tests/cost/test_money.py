"""Money: units cannot be mixed, nothing is rounded, lines add up."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from workbench.cost.money import (
    Bill,
    Line,
    Price,
    Quantity,
    Unit,
    UnitError,
    decimal,
    gb_seconds,
    gigabytes,
    hours,
    requests,
)
from workbench.cost.ranges import Range, exactly

amounts = st.decimals(0, 10**9, allow_nan=False, places=6)


def price(usd="0.23", per=Unit.HOUR) -> Price:
    return Price(usd=Decimal(usd), per=per, source="a test", as_of="2026-11-25")


def test_a_float_becomes_the_decimal_that_it_shows():
    assert decimal(0.1) == Decimal("0.1")


def test_a_quantity_meets_only_a_price_of_its_unit():
    line = Line(item="instances", quantity=gigabytes(10**9), price=price())
    with pytest.raises(UnitError, match="GB at a price per hour"):
        _ = line.usd
    with pytest.raises(UnitError):
        _ = Bill(lines=(line,)).usd


def test_a_gigabyte_of_memory_is_1024_megabytes_and_one_of_data_a_billion_bytes():
    assert gb_seconds(2048, 1.5).amount == 3
    assert gigabytes(2_500_000_000).amount == Decimal("2.5")


def test_a_bill_is_the_sum_of_its_lines():
    lines = (
        Line(item="a", quantity=hours(730), price=price("0.23")),
        Line(item="b", quantity=requests(1000), price=price("0.0000002", Unit.REQUEST)),
    )
    assert Bill(lines=lines).usd == Decimal("167.9") + Decimal("0.0002")


@given(amounts, amounts, amounts)
def test_more_never_costs_less(first, second, usd):
    low, high = sorted((first, second))
    one = price(f"{usd:f}")
    costs = [Line(item="x", quantity=hours(q), price=one).usd for q in (low, high)]
    assert costs[0] <= costs[1]


@pytest.mark.parametrize("amount", [Decimal(-1), Decimal("NaN")])
def test_a_negative_quantity_or_price_is_refused(amount):
    with pytest.raises(ValidationError):
        Quantity(amount=amount, unit=Unit.HOUR)
    with pytest.raises(ValidationError):
        Price(usd=amount, per=Unit.HOUR, source="s", as_of="2026")


def test_a_price_without_a_source_or_a_date_is_refused():
    for missing in ({"source": ""}, {"as_of": ""}):
        with pytest.raises(ValidationError):
            Price(
                **{"usd": Decimal(1), "per": Unit.HOUR, "source": "s", "as_of": "2026", **missing}
            )


def test_a_range_is_in_order():
    with pytest.raises(ValidationError):
        Range[float](low=2.0, mid=1.0, high=3.0)
    assert exactly(2.0).map(lambda x: 1 / x).mid == 0.5
    turned = Range[float](low=1.0, mid=2.0, high=4.0).map(lambda x: 1 / x)
    assert (turned.low, turned.mid, turned.high) == (0.25, 0.5, 1.0)
