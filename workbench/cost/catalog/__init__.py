"""Prices, instance types and limits, with the source and the date of each row.

``Catalog.standard()`` is what is shipped. A price that is not there is refused with the reason,
never taken for 0, and never derived from another one. One thing is read from another's row: where
no asynchronous or batch price of a type was found, its hosting price is returned, whose source then
says so and whose confidence is B.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from workbench.cost.catalog import tables
from workbench.cost.catalog.records import (
    ANY,
    MODES,
    SAGEMAKER_MODES,
    InstanceType,
    Key,
    PriceMissingError,
)
from workbench.cost.money import Price
from workbench.plugins import did_you_mean

__all__ = ["Catalog", "InstanceType", "Key", "PriceMissingError"]

LIKE_HOSTING = {
    "multi-model": "a multi-model endpoint is paid as hosting",
    "async": (
        "taken for async: all 4 AsyncInf prices that were found (eu-west-3, us-east-1, "
        "ap-northeast-1) are the hosting price of their type"
    ),
    "batch-transform": (
        "taken for batch transform: both prices that were found (a Tsform price of eu-west-3, a "
        "bill of eu-west-1) are the hosting price of their type"
    ),
}
"""Modes whose price is hosting's where they have none of their own, and what that rests on."""
SHOWN = 8
"""How many regions an error names."""


