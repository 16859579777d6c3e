"""``package.json``: what a package holds, where it comes from, and what was measured of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from workbench.records import FileRecord, Machine, Measurement, Record, Signature, Verdict

PACKAGE_FILE = "package.json"
CONTRACT = "SageMaker hosting contract, clauses C1–C30 (workbench verify), as of 2026-09"
Endpoint = Literal["single", "multi", "pipeline"]


class CostEstimate(Record):
    """A month's hosting of one model on its best option, as ``workbench cost`` found it."""

    option: str
    place: str
    region: str
    traffic: str
    usd: tuple[Decimal, Decimal, Decimal]
    """Low, mid, high: US dollars a month."""
    measured: bool
    basis: str


class PackagedModel(Record):
    """One model of a package.

    ``measurement`` and what follows are none for an artifact that belongs to no run. ``digest`` is
    that of the artifact's content, the archive's own stands in ``files`` of the package.
    """

    name: str
    archive: str
    digest: str
    signature: Signature
    run: str | None = None
    variant: str | None = None
    measurement: Measurement | None = None
    machine: Machine | None = None
    measured: str | None = None
    gates: tuple[Verdict, ...] = ()
    cost: CostEstimate | None = None


class LayerRecord(Record):
    """One layer of an image; bytes as transferred and unpacked."""

    title: str
    digest: str
    diff_id: str
    bytes: int
    unpacked_bytes: int


class ImageRecord(Record):
    """An image that was built for a package."""

    name: str
    digest: str
    form: Literal["docker", "oci"]
    built_with: str
    archive: str | None = None
    bytes: int
    layers: tuple[LayerRecord, ...] = ()
    pushed: str | None = None


class Package(Record):
    """``package.json``; ``files`` lists all others of the folder but the image."""

    schema_version: Literal[1] = 1
    name: str
    endpoint: Endpoint
    contract: str = CONTRACT
    server: str
    workbench: str
    models: tuple[PackagedModel, ...]
    files: dict[str, FileRecord]
    image: ImageRecord | None = None
