"""Money and what it is paid for: quantities with units, prices with sources, lines, bills.

All amounts are ``Decimal`` US dollars; nothing is rounded until it is printed. A quantity is
multiplied only with a price of the same unit, so that minutes and seconds cannot be mixed.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Literal

from pydantic import Field

from workbench.records import Record

Confidence = Literal["A", "B", "user"]
"""A: a price list, a bill or a tool's own test file; B: dated third party, or a moving price."""


class Unit(StrEnum):
    """What a price is per."""

    HOUR = "hour"
    SECOND = "second"
    GB = "GB"
    GB_MONTH = "GB-month"
    GB_SECOND = "GB-second"
    GB_HOUR = "GB-hour"
    VCPU_SECOND = "vCPU-second"
    VCPU_HOUR = "vCPU-hour"
    REQUEST = "request"


class UnitError(TypeError):
    """A quantity met a price of another unit: a fault of the workbench, never of the user."""


def decimal(value: int | float | str | Decimal) -> Decimal:
    """The shortest decimal that reads back as the value (0.1 stays 0.1)."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


class Quantity(Record):
    """So many of a unit."""

    amount: Decimal = Field(ge=0)
    unit: Unit

    def __str__(self) -> str:
        shown = f"{self.amount:,.0f}" if self.amount >= 1000 else f"{self.amount:.4g}"
        return f"{shown} {self.unit}"


def hours(amount: int | float | str | Decimal) -> Quantity:
    """Hours, such as instance-hours."""
    return Quantity(amount=decimal(amount), unit=Unit.HOUR)


def requests(amount: int | float | str | Decimal) -> Quantity:
    """Requests."""
    return Quantity(amount=decimal(amount), unit=Unit.REQUEST)


def gigabytes(size_bytes: int | float | str | Decimal) -> Quantity:
    """Data in GB of 10^9 bytes, as the price lists of data transfer count."""
    return Quantity(amount=decimal(size_bytes) / 10**9, unit=Unit.GB)


def gb_seconds(memory_mb: int | Decimal, seconds: int | float | str | Decimal) -> Quantity:
    """Memory over time: 1 GB is 1024 MB in the price lists of serverless."""
    amount = decimal(memory_mb) / 1024 * decimal(seconds)
    return Quantity(amount=amount, unit=Unit.GB_SECOND)


class Price(Record):
    """US dollars per unit, where the figure is from and when it was so."""

    usd: Decimal = Field(ge=0)
    per: Unit
    source: str = Field(min_length=1)
    as_of: str = Field(min_length=4, description="A date, or the year where no more is known.")
    confidence: Confidence = "A"
    region: str | None = None

    def times(self, factor: Decimal, why: str) -> Price:
        """The price with a discount or a surcharge, which its source then says."""
        return self.model_copy(update={"usd": self.usd * factor, "source": f"{self.source}; {why}"})


class Line(Record):
    """One line of a bill."""

    item: str
    quantity: Quantity
    price: Price
    note: str = ""

    @property
    def usd(self) -> Decimal:
        """Quantity times price.

        Raises:
            UnitError: their units differ.
        """
        if self.quantity.unit is not self.price.per:
            raise UnitError(f"{self.item}: {self.quantity.unit} at a price per {self.price.per}")
        return self.quantity.amount * self.price.usd


class Bill(Record):
    """Lines that are paid together."""

    lines: tuple[Line, ...] = ()

    @property
    def usd(self) -> Decimal:
        """The sum of all lines."""
        return sum((line.usd for line in self.lines), Decimal(0))