@dataclass(frozen=True, eq=False)
class Catalog:
    """All that is known of prices. Its methods raise PriceMissingError, with the nearest names."""

    types: Mapping[str, InstanceType]
    prices: Mapping[Key, Price]
    absent: Mapping[Key, str]
    _listed: dict[tuple[str, str], list[InstanceType]] = field(default_factory=dict, repr=False)

    @staticmethod
    @cache
    def standard() -> Catalog:
        """What is shipped; read at the first call and kept."""
        return Catalog(tables.types(), tables.prices(), tables.absent())

    def overlay(self, path: Path) -> Catalog:
        """This catalog with the prices of a user's file, which win; see ``catalog/overlay.py``.

        Raises:
            InputError: the file cannot be used; the message names file, line and field.
        """
        from workbench.cost.catalog.overlay import read_overlay

        theirs = read_overlay(path, self)
        everywhere = {key[:3] for key in theirs if key.region == ANY}
        ours = {key: price for key, price in self.prices.items() if key[:3] not in everywhere}
        return Catalog(self.types, ours | theirs, self.absent)

    def regions(self) -> tuple[str, ...]:
        """The AWS regions of which at least one price is known, in order."""
        return self._aws_regions

    def instance(self, name: str) -> InstanceType:
        """One instance type: ``ml.c6i.large``, or ``c6i.large`` of EC2."""
        if name in self.types:
            return self.types[name]
        if reason := self.absent.get(Key("aws", tables.INSTANCE, name, ANY)):
            raise PriceMissingError(f"The instance type {name} cannot be priced: {reason}.")
        raise PriceMissingError(
            f"There is no instance type '{name}'.", hint=_nearest(name, self.types)
        )

    def instances(self, region: str, mode: str) -> list[InstanceType]:
        """The types that have a price in this region and mode; none where none is known."""
        self._check(mode, region)
        if (region, mode) not in self._listed:
            kinds = self.types.values()
            found = [kind for kind in kinds if self._hourly(kind.name, region, mode) is not None]
            self._listed[region, mode] = found
        return list(self._listed[region, mode])

    def hourly(self, instance_type: str, region: str, mode: str) -> Price:
        """USD per hour: of an ``ml.`` type in ``hosting``, ``async``, ``batch-transform``; of an
        EC2 type in ``ec2`` or ``ec2-spot``."""
        self._check(mode, region)
        found = self._hourly(instance_type, region, mode)
        if found is not None:
            return found
        key = Key("aws", mode, instance_type, region)
        if self._reason(key) is None:
            self._check_type(instance_type, mode)
        raise self._missing(key)

    def item(self, provider: str, service: str, item: str, region: str) -> Price:
        """Any other price: ``item("aws", "lambda", "requests", region)``."""
        key = Key(provider, service, item, region)
        found = self._find(key)
        if found is not None:
            return found
        if self._reason(key) is None:
            for depth, what in enumerate(("provider", "service", "item")):
                names = self._by_prefix.get(tuple(key[:depth]), {}).get("next", set())
                if key[depth] not in names:
                    of = f" of {' '.join(key[:depth])}" if depth else ""
                    raise PriceMissingError(
                        f"There is no price of the {what} '{key[depth]}'{of}.",
                        hint=_nearest(key[depth], names),
                    )
        raise self._missing(key)

    def _find(self, key: Key) -> Price | None:
        return self.prices.get(key) or self.prices.get(key._replace(region=ANY))

    def _reason(self, key: Key) -> str | None:
        return self.absent.get(key) or self.absent.get(key._replace(region=ANY))

    def _hourly(self, name: str, region: str, mode: str) -> Price | None:
        key = Key("aws", mode, name, region)
        if found := self._find(key):
            return found
        if mode not in LIKE_HOSTING or self._reason(key) is not None:
            return None
        if name not in self.types or mode not in self.types[name].modes:
            return None
        hosting = self._find(key._replace(service="hosting"))
        if hosting is None or mode == "multi-model":
            return hosting
        source = f"{hosting.source}; {LIKE_HOSTING[mode]}"
        confidence = "user" if hosting.confidence == "user" else "B"
        return hosting.model_copy(update={"source": source, "confidence": confidence})

    def _check(self, mode: str, region: str) -> None:
        if mode not in MODES:
            raise PriceMissingError(f"There is no mode '{mode}'.", hint=_nearest(mode, MODES))
        if region not in self._aws_regions:
            raise PriceMissingError(
                f"No price is known in the region '{region}'.",
                hint=_nearest(region, self._aws_regions),
            )

    def _check_type(self, name: str, mode: str) -> None:
        """That a type is one of those of a mode, whether it has a price or not."""
        if mode in SAGEMAKER_MODES:
            kind = self.instance(name)
            if mode not in kind.modes:
                hint = f"Did you mean 'ml.{name}'?" if f"ml.{name}" in self.types else None
                raise PriceMissingError(f"SageMaker does not take {name} for {mode}.", hint=hint)
            return
        names = {key.item for key in self.prices if key[:2] == ("aws", mode)}
        if name not in names:
            raise PriceMissingError(
                f"No {mode} price of '{name}' is known in any region.", hint=_nearest(name, names)
            )

    @cached_property
    def _aws_regions(self) -> tuple[str, ...]:
        return tuple(self._regions("aws"))

    def _regions(self, *prefix: str) -> list[str]:
        """Regions of the keys that begin so."""
        return sorted(self._by_prefix.get(prefix, {}).get("region", ()))

    @cached_property
    def _by_prefix(self) -> dict[tuple[str, ...], dict[str, set[str]]]:
        """By the beginnings of all keys: the regions, and the names that come next (``next``)."""
        found: dict[tuple[str, ...], dict[str, set[str]]] = {}
        for key in self.prices:
            for depth in range(len(key)):
                entry = found.setdefault(tuple(key[:depth]), {"region": set(), "next": set()})
                entry["next"].add(key[depth])
                if key.region != ANY:
                    entry["region"].add(key.region)
        return found

    def _missing(self, key: Key) -> PriceMissingError:
        """The error of a price whose name is right: where it is known, or why it is not."""
        service = "hosting" if key.service in LIKE_HOSTING else key.service
        known = self._regions(key.provider, service, key.item)
        others = self._regions(key.provider)
        hint = "Nothing is derived from the prices of EC2; give yours in a price file."
        if known and key.region not in known:
            more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
            hint = f"It is known in {', '.join(known[:SHOWN])}{more}. {hint}"
        if key.region not in others and (close := _close(key.region, others)):
            hint = f"{close} {hint}"
        reason = self._reason(key)
        why = f": {reason}" if reason else ""
        return PriceMissingError(f"No {key} is known in {key.region}{why}.", hint=hint)


def _nearest(word: str, words: Collection[str]) -> str:
    close = _close(word, words)
    if close or len(words) <= 3 * SHOWN:
        return close or did_you_mean(word, sorted(words))
    return f"{len(words)} others are known."


def _close(word: str, words: Collection[str]) -> str | None:
    hint = did_you_mean(word, sorted(words))
    return hint if hint.startswith("Did you mean") else None
