"""The shipped tables: CSV files beside this one, in which each row has its source and date."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path

from workbench.cost.catalog.records import ANY, EC2_MODES, InstanceType, Key
from workbench.cost.money import Price, Unit

INSTANCE = "instance"
"""Service under which ``absent`` names a type whose hardware is not known."""


@cache
def types() -> dict[str, InstanceType]:
    """The types whose hardware is known, by name: ``ml.c6i.large``, and EC2's own ``c6i.large``.

    SageMaker's types are EC2's; the rows are from EC2's own description of them.
    """
    hosted = [_instance(row) for row in _rows("instances.csv") if row["vcpus"]]
    own = {"modes": EC2_MODES}
    plain = [kind.model_copy(update={"name": kind.name[3:], **own}) for kind in hosted]
    return {kind.name: kind for kind in (*hosted, *plain)}


@cache
def prices() -> dict[Key, Price]:
    """All shipped prices; those of ``hourly.csv`` are USD per hour."""
    found: dict[Key, Price] = {}
    for row in _rows("hourly.csv"):
        key = Key("aws", row["mode"], row["type"], row["region"])
        found[key] = _price(row, Unit.HOUR, key.region)
    for row in _rows("items.csv"):
        key = Key(row["provider"], row["service"], row["item"], row["region"])
        found[key] = _price(row, Unit(row["per"]), key.region)
    return found


@cache
def absent() -> dict[Key, str]:
    """What was looked for and is not shipped, with the reason."""
    found = {
        Key(row["provider"], row["service"], row["item"], row["region"]): row["reason"]
        for row in _rows("absent.csv")
    }
    for row in _rows("instances.csv"):
        if not row["vcpus"]:
            found[Key("aws", INSTANCE, row["type"], ANY)] = "its hardware is not known"
    return found


@cache
def sources() -> dict[str, str]:
    """Where rows are from: the text of each source by its short name."""
    return {row["source"]: row["text"] for row in _rows("sources.csv")}


def _rows(name: str) -> Iterator[dict[str, str]]:
    with Path(__file__).with_name(name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _price(row: dict[str, str], per: Unit, region: str) -> Price:
    text = sources()[row["source"]]
    return Price.model_validate(
        {
            "usd": Decimal(row["usd"]),
            "per": per,
            "source": f"{text}; {row['note']}" if row.get("note") else text,
            "as_of": row["as_of"],
            "confidence": row["confidence"],
            "region": None if region == ANY else region,
        }
    )


def _instance(row: dict[str, str]) -> InstanceType:
    return InstanceType(
        name=row["type"],
        family=row["type"].split(".")[1],
        vcpus=int(row["vcpus"]),
        cores=int(row["cores"]) if row["cores"] else None,
        memory_gib=Decimal(row["memory_gib"]),
        architecture=row["architecture"],
        cpu=row["cpu"],
        isa=tuple(row["isa"].split()) or None,
        accelerator=row["accelerator"] or None,
        accelerators=int(row["accelerators"] or 0),
        local_storage=row["local_storage"] == "yes",
        modes=tuple(row["modes"].split()),
        source=sources()[row["source"]],
        as_of=row["as_of"],
    )
