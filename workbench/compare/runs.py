"""Comparing two runs, or more of them with the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from workbench.compare.changes import changes, samples_of
from workbench.compare.costs import common_sequence, cost_change, costs
from workbench.compare.evaluate import evaluate
from workbench.compare.figures import (
    difference,
    drifts,
    footprint_reason,
    measured,
    quality_reason,
    relate,
)
from workbench.compare.records import (
    ComparedRun,
    Comparison,
    Cost,
    Difference,
    Figures,
    Relation,
    VariantComparison,
)
from workbench.compare.sources import Source, as_sources
from workbench.cost.catalog import Catalog
from workbench.cost.traffic import Traffic, recorded_traffic
from workbench.errors import InputError
from workbench.plugins import did_you_mean
from workbench.records import Run

REGION = "us-east-1"
Row = tuple[str | None, ...]
"""Names of one variant, a column a run; none where a run has no such variant."""


def compare_runs(
    runs: Sequence[Run | Source],
    *,
    variants: Sequence[str] = (),
    traffic: Traffic | None = None,
    region: str = REGION,
    paired: bool = False,
) -> Comparison:
    """Compare runs with the first of them: what changed, and the figures side by side.

    Args:
        runs: records, or sources (which know their folder, and thereby their artifacts).
        variants: only these; none: all that have a partner by name.
        traffic: what is priced; none: what the recipe of the first run names, if it does.
        region: of the prices.
        paired: judge quality again on the task's data where the runs recorded nothing paired.

    Raises:
        InputError: fewer than two runs, one that is given twice, a smoke run beside one that is
            none, an unknown variant or region.
        DataError, MissingError: paired, and the data cannot be had or are not those of the runs.
        CorruptError: an artifact's manifest beside a run cannot be read.
    """
    sources = as_sources(runs)
    reference = sources[0]
    rows = list(_rows(sources, variants))
    unmatched = _unmatched(sources, rows, variants)
    if not rows:
        names = {one.label: [v.name for v in one.run.variants] for one in sources}
        told = "; ".join(f"{label}: {', '.join(own)}" for label, own in names.items())
        raise InputError(
            f"No variant has a partner of its name ({told}).",
            hint="Name one of each run: RUN:VARIANT RUN:VARIANT.",
        )
    relations = [relate(reference, other) for other in sources[1:]]
    load = traffic or recorded_traffic(reference.run)
    smoke = reference.run.smoke
    priced: list[dict[str, Cost]] = [{} for _ in sources]
    notes: list[str] = []
    if load is not None and not smoke:
        try:
            priced = _priced(sources, rows, load, region)
        except InputError as error:
            if traffic is not None or region != REGION:
                raise
            notes.append(f"Not priced: {error.message}")
    elif region != REGION and not smoke:
        notes.append("Not priced: no traffic is given, nor does the first run's recipe name one.")
    notes += _notes(sources, relations)
    pairs = [[(row[0], row[i]) for row in rows] for i in range(len(sources))]
    found = [
        change
        for i, other in enumerate(sources)
        if i
        for change in changes(reference, other, [(a, b) for a, b in pairs[i] if a and b])
    ]
    return Comparison(
        smoke=smoke,
        runs=tuple(map(_compared, sources)),
        changes=tuple(found),
        relations=tuple(relations),
        variants=tuple(_variant(sources, row, relations, priced, paired) for row in rows),
        unmatched=unmatched,
        traffic=load.describe() if load and any(priced) else None,
        region=region if load and any(priced) else None,
        notes=tuple(dict.fromkeys(notes)),
    )


def _rows(sources: Sequence[Source], variants: Sequence[str]) -> Iterator[Row]:
    """The variants that are compared: by name, or those that the sources name."""
    for name in variants:
        known = list(dict.fromkeys(v.name for s in sources for v in s.run.variants))
        if name not in known:
            raise InputError(f"No run has a variant '{name}'.", hint=did_you_mean(name, known))
    chosen = next((one.variant for one in sources if one.variant), None)
    if chosen is not None:
        if variants:
            raise InputError("--variant and RUN:VARIANT are two ways to say one thing.")
        for one, other in combinations(sources, 2):
            if one.same_run(other) and (one.variant or chosen) == (other.variant or chosen):
                raise InputError(f"{one.label} and {other.label} are the same variant of one run.")
        yield tuple(_found(one, one.variant or chosen) for one in sources)
        return
    for result in sources[0].run.variants:
        row = tuple(_found(one, result.name) for one in sources)
        if any(row[1:]) and (not variants or result.name in variants):
            yield row


def _found(source: Source, name: str) -> str | None:
    return name if source.result(name) else None


def _unmatched(
    sources: Sequence[Source], rows: Sequence[Row], variants: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Variants of each run that stand in no row (of those that were asked for)."""
    if any(one.variant for one in sources):
        return {}
    found = {}
    for index, one in enumerate(sources):
        taken = {row[index] for row in rows}
        names = (v.name for v in one.run.variants if not variants or v.name in variants)
        if left := tuple(name for name in names if name not in taken):
            found[one.label] = left
    return found


