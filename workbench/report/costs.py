"""A cost plan as grids, as CSV, and as one sentence. Money is rounded here and nowhere else."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal

from workbench.cost.frontier import ALIKE
from workbench.cost.plan import Estimate, FrontierPoint, Plan, VariantPlan
from workbench.report.grids import NONE, Grid, ms_text

COLUMNS = ("option", "where", "instances", "p99 ms", "USD a month", "range", "per 1,000", "per 1 M")
FRONTIER_NOTES = (
    f"p99 within {ALIKE:.0%} of each other count as alike. Each fleet is the smallest that keeps "
    "the objective (p99 in --traffic); a tighter one buys latency with more instances.",
)


def headline(plan: Plan) -> str:
    """What was asked, in a line."""
    asked = plan.modifiers.describe()
    where = f"{plan.region}, a month of {plan.hours} hours, USD; {plan.traffic}"
    return f"{where}; {asked}" if asked else where


def cost_grids(plan: Plan, top: int | None = None) -> Iterator[Grid]:
    """A grid for each variant, and one of what is not possible."""
    for variant in plan.variants:
        shown = variant.estimates[:top]
        title = f"{variant.variant}{' (baseline)' if variant.baseline else ''}"
        rows = tuple(_row(plan, estimate) for estimate in shown)
        notes = [f"* predicted: {why}" for why in _bases(shown)]
        if len(variant.estimates) > len(shown):
            notes.append(f"{len(variant.estimates) - len(shown)} dearer options are left out.")
        yield Grid(title, COLUMNS, rows, tuple(notes))
    if refused := _refused(plan):
        yield Grid("Not possible", ("option", "why"), refused)


def volume_grids(plans: Sequence[Plan]) -> Iterator[Grid]:
    """A grid for each variant: a month's cost of each option at each plan's volume."""
    columns = ("option", *(short(plan.requests) for plan in plans))
    for variant in plans[0].variants:
        costs: dict[str, list[str]] = {}
        for index, plan in enumerate(plans):
            same = next(v for v in plan.variants if v.variant == variant.variant)
            for found in same.estimates:
                cells = costs.setdefault(found.option, ["–"] * len(plans))
                star = "" if found is not same.best else " ←"
                cells[index] = money(found.usd.mid) + star
        rows = tuple((option, *cells) for option, cells in sorted(costs.items()))
        title = f"{variant.variant}: USD a month by requests a month"
        notes = ("← the cheapest; – not possible at that volume",)
        yield Grid(title, columns, rows, notes)


def frontier_grids(plan: Plan, top: int | None = None) -> Iterator[Grid]:
    """The frontier of cost and p99 over all variants, then that of each."""
    if len(plan.variants) > 1:
        yield _frontier_grid("Frontier of all variants", plan.frontier[:top], ())
    for variant in plan.variants:
        notes = () if variant.frontier else ("No option is possible; without --frontier see why.",)
        if variant is plan.variants[-1]:
            notes = (*notes, *FRONTIER_NOTES, *plan.notes)
        yield _frontier_grid(f"Frontier of {variant.variant}", variant.frontier[:top], notes)


def _frontier_grid(title: str, points: Sequence[FrontierPoint], notes: tuple[str, ...]) -> Grid:
    columns = (
        "USD a month", "range", "p99 ms", "range", "option", "where", "variant",
        "+USD per ms saved",
    )  # fmt: skip
    rows = tuple(
        (
            money(point.estimate.usd.mid),
            f"{money(point.estimate.usd.low)}–{money(point.estimate.usd.high)}",
            ms_text(point.estimate.p99_ms.mid),
            f"{ms_text(point.estimate.p99_ms.low)}–{ms_text(point.estimate.p99_ms.high)}",
            point.estimate.option,
            f"{point.estimate.place}{'' if point.estimate.measured else ' *'}",
            point.estimate.variant,
            NONE if point.usd_per_ms is None else money(point.usd_per_ms),
        )
        for point in points
    )
    predicted = (f"* predicted: {why}" for why in _bases(point.estimate for point in points))
    return Grid(title, columns, rows, (*predicted, *notes))


def short(requests: float) -> str:
    """``2 M`` or ``500 K``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if requests >= size:
            return f"{requests / size:g} {letter}"
    return f"{requests:g}"


def explanation(plan: Plan, option: str) -> Iterator[Grid]:
    """The lines of one option's bill for each variant, with the source of each price."""
    columns = ("line", "quantity", "price, USD", "USD", "source", "as of")
    for variant in plan.variants:
        for found in variant.estimates:
            if found.option == option:
                rows = tuple(
                    (
                        line.item,
                        str(line.quantity),
                        f"{line.price.usd.normalize():f} / {line.price.per}",
                        money(line.usd, 4),
                        line.price.source,
                        line.price.as_of,
                    )
                    for line in found.bill.lines
                )
                total = ("total", "", "", money(found.bill.usd, 4), "", "")
                title = f"{variant.variant}: {found.title.rstrip('.')}; on {found.place}"
                notes = (found.basis, *found.capacity.assumptions)
                yield Grid(title, columns, (*rows, total), notes)
        for refused in variant.refusals:
            if refused.option == option:
                title = f"{variant.variant}: {refused.option} is not possible"
                yield Grid(title, ("reason",), tuple((reason,) for reason in refused.reasons), ())


