"""A user's own prices: a YAML list of rows, which win over the shipped ones.

    - {type: ml.c5.xlarge, mode: hosting, region: us-east-1, usd: 0.19,
       source: our agreement, as_of: 2026-10-01}
    - {provider: aws, service: lambda, item: requests, region: us-east-1, usd: 0.18,
       per: 1M requests, source: our agreement, as_of: 2026-10-01}

``region: any`` stands for all regions. ``per`` is a unit of ``money.Unit`` or one of ``ALIASES``;
a row of an instance type is per hour.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from workbench.cost.catalog.records import ANY, MODES, SAGEMAKER_MODES, Key
from workbench.cost.money import Price, Unit
from workbench.errors import InputError, RecipeError
from workbench.plugins import did_you_mean, nearest
from workbench.yaml_source import YamlSource, read_yaml

if TYPE_CHECKING:
    from workbench.cost.catalog import Catalog

COMMON = ("region", "usd", "per", "source", "as_of")
HOURLY = ("type", "mode", *COMMON)
ITEM = ("provider", "service", "item", *COMMON)
ALIASES = {
    "1M requests": (Unit.REQUEST, 10**6),
    "GiB-second": (Unit.GB_SECOND, 1),
    "GiB-hour": (Unit.GB_HOUR, 1),
}
"""Other spellings of units, and what their price is divided by (GB of memory are of 1024 MB)."""
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
"""How AWS names regions (``us-gov-west-1``)."""
EC2_TYPE = re.compile(r"[a-z][a-z0-9-]*\.[a-z0-9-]+")
DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
DEAREST = Decimal(10) ** 6
"""USD per unit above which a price is taken for a slip."""


def read_overlay(path: Path, catalog: Catalog) -> dict[Key, Price]:
    """The prices of a file, by what they are of; their confidence is ``user``.

    Raises:
        InputError: the file is no list of rows, or a row is wrong; names file, line and field.
    """
    source = _read(path)
    if not isinstance(source.data, list):
        raise RecipeError(
            "a list of prices is wanted, each a row with region, usd, source and as_of.",
            file=path,
            line=1,
        )
    found: dict[Key, Price] = {}
    for index in range(len(source.data)):
        row = _Row(source, index, catalog)
        key, price = row.read()
        if key in found:
            row.fail("item" if "item" in row.data else "type", f"the {key} stands here twice.")
        found[key] = price
    return found


def _read(path: Path) -> YamlSource:
    try:
        return read_yaml(path)
    except InputError:
        raise
    except Exception as error:  # dates that do not exist, an alias of itself, keys that are lists
        raise RecipeError(f"this cannot be read as prices: {error}.", file=path) from error


@dataclass(frozen=True)
class _Row:
    """One row of the file; every error names its place."""

    source: YamlSource
    index: int
    catalog: Catalog

    @property
    def data(self) -> dict[str, Any]:
        row = self.source.data[self.index]
        return row if isinstance(row, dict) else {}

    def fail(self, field: str | None, message: str, hint: str | None = None) -> NoReturn:
        place = (self.index,) if field is None else (self.index, field)
        line = self.source.line(place)
        raise RecipeError(message, file=self.source.file, line=line, key=field, hint=hint)

    def read(self) -> tuple[Key, Price]:
        if not self.data:
            self.fail(None, "a row of a price is wanted (region: …, usd: …).")
        hourly = "type" in self.data or "mode" in self.data
        self._known_fields(HOURLY if hourly else ITEM)
        key = self._hourly_key() if hourly else self._item_key()
        unit, divisor = self._unit(key, hourly)
        price = Price(
            usd=self._usd() / divisor,
            per=unit,
            source=self._text("source"),
            as_of=self._date(),
            confidence="user",
            region=None if key.region == ANY else key.region,
        )
        return key, price

    def _known_fields(self, fields: tuple[str, ...]) -> None:
        for name in self.data:
            if name not in fields:
                hint = did_you_mean(str(name), fields)
                self.fail(str(name), "this field is not known.", hint)
        for name in fields:
            if name not in self.data and name != "per":
                self.fail(None, f"the field '{name}' is missing.")

    def _hourly_key(self) -> Key:
        mode, name = self._text("mode"), self._text("type")
        if mode not in MODES:
            self.fail("mode", f"there is no mode '{mode}'.", did_you_mean(mode, MODES))
        if mode in SAGEMAKER_MODES:
            types = [kind for kind in self.catalog.types if kind.startswith("ml.")]
            if name not in types:
                close = nearest(name, types)
                hint = f"Did you mean '{close}'?" if close else None
                self.fail("type", f"there is no instance type '{name}'.", hint)
        elif not EC2_TYPE.fullmatch(name) or name.startswith("ml."):
            self.fail("type", f"'{name}' is no EC2 type.", "They look like c6i.large.")
        return Key("aws", mode, name, self._region("aws"))

    def _item_key(self) -> Key:
        provider, service, item = (self._text(name) for name in ITEM[:3])
        if service in MODES:
            self.fail("service", f"'{service}' is a mode.", "Give type and mode instead.")
        # Another provider or service may be a user's own; a slip within a known one would be lost.
        keys = [*self.catalog.prices, *self.catalog.absent]
        names = {key.item for key in keys if key[:2] == (provider, service)}
        if names and item not in names:
            hint = did_you_mean(item, sorted(names))
            self.fail("item", f"{provider} {service} has no '{item}'.", hint)
        for field, known in (
            ("provider", {key.provider for key in keys}),
            ("service", {key.service for key in keys if key.provider == provider}),
        ):
            self._no_slip(field, self._text(field), known)
        return Key(provider, service, item, self._region(provider))

    def _no_slip(self, field: str, value: str, known: Iterable[str]) -> None:
        """Refuse what is known in another spelling (``API Gateway``)."""
        if value in known:
            return
        for name in known:
            if _letters(name) == _letters(value):
                self.fail(field, f"'{value}' is not known.", f"Did you mean '{name}'?")

    def _region(self, provider: str) -> str:
        region = self._text("region")
        if region == ANY or (provider != "aws" or REGION.fullmatch(region)):
            return region
        hint = did_you_mean(region, self.catalog.regions())
        self.fail("region", f"'{region}' is no region of AWS.", hint)

    def _usd(self) -> Decimal:
        value = self.data["usd"]
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise InvalidOperation
            usd = Decimal(str(value).strip())
        except InvalidOperation:
            self.fail("usd", f"'{value}' is no number of US dollars.")
        if not usd.is_finite():
            self.fail("usd", f"'{value}' is no number of US dollars.")
        if usd < 0:
            self.fail("usd", f"a price cannot be negative ({usd}).")
        if usd > DEAREST:
            self.fail("usd", f"{value} USD is no price.")
        return usd

    def _unit(self, key: Key, hourly: bool) -> tuple[Unit, int]:
        if "per" not in self.data and not hourly:
            self.fail(None, "the field 'per' is missing.", "It is a unit, such as GB.")
        name = self._text("per") if "per" in self.data else str(Unit.HOUR)
        names = [*map(str, Unit), *ALIASES]
        if name not in names:
            self.fail("per", f"there is no unit '{name}'.", did_you_mean(name, names))
        unit, divisor = ALIASES[name] if name in ALIASES else (Unit(name), 1)
        wanted = Unit.HOUR if hourly else self._unit_of(key)
        if wanted is not None and unit is not wanted:
            self.fail("per", f"the {key} is per {wanted}, not per {name}.")
        return unit, divisor

    def _unit_of(self, key: Key) -> Unit | None:
        same = (price.per for known, price in self.catalog.prices.items() if known[:3] == key[:3])
        return next(same, None)

    def _date(self) -> str:
        value = self.data["as_of"]
        text = value.isoformat()[:10] if isinstance(value, date) else str(value)
        if not DATE.fullmatch(text) or isinstance(value, bool):
            self.fail(
                "as_of", f"'{text}' is no date.", "It is a year, a month or a day: 2026-10-01."
            )
        try:
            date.fromisoformat(f"{text}-01-01"[:10])
        except ValueError:
            self.fail(
                "as_of", f"'{text}' is no date.", "It is a year, a month or a day: 2026-10-01."
            )
        return text

    def _text(self, field: str) -> str:
        value = self.data[field]
        if not isinstance(value, str) or not value.strip():
            self.fail(field, f"a text is wanted, not {value!r}.")
        return value.strip()


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
