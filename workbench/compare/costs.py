"""What a month costs in each run, on the best option of each variant, and how that differs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal

from workbench.compare.records import Cost, CostChange, Told
from workbench.compare.sources import Source
from workbench.cost.catalog import Catalog
from workbench.cost.plan import Plan, VariantPlan
from workbench.cost.planner import plan
from workbench.cost.profile import profiles_of_run
from workbench.cost.ranges import Range
from workbench.cost.traffic import Traffic
from workbench.errors import InputError

ON_GPU = " (gpu)"
"""What :func:`profiles_of_run` adds to the name of a variant that was measured on a GPU too."""


def common_sequence(sources: Sequence[Source]) -> int | None:
    """The longest sequence length that all runs measured; none where a model has no such axis.

    Raises:
        InputError: the runs have no length in common.
    """
    lengths = [
        {cell.setting.sequence for v in s.run.variants if v.measurement
         for cell in v.measurement.latency}
        for s in sources
    ]  # fmt: skip
    measured = [found for found in lengths if found]
    common = set.intersection(*measured) if measured else {None}
    if not common:
        raise InputError(
            "The runs have no sequence length in common, so that one traffic cannot be priced.",
            hint="Run them with the same profile.sequence.",
        )
    return max(common, key=lambda length: length or 0)


def costs(
    source: Source,
    names: Collection[str],
    traffic: Traffic,
    *,
    region: str,
    sequence: int | None,
    catalog: Catalog,
) -> dict[str, Cost]:
    """A month on the best option for each of the named variants of a run.

    Args:
        source: the run.
        names: of its variants.
        traffic: what is asked of it in a month of 730 hours.
        region: of the prices.
        sequence: tokens of a request, one that the run measured.
        catalog: the prices.

    Raises:
        InputError: the region is not known.
    """
    try:
        found = profiles_of_run(source.run)
    except InputError as error:
        return {name: Cost(why=error.message) for name in names}
    profiles = [p for p in found if p.name.removesuffix(ON_GPU) in names]
    if not profiles:
        return {name: Cost(why="no latency was measured") for name in names}
    made = plan(profiles, traffic, catalog, region=region, sequence=sequence, break_evens=False)
    return {name: _cost(made, name) for name in names}


def _cost(made: Plan, name: str) -> Cost:
    of_name = [v for v in made.variants if v.variant.removesuffix(ON_GPU) == name]
    possible = [v for v in of_name if v.best]
    if not possible:
        reasons = [r.reasons[-1] for v in of_name for r in v.refusals]
        return Cost(why=reasons[0] if reasons else "no latency was measured")
    best = min(possible, key=_usd).best
    assert best is not None
    return Cost(
        option=best.option,
        place=str(best.place),
        usd=best.usd,
        p99_ms=best.p99_ms.mid,
        measured=best.measured,
        why=best.basis,
    )


def _usd(variant: VariantPlan) -> Decimal:
    assert variant.best is not None
    return variant.best.usd.mid


def cost_change(
    before: Cost | None,
    after: Cost | None,
    *,
    one_run: bool,
    one_machine: bool,
    identical: bool | None,
) -> CostChange | None:
    """The difference a month, told only where its whole range lies on one side of 0.

    A bill follows the times that its run measured. Between two runs drift moves them, and with
    them the bill, so that no difference is told without that doubt; of the same files on one
    machine none is told at all.

    A predicted range is that of one factor: how fast the place is against the machine that was
    measured. Where option, place, what the prediction rests on and the machine are the same, that
    factor is the same, and low is held against low, high against high. Else end is held against
    end.
    """
    if before is None or after is None or before.usd is None or after.usd is None:
        return None
    one, other = before.usd, after.usd
    mid = other.mid - one.mid
    common = one_machine and all(
        getattr(before, key) == getattr(after, key) for key in ("option", "place", "why")
    )
    if common:
        ends = sorted((other.low - one.low, mid, other.high - one.high))
    else:
        ends = [other.low - one.high, mid, other.high - one.low]
    usd: Range[Decimal] = Range(low=ends[0], mid=mid, high=ends[2])
    if usd.low <= 0 <= usd.high or (identical and one_machine):
        return CostChange(usd=usd, told=Told.NOT_APART)
    if not one_run:
        return CostChange(usd=usd, told=Told.PERHAPS)
    return CostChange(usd=usd, told=Told.BETTER if usd.high < 0 else Told.WORSE)
