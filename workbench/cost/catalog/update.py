"""Fresh prices of SageMaker hosting from the AWS Price List Query API, as a price file.

The list has the same ``ml.*`` name once for each component (training, notebooks, hosting, …) at
different prices, and entries of 0 USD. So an entry is taken by its usage type and only if it costs
something; what is ambiguous is left out and named in the file.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from workbench.cost.catalog import tables
from workbench.cost.catalog.records import Key
from workbench.cost.money import Unit
from workbench.errors import InputError, MissingError

SERVICE = "AmazonSageMaker"
API_REGION = "us-east-1"
"""The API is at few regions only; this one has the prices of all."""
SOURCE = "AWS Price List Query API, AmazonSageMaker, usage type {}"
UNITS = {
    "hrs": Unit.HOUR,
    "hours": Unit.HOUR,
    "hour": Unit.HOUR,
    "second": Unit.SECOND,
    "seconds": Unit.SECOND,
    "gb": Unit.GB,
    "gb-mo": Unit.GB_MONTH,
}
"""Units as the Price List spells them, in small letters."""
INSTANCE = re.compile(r"(?:^|-)(Host|AsyncInf|Tsform):(ml\..+)$")
INSTANCE_MODES = {"Host": "hosting", "AsyncInf": "async", "Tsform": "batch-transform"}
SERVERLESS = re.compile(r"(?:^|-)(ServerlessInf:Mem|ProvisionedConcurrency:(?:Usage|Mem))-(\d+)GB$")
SERVERLESS_ITEMS = {
    "ServerlessInf:Mem": "duration",
    "ProvisionedConcurrency:Usage": "provisioned-usage",
    "ProvisionedConcurrency:Mem": "provisioned-duration",
}
STORAGE = re.compile(r"(?:^|-)Host:VolumeUsage\.gp2$")
DATA_GROUPS = {"Hosting:IN": "data-processed-in", "Hosting:OUT": "data-processed-out"}


@dataclass(frozen=True)
class Entry:
    """One price of the list."""

    usd: Decimal
    per: Unit
    usage_type: str
    as_of: str


def update_prices(
    regions: Sequence[str], client: Any = None, path: Path = Path("sagemaker-prices.yaml")
) -> Path:
    """Write the current prices of regions to a file for ``Catalog.overlay``, and return its path.

    ``client`` is boto3's for ``pricing``; it needs credentials that may call GetProducts.

    Raises:
        MissingError: boto3 is not installed, or the API does not answer.
        InputError: no region is given, or the list has no hosting price in one.
    """
    if not regions:
        raise InputError("No region is given.", hint="Such as us-east-1.")
    client = client or _client()
    found: dict[Key, Entry] = {}
    left_out: set[Key] = set()
    for region in dict.fromkeys(regions):
        taken, doubtful = select(_products(client, region), region)
        if not any(key.service == "hosting" for key in taken):
            raise InputError(
                f"The Price List has no hosting price in '{region}'.", hint="Is it a region of AWS?"
            )
        found |= taken
        left_out |= doubtful
    path.write_text(_yaml(found, left_out), encoding="utf-8")
    return path


def select(products: Iterable[Mapping[str, Any]], region: str) -> tuple[dict[Key, Entry], set[Key]]:
    """The prices of hosting among products of the list, and what has more than one price.

    Types that the catalog does not know (accelerators of Elastic Inference) are passed over.
    """
    found: dict[Key, Entry] = {}
    doubtful: set[Key] = set()
    for product in products:
        attributes = product.get("product", {}).get("attributes", {})
        key = _key(attributes, product.get("product", {}).get("productFamily", ""), region)
        if key is None:
            continue
        for entry in _entries(product, attributes.get("usagetype", "")):
            if found.setdefault(key, entry).usd != entry.usd or found[key].per != entry.per:
                doubtful.add(key)
    return {key: entry for key, entry in found.items() if key not in doubtful}, doubtful


def _key(attributes: Mapping[str, str], family: str, region: str) -> Key | None:
    if attributes.get("regionCode") != region:
        return None
    usage = attributes.get("usagetype", "")
    if match := INSTANCE.search(usage):
        mode, name = INSTANCE_MODES[match[1]], match[2]
        other = mode == "hosting" and attributes.get("component") != "Hosting"
        return None if other or name not in tables.types() else Key("aws", mode, name, region)
    if (match := SERVERLESS.search(usage)) and family == "ML Serverless":
        item = f"{SERVERLESS_ITEMS[match[1]]}-{int(match[2]) * 1024}"
        return Key("aws", "sagemaker-serverless", item, region)
    if STORAGE.search(usage):
        return Key("aws", "sagemaker", "hosting-storage", region)
    if attributes.get("group") in DATA_GROUPS and attributes.get("operation") == "Invoke-Endpoint":
        return Key("aws", "sagemaker", DATA_GROUPS[attributes["group"]], region)
    return None


def _entries(product: Mapping[str, Any], usage: str) -> Iterator[Entry]:
    """On-demand prices of the first tier; those of 0 USD and in unknown units are passed over."""
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        as_of = str(product.get("publicationDate") or term.get("effectiveDate") or "")[:10]
        for dimension in term.get("priceDimensions", {}).values():
            unit = UNITS.get(str(dimension.get("unit", "")).lower())
            try:
                usd = Decimal(dimension.get("pricePerUnit", {}).get("USD", ""))
            except InvalidOperation:
                continue
            if unit is None or usd <= 0 or dimension.get("beginRange", "0") != "0" or not as_of:
                continue
            yield Entry(usd, unit, usage, as_of)


def _products(client: Any, region: str) -> Iterator[dict[str, Any]]:
    """All products of the service in a region, page by page."""
    errors = importlib.import_module("botocore.exceptions")
    wanted = [{"Type": "TERM_MATCH", "Field": "regionCode", "Value": region}]
    pages = client.get_paginator("get_products").paginate(
        ServiceCode=SERVICE, Filters=wanted, FormatVersion="aws_v1"
    )
    try:
        for page in pages:
            for text in page.get("PriceList", []):
                yield json.loads(text)
    except (errors.BotoCoreError, errors.ClientError) as error:
        raise MissingError(
            f"The AWS Price List API does not answer: {error}.",
            hint="It needs credentials that may call pricing:GetProducts.",
        ) from error


def _client() -> Any:
    try:
        boto3 = importlib.import_module("boto3")
    except ImportError:
        raise MissingError(
            "Updating the prices needs boto3.", hint="pip install 'workbench[sagemaker]'"
        ) from None
    return boto3.client("pricing", region_name=API_REGION)


def _yaml(found: Mapping[Key, Entry], left_out: Iterable[Key]) -> str:
    lines = ["# Prices of SageMaker hosting, read from the AWS Price List Query API. Do not edit."]
    for key in sorted(left_out):
        lines.append(f"# left out: the {key} in {key.region}, which has more than one price")
    lines += [_row(key, entry) for key, entry in sorted(found.items())]
    return "\n".join(lines) + "\n"


def _row(key: Key, entry: Entry) -> str:
    row = (
        {"type": key.item, "mode": key.service}
        if key.service in INSTANCE_MODES.values()
        else {"provider": key.provider, "service": key.service, "item": key.item}
    )
    row |= {"region": key.region, "usd": f"{entry.usd.normalize():f}", "per": str(entry.per)}
    row |= {"source": json.dumps(SOURCE.format(entry.usage_type)), "as_of": f'"{entry.as_of}"'}
    return f"- {{{', '.join(f'{name}: {value}' for name, value in row.items())}}}"
