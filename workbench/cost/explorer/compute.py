"""Computes what the cost explorer shows: for all variants, at all steps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

from workbench.cost.catalog import Catalog
from workbench.cost.explorer import axes
from workbench.cost.explorer.pack import Packed
from workbench.cost.explorer.prices import PriceBook
from workbench.cost.explorer.search import Search
from workbench.cost.options import options
from workbench.cost.profile import ServiceProfile
from workbench.cost.savings_plan import MOST
from workbench.cost.traffic import MONTH_HOURS, Traffic
from workbench.progress import Progress, Work
from workbench.records import Record
from workbench.store import Store

LABEL = "cost explorer"
SECONDS = 3.0
"""A guess of what a variant takes, for the time left."""


class Exploration(Record):
    """The findings, as JSON text that ``pack.py`` describes."""

    text: str

    def data(self) -> dict[str, Any]:
        """Plain JSON values."""
        found: dict[str, Any] = json.loads(self.text)
        return found


def explore(
    profiles: Sequence[ServiceProfile],
    traffic: Traffic,
    catalog: Catalog,
    *,
    region: str,
    hours: int = MONTH_HOURS,
    store: Store | None = None,
    progress: Progress | None = None,
) -> Exploration:
    """Size every option for all variants at all steps of volume, objective and region.

    Args:
        profiles: of the variants; the baseline is marked as such.
        traffic: its volume and objective are steps too; its shape and payload hold for all.
        catalog: the prices.
        region: that is shown first; the regions where more is known can be chosen too.
        hours: of the month.
        store: where what was found before is kept; none: it is computed anew.
        progress: told how far it is.

    Raises:
        InputError: no price is known in the region, or a log of the traffic cannot be read.
    """
    progress = progress or Progress()
    progress.plan([Work(LABEL, SECONDS * len(profiles))])
    progress.start(LABEL)
    began = perf_counter()
    made = False

    def make() -> Exploration:
        nonlocal made
        made = True
        found = _explored(profiles, traffic, catalog, region, hours, progress)
        return Exploration(text=json.dumps(found, separators=(",", ":"), allow_nan=False))

    key = _key(profiles, traffic, catalog, region, hours)
    result = make() if store is None else store.record(key, Exploration, make)
    progress.finish(LABEL, perf_counter() - began, reused=not made)
    return result


def _explored(
    profiles: Sequence[ServiceProfile],
    traffic: Traffic,
    catalog: Catalog,
    region: str,
    hours: int,
    progress: Progress,
) -> dict[str, Any]:
    volumes = axes.volumes(traffic)
    objectives = axes.objectives(profiles, traffic.p99_ms)
    regions = axes.regions(catalog, region)
    kinds = [kind() for kind in options().values()]
    prices = PriceBook(catalog)
    packed = Packed(kinds, regions, prices)
    points, refused = [], []
    for number, profile in enumerate(profiles):
        search = Search(profile, traffic, kinds, regions, prices, hours)
        columns = []
        for step, volume in enumerate(volumes):
            columns.append([packed.point(number, f) for f in search.at(volume, objectives)])
            progress.advance(number * len(volumes) + step + 1, len(profiles) * len(volumes))
        by_objective = list(zip(*columns, strict=True))
        points.append([[rows for rows, _ in column] for column in by_objective])
        refused.append([[why for _, why in column] for column in by_objective])
    return {
        "hours": hours,
        "volumes": [str(volume) for volume in volumes],
        "own": volumes.index(traffic.requests),
        "objectives": objectives,
        "asked": objectives.index(traffic.p99_ms),
        "regions": regions,
        "most": int(MOST * 100),
        "variants": [{"name": profile.name, "integer": profile.integer} for profile in profiles],
        "points": points,
        "why": refused,
        **packed.data(),
    }


def _key(
    profiles: Sequence[ServiceProfile], traffic: Traffic, catalog: Catalog, region: str, hours: int
) -> str:
    digest = hashlib.sha256(_code().encode())
    for profile in profiles:
        digest.update(profile.model_dump_json().encode())
    digest.update(f"{traffic.model_dump_json()} {region} {hours}".encode())
    # A log is named by its path only; what is in it may be another.
    digest.update(traffic.per_minute(hours).tobytes())
    for key, price in sorted(catalog.prices.items()):
        digest.update(f"{key!r} {price!r}".encode())
    for name, kind in sorted(catalog.types.items()):
        digest.update(f"{name} {kind!r}".encode())
    for absent, why in sorted(catalog.absent.items()):
        digest.update(f"{absent!r} {why}".encode())
    return f"cost-explorer-{digest.hexdigest()}"


@cache
def _code() -> str:
    """Digest of the engine: what it finds may change with it."""
    folder = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".yaml"):
            digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