def _priced(
    sources: Sequence[Source], rows: Sequence[Row], traffic: Traffic, region: str
) -> list[dict[str, Cost]]:
    sequence, catalog = common_sequence(sources), Catalog.standard()
    return [
        costs(
            one,
            [name for row in rows if (name := row[index])],
            traffic,
            region=region,
            sequence=sequence,
            catalog=catalog,
        )
        for index, one in enumerate(sources)
    ]


def _variant(
    sources: Sequence[Source],
    row: Row,
    relations: Sequence[Relation],
    priced: Sequence[dict[str, Cost]],
    paired: bool,
) -> VariantComparison:
    reference, first = sources[0], row[0]
    figures = [
        _figures(one, name, own.get(name)) if name else None
        for one, name, own in zip(sources, row, priced, strict=True)
    ]
    found: list[Difference | None] = [None]
    for index, (other, relation) in enumerate(zip(sources[1:], relations, strict=True), 1):
        partner, made = row[index], None
        if first and partner:
            made = difference(reference, first, other, partner, relation)
            judged = made is not None and made.quality.basis in ("differences", "intervals")
            if made is not None and judged and paired and not reference.run.smoke:
                again = evaluate(reference, first, other, partner)
                made = made.model_copy(update={"quality": again})
        if made is not None and first and partner:
            change = cost_change(
                priced[0].get(first),
                priced[index].get(partner),
                one_run=relation.same_run,
                one_machine=not relation.machine,
                identical=made.identical,
            )
            made = made.model_copy(update={"cost": change})
        found.append(made)
    names = list(dict.fromkeys(name for name in row if name))
    return VariantComparison(
        name=" → ".join(names), figures=tuple(figures), differences=tuple(found)
    )


def _figures(source: Source, name: str, cost: Cost | None) -> Figures | None:
    found = measured(source, name)
    if found is None:
        return None
    return Figures(
        variant=name,
        digest=source.digest(name),
        footprint=found.footprint,
        quality=found.quality.model_copy(update={"worst": ()}) if found.quality else None,
        latency=tuple(cell.model_copy(update={"samples_ms": ()}) for cell in found.latency),
        cost=cost,
    )


def _compared(source: Source) -> ComparedRun:
    run = source.run
    return ComparedRun(
        label=source.label,
        name=run.name,
        path=None if source.folder is None else str(source.folder),
        variant=source.variant,
        created=run.created,
        measured=run.measured,
        smoke=run.smoke,
        model=run.model,
        task=run.task,
        samples=samples_of(source),
        machine=run.machine,
        baseline=source.baseline.name,
        baseline_digest=source.digest(source.baseline.name),
        variants=tuple(v.name for v in run.variants),
    )


def _notes(sources: Sequence[Source], relations: Sequence[Relation]) -> Iterator[str]:
    """What may not be compared, and what the comparisons rest on; a sentence each."""
    reference = sources[0]
    if reference.run.smoke:
        yield "Smoke runs: few samples and, as a rule, random weights; no figure says anything."
    for other, relation in zip(sources[1:], relations, strict=True):
        yield from (f"{other.label}: {text}" for text in _told(reference, other, relation))


def _told(reference: Source, other: Source, relation: Relation) -> Iterator[str]:
    if relation.same_run:
        yield "the same run, measured interleaved: directly comparable."
        return
    if why := quality_reason(reference, other):
        yield f"quality is not compared: {why}."
    if relation.machine:
        told = "; ".join(relation.machine)
        if relation.normalised:
            yield (
                f"measured on another machine ({told}): times are not compared, only speed-ups "
                "over the same baseline, each on its own machine."
            )
        else:
            yield (
                f"latency is not compared: {told}; and not normalised, as "
                f"{relation.why_not_normalised}."
            )
    elif relation.normalised:
        yield (
            "measured at another time: speeds are ratios of the speed-ups over the same baseline, "
            "which drift leaves alone."
        )
    else:
        yield (
            "measured at another time, and drift is in the ratios of times: not normalised, as "
            f"{relation.why_not_normalised}."
        )
    if (why := footprint_reason(reference, other, relation)) is not None:
        yield f"memory and load time are not compared: {why}."
    if drift := [cell.speed.value for cell in drifts(reference, other, relation) if cell.speed]:
        low, high = min(drift), max(drift)
        span = f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
        yield f"the same baseline ran {span} times as fast as in {reference.label}: that is drift."