def sentences(plan: Plan) -> Iterator[str]:
    """The recommendation, with its reason, and the break-evens."""
    possible = [v for v in plan.variants if v.best]
    if not possible:
        yield "No option is possible for any variant; the reasons stand above."
        yield from plan.notes
        return
    cheapest = min(possible, key=_best_usd)
    best = cheapest.best
    assert best is not None
    yield (
        f"Cheapest: {cheapest.variant}, {best.option} on {best.place}, "
        f"{money(best.usd.mid)} USD a month ({money(best.usd.low)}–{money(best.usd.high)}), "
        f"p99 {best.p99_ms.mid:.0f} ms."
    )
    for variant in possible:
        if (sentence := _saving(plan, variant)) is not None:
            yield sentence
    for point in plan.break_evens:
        yield (
            f"{point.variant}: best below {point.requests:,.0f} requests a month is "
            f"{point.before}, above it {point.after}."
        )
    yield from plan.notes


def plan_csv(plan: Plan) -> str:
    """All estimates, a row each; amounts unrounded."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ("variant", "option", "place", "instances", "p99_ms", "usd_low", "usd_mid", "usd_high")
    )
    for found in _all(plan):
        writer.writerow(
            (
                found.variant,
                found.option,
                found.place,
                found.capacity.instances or "",
                f"{found.p99_ms.mid:.3f}",
                *(f"{usd:f}" for usd in (found.usd.low, found.usd.mid, found.usd.high)),
            )
        )
    return text.getvalue()


def frontier_csv(plan: Plan) -> str:
    """The points of all frontiers, a row each; the first column says of what: a variant, or all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ("frontier", "variant", "option", "place", "p99_ms", "usd_low", "usd_mid", "usd_high",
         "usd_per_ms"),
    )  # fmt: skip
    parts = [("all", plan.frontier), *((v.variant, v.frontier) for v in plan.variants)]
    for name, points in parts:
        for point in points:
            found = point.estimate
            writer.writerow(
                (
                    name,
                    found.variant,
                    found.option,
                    found.place,
                    f"{found.p99_ms.mid:.3f}",
                    *(f"{usd:f}" for usd in (found.usd.low, found.usd.mid, found.usd.high)),
                    "" if point.usd_per_ms is None else f"{point.usd_per_ms:f}",
                )
            )
    return text.getvalue()


def money(usd: Decimal, places: int = 2) -> str:
    """Rounded half up, with thousands separated; very small amounts keep two significant digits."""
    if usd and abs(usd) < Decimal(1).scaleb(-places):
        return f"{usd:.2g}"
    return f"{usd.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):,f}"


def _row(plan: Plan, found: Estimate) -> tuple[str, ...]:
    thousand = found.per_thousand(plan.requests)
    return (
        found.option,
        f"{found.place}{'' if found.measured else ' *'}",
        str(found.capacity.instances or "–"),
        f"{found.p99_ms.mid:.0f}",
        money(found.usd.mid),
        f"{money(found.usd.low)}–{money(found.usd.high)}",
        money(thousand, 4),
        money(thousand * 1000),
    )


def _bases(shown: Iterable[Estimate]) -> dict[str, None]:
    """What the predictions rest on, each once; the sources stand in --json."""
    told = (e.basis.partition(": ") for e in shown if not e.measured)
    return dict.fromkeys(f"{why})" if source else why for why, _, source in told)


def _refused(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Each refused option with its reason, once where all variants share it."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for variant in plan.variants:
        for refusal in variant.refusals:
            by_reason.setdefault((refusal.option, refusal.reasons[-1]), []).append(variant.variant)
    return tuple(
        (option, why if len(names) == len(plan.variants) else f"{', '.join(names)}: {why}")
        for (option, why), names in by_reason.items()
    )


def _saving(plan: Plan, variant: VariantPlan) -> str | None:
    saved, theirs = plan.saving(variant), plan.baseline.best
    if variant.baseline or saved is None or theirs is None or variant.best is None:
        return None
    share = saved / theirs.usd.mid if theirs.usd.mid else Decimal(0)
    verb = "saves" if saved >= 0 else "costs"
    return (
        f"{variant.variant} {verb} {money(abs(saved))} USD a month ({abs(share):.0%}) against "
        f"{plan.baseline.variant}, each on its best option ({variant.best.option} on "
        f"{variant.best.place}, {theirs.option} on {theirs.place})."
    )


def _best_usd(variant: VariantPlan) -> Decimal:
    assert variant.best is not None
    return variant.best.usd.mid


def _all(plan: Plan) -> Iterable[Estimate]:
    return (found for variant in plan.variants for found in variant.estimates)
