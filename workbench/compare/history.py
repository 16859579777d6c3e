"""The trend over all runs below a folder: series by recipe, machine, variant and figure.

Runs are put in the order in which they were made. Figures of different machines never stand in one
series. Each point is compared with the one before it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from workbench.compare.changes import changes
from workbench.compare.costs import common_sequence, cost_change, costs
from workbench.compare.figures import relate
from workbench.compare.metrics import COST, Metric, Step, cells_of, parse_metric, step
from workbench.compare.records import Basis, Change, Cost, Told
from workbench.compare.sources import Source, same_files
from workbench.cost.catalog import Catalog
from workbench.cost.traffic import Traffic, recorded_traffic
from workbench.errors import InputError, WorkbenchError
from workbench.intervals import exact
from workbench.machine import same_machine
from workbench.plugins import did_you_mean
from workbench.records import Interval, Machine, Record, Setting, Skipped
from workbench.run_directory import RUN_FILE, load_run

OWN_TRAFFIC = "the traffic that each run's recipe names"
METRICS = ("size", "quality", "latency.p50")


class Point(Record):
    """One run's figure, and what it is against the point before.

    ``difference`` is the ratio of sizes (this over that), the difference of qualities (this minus
    that), how many times as fast as that it is, or none of money; ``basis`` says what it rests on.
    """

    run: str = Field(description="The run directory, relative to the folder.")
    created: str
    value: float
    low: float
    high: float
    told: Told | None = Field(None, description="None for the first point.")
    difference: Interval | None = None
    basis: str = ""
    changes: tuple[Change, ...] = Field((), description="What changed since the point before.")

    @property
    def flagged(self) -> bool:
        """Whether the change is larger than its interval."""
        return self.told in (Told.BETTER, Told.WORSE, Told.PERHAPS)


class Series(Record):
    """One figure of one variant of one recipe on one machine, in the order of time."""

    recipe: str
    machine: int = Field(description="Position in the history's machines.")
    variant: str
    metric: str
    setting: Setting | None = None
    unit: str
    better: Literal["more", "less", "neither"]
    points: tuple[Point, ...]
    whole: Point | None = Field(
        None, description="The last point against the first: what crept in small steps."
    )


class History(Record):
    """What ``workbench compare --history`` finds."""

    schema_version: Literal[1] = 1
    folder: str
    runs: int
    machines: tuple[Machine, ...]
    series: tuple[Series, ...]
    skipped: tuple[Skipped, ...] = Field((), description="Runs that could not be read, and why.")
    traffic: str | None = None
    region: str | None = None


@dataclass(frozen=True)
class Found:
    """The runs below a folder, oldest first, and what is no run."""

    sources: tuple[Source, ...]
    skipped: tuple[Skipped, ...]


def find_runs(folder: Path) -> Found:
    """All runs below a folder, set-asides included, in the order of time.

    What is no run of this workbench is reported by name and left out; so is a smoke run.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder.", hint="Give a folder of run directories.")
    found: list[Source] = []
    skipped: list[Skipped] = []
    for place in _run_folders(folder, skipped):
        label = place.relative_to(folder).as_posix()
        try:
            run = load_run(place)
            source = Source(run, label, place)
            _time(run.created)
            if not run.variants:
                raise ValueError("it holds no variant")
            _ = source.baseline
            for variant in run.variants:
                source.digest(variant.name)
        except (WorkbenchError, OSError, ValueError) as error:
            skipped.append(Skipped(name=label, reason=_reason(error)))
            continue
        if run.smoke:
            skipped.append(Skipped(name=label, reason="a smoke run: its figures say nothing"))
        else:
            found.append(source)
    found.sort(key=lambda source: (_time(source.run.created), source.label))
    return Found(tuple(found), tuple(skipped))


def _run_folders(folder: Path, skipped: list[Skipped]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        name = Path(error.filename).relative_to(folder).as_posix()
        skipped.append(Skipped(name=name, reason=str(error.strerror)))

    for place, folders, files in os.walk(folder, onerror=unreadable):
        folders.sort()
        if RUN_FILE in files:
            folders.clear()  # what lies in a run directory is its own
            yield Path(place)


def _reason(error: Exception) -> str:
    """One line, without what a validator adds for programmers."""
    text = error.message if isinstance(error, WorkbenchError) else str(error)
    return re.sub(r"\s*\[type=.*", "", " ".join(text.split()))


def _time(text: str) -> datetime:
    """Of ISO 8601; without a zone it is UTC."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def trend(
    folder: Path,
    *,
    metrics: Sequence[str] = METRICS,
    variants: Sequence[str] = (),
    since: str | None = None,
    traffic: Traffic | None = None,
    region: str = "us-east-1",
) -> History:
    """The trend of figures over all runs below a folder.

    Args:
        folder: of run directories, at any depth.
        metrics: as gates name them, ``latency.p50[batch=1]``; or ``cost``.
        variants: only these; none: all.
        since: an ISO date or time; earlier runs are left out.
        traffic: what ``cost`` prices; none: what each recipe names.
        region: of the prices.

    Raises:
        InputError: no such folder, metric, variant or date; ``cost`` without traffic.
    """
    wanted = [parse_metric(text) for text in metrics]
    try:
        start = _time(since) if since else None
    except ValueError:
        hint = "Write it like 2026-11-25 or 2026-11-25T14:00."
        raise InputError(f"--since {since} is no date.", hint=hint) from None
    found = find_runs(folder)
    known = list(dict.fromkeys(v.name for s in found.sources for v in s.run.variants))
    for name in variants:
        if name not in known:
            raise InputError(f"No run has a variant '{name}'.", hint=did_you_mean(name, known))
    sources = [s for s in found.sources if start is None or _time(s.run.created) >= start]
    machines: list[Machine] = []
    groups: dict[tuple[str, int], list[Source]] = {}
    for source in sources:
        recipe = str(source.run.recipe.get("name", source.run.name))
        groups.setdefault((recipe, _place(source.run.machine, machines)), []).append(source)
    priced = any(metric.name == COST for metric in wanted)
    series = [
        one
        for (recipe, machine), group in groups.items()
        for metric in wanted
        for one in _series(recipe, machine, group, metric, variants or known, traffic, region)
    ]
    return History(
        folder=str(folder),
        runs=len(sources),
        machines=tuple(machines),
        series=tuple(series),
        skipped=found.skipped,
        traffic=(traffic.describe() if traffic else OWN_TRAFFIC) if priced else None,
        region=region if priced else None,
    )


def _place(machine: Machine, machines: list[Machine]) -> int:
    """Position of a machine among those that were seen; versions are no part of a machine."""
    bare = machine.model_copy(update={"versions": {}, "load_average": 0.0})
    for index, known in enumerate(machines):
        if not same_machine(known, bare):
            return index
    machines.append(bare)
    return len(machines) - 1


@dataclass(frozen=True)
class _Figure:
    """A figure of a run; ``cost`` where it is money."""

    source: Source
    value: Interval
    cost: Cost | None = None


def _series(
    recipe: str,
    machine: int,
    group: Sequence[Source],
    metric: Metric,
    variants: Sequence[str],
    traffic: Traffic | None,
    region: str,
) -> Iterator[Series]:
    names = [name for name in variants if any(source.result(name) for source in group)]
    money = _money(group, names, traffic, region) if metric.name == COST else {}
    for name in names:
        values: dict[Setting | None, list[_Figure]] = {}
        for source in group:
            if metric.name == COST:
                cost = money.get((source.label, name))
                if cost is not None and cost.usd is not None:
                    values.setdefault(None, []).append(_Figure(source, _usd(cost), cost))
                continue
            result = source.result(name)
            if result is not None and result.measurement is not None:
                for setting, value in cells_of(metric, result.measurement):
                    values.setdefault(setting, []).append(_Figure(source, value))
        for setting, found in values.items():
            yield Series(
                recipe=recipe,
                machine=machine,
                variant=name,
                metric=metric.text,
                setting=setting,
                unit=metric.unit,
                better=metric.better,
                points=tuple(_points(found, metric, name, setting)),
                whole=(
                    _against(found[0], found[-1], metric, name, setting) if len(found) > 2 else None
                ),
            )


def _points(
    found: Sequence[_Figure], metric: Metric, variant: str, setting: Setting | None
) -> Iterator[Point]:
    for index, figure in enumerate(found):
        if index == 0:
            yield _plain(figure)
        else:
            yield _against(found[index - 1], figure, metric, variant, setting)


def _plain(figure: _Figure) -> Point:
    return Point(
        run=figure.source.label,
        created=figure.source.run.created,
        value=figure.value.value,
        low=figure.value.low,
        high=figure.value.high,
    )


def _against(
    before: _Figure, figure: _Figure, metric: Metric, variant: str, setting: Setting | None
) -> Point:
    """A point, held against an earlier one."""
    one, other = before.source, figure.source
    if metric.name == COST:
        change = cost_change(
            before.cost,
            figure.cost,
            one_run=False,
            one_machine=not relate(one, other).machine,
            identical=same_files(one, variant, other, variant),
        )
        made = Step(change.told if change else Told.NOTHING, None, Basis.RAW.value)
    else:
        made = step(metric, one, other, variant, setting, (before.value, figure.value))
    return _plain(figure).model_copy(
        update={
            "told": made.told,
            "difference": made.difference,
            "basis": made.basis,
            "changes": changes(one, other, [(variant, variant)]),
        }
    )


def _money(
    group: Sequence[Source], names: Sequence[str], traffic: Traffic | None, region: str
) -> dict[tuple[str, str], Cost]:
    """A month on the best option by run and variant."""
    catalog, sequence = Catalog.standard(), common_sequence(group)
    found: dict[tuple[str, str], Cost] = {}
    for source in group:
        load = traffic or recorded_traffic(source.run)
        if load is None:
            raise InputError(
                f"The recipe of {source.label} names no traffic to price.",
                hint="Give --requests 2M or --traffic FILE.",
            )
        own = [name for name in names if source.result(name)]
        priced = costs(source, own, load, region=region, sequence=sequence, catalog=catalog)
        found |= {(source.label, name): cost for name, cost in priced.items()}
    return found


def _usd(cost: Cost) -> Interval:
    assert cost.usd is not None
    return exact(float(cost.usd.mid)).model_copy(
        update={"low": float(cost.usd.low), "high": float(cost.usd.high), "method": "predicted"}
    )
