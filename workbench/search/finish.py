"""The end of a search: what no other trial beats, measured again side by side in a normal run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter

import workbench
from workbench.artifact import write_atomic
from workbench.gates import CELLS, ParsedGate, figure, judge
from workbench.objectives import Objective
from workbench.progress import Progress
from workbench.recipe import Gate, NamedUse, RecipeSource, Use
from workbench.records import Interval, Measurement, Outcome, Run, VariantResult
from workbench.report.html.frontier import beats
from workbench.resolve import Resolved
from workbench.search.evaluate import Evaluator, cost_share
from workbench.search.plot import write_plots
from workbench.search.records import Ended, Point, SearchResult, Trial, terms
from workbench.store import Store

RESULT_FILE = "search.json"


def frontier_trials(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """The measured trials that no other is better than in all objectives, going by the values."""
    measured = [trial for trial in trials if trial.ended is Ended.MEASURED]
    places = [trial.terms(objectives) for trial in measured]
    return [
        trial
        for trial, mine in zip(measured, places, strict=True)
        if not any(beats(other, mine) for other in places)
    ]


def closest(trials: Sequence[Trial]) -> Trial | None:
    """Of the trials that break a constraint the one that keeps most of them, by the least."""
    broken = [trial for trial in trials if trial.ended is Ended.BROKEN]
    return min(broken, key=lambda trial: (-trial.passed, trial.violation), default=None)


def finish(
    result: SearchResult,
    resolved: Resolved,
    evaluator: Evaluator,
    runs: Path,
    store: Store,
    progress: Progress,
    began: float,
) -> tuple[SearchResult, Path | None]:
    """Run the frontier and write ``search.json`` and the plots into its run directory.

    Where no trial keeps the constraints nothing is run, and the result names the closest.

    Raises:
        WorkbenchError: what stops the run.
    """
    chosen = frontier_trials(result.trials, evaluator.objectives)
    if not chosen:
        nearest = closest(result.trials)
        seconds = round(time.monotonic() - began, 2)
        number = nearest.number if nearest else None
        return result.model_copy(update={"closest": number, "seconds": seconds}), None
    source = _recipe_of(resolved, chosen, result)
    run, folder = workbench.run(source, runs=runs, store=store, progress=progress)
    baseline, points = _points(run, resolved, evaluator, {t.name: t for t in chosen})
    update = {
        "baseline": baseline,
        "points": tuple(points),
        "seconds": round(time.monotonic() - began, 2),
    }
    result = result.model_copy(update=update)
    write_atomic(folder / RESULT_FILE, result.model_dump_json(indent=1, exclude_none=True) + "\n")
    write_plots(result, folder)
    return result, folder


def _recipe_of(resolved: Resolved, chosen: Sequence[Trial], result: SearchResult) -> RecipeSource:
    """The recipe whose variants are the baseline and the chosen chains, gated by the constraints.

    What else the recipe asks of its own variants is not asked of them.
    """
    recipe = resolved.recipe
    chains = TypeAdapter(list[NamedUse])
    variants: dict[str, list[Use]] = {recipe.baseline: recipe.variants[recipe.baseline]}
    for trial in sorted(chosen, key=lambda trial: trial.number):
        variants[trial.name] = chains.validate_python(list(trial.steps))
    update = {
        "name": result.name,
        "variants": variants,
        "gates": [Gate(gate=text) for text in result.constraints],
        "search": None,
    }
    return resolved.source.model_copy(update={"recipe": recipe.model_copy(update=update)})


def _points(
    run: Run, resolved: Resolved, evaluator: Evaluator, chosen: Mapping[str, Trial]
) -> tuple[Point, list[Point]]:
    """The baseline and the points as the run measured them, the smallest first objective first."""
    objectives = evaluator.objectives
    usd = _prices(run, resolved) if any(one.gate is None for one in objectives) else {}
    points = [
        Point(
            variant=variant.name,
            trial=chosen[variant.name].number if variant.name in chosen else None,
            knobs=chosen[variant.name].knobs if variant.name in chosen else {},
            figures=_figures(variant, run, objectives, usd),
            usd=usd.get(variant.name),
            broken=_gates(run, variant, Outcome.FAIL, evaluator),
            undecided=_gates(run, variant, Outcome.UNDECIDED, evaluator),
        )
        for variant in run.variants
    ]
    baseline = next(point for point in points if point.trial is None)
    measured = run.baseline.measurement
    assert measured is not None
    if broken := tuple(c.text for c in evaluator.constraints if not _baseline_keeps(c, measured)):
        baseline = baseline.model_copy(update={"broken": broken})
    rivals = [*(p for p in points if p.trial is not None and not p.broken)]
    if not baseline.broken:
        rivals.insert(0, baseline)
    judged = [_beaten(p, rivals, objectives) for p in points if p.trial is not None]
    judged.sort(key=lambda p: (not p.on_frontier, terms(p.figures, objectives)))
    return _beaten(baseline, rivals, objectives), judged


def _figures(
    variant: VariantResult, run: Run, objectives: Sequence[Objective], usd: Mapping[str, float]
) -> dict[str, Interval]:
    assert variant.measurement is not None
    figures = {}
    for one in objectives:
        found = one.observe(variant.measurement, baseline=variant.baseline)
        if found is None and one.gate is None:
            found = cost_share(usd[variant.name], usd[run.baseline.name])
        assert found is not None, f"{one.text} of {variant.name}"
        figures[one.text] = found
    return figures


def _gates(
    run: Run, variant: VariantResult, outcome: Outcome, evaluator: Evaluator
) -> tuple[str, ...]:
    """The constraints that came out so; an undecided one is broken where the search is strict."""
    wanted = {outcome}
    if evaluator.strict:
        wanted = {Outcome.FAIL, Outcome.UNDECIDED} if outcome is Outcome.FAIL else set()
    verdicts = (v for v in run.verdicts if v.variant == variant.name)
    return tuple(verdict.gate for verdict in verdicts if verdict.outcome in wanted)


def _baseline_keeps(parsed: ParsedGate, measured: Measurement) -> bool:
    """Whether the baseline itself keeps a constraint, which may be one on its own figures."""
    if parsed.name in CELLS and (parsed.bound.factor or parsed.name == "speedup"):
        value: float = 1.0
    elif parsed.bound.factor and (own := figure(parsed.name, measured)) is not None:
        value = own.value
    else:
        return judge(parsed.text, "", measured, measured).outcome is not Outcome.FAIL
    return parsed.compare(value, value, parsed.bound.of(value)) is not Outcome.FAIL


def _beaten(point: Point, rivals: Sequence[Point], objectives: Sequence[Objective]) -> Point:
    mine = terms(point.figures, objectives)
    for rival in rivals:
        if rival.variant != point.variant and beats(terms(rival.figures, objectives), mine):
            return point.model_copy(update={"beaten_by": rival.variant})
    return point


def _prices(run: Run, resolved: Resolved) -> dict[str, float]:
    """US dollars a month of each variant on its cheapest hosting option."""
    from workbench.cost.catalog import Catalog
    from workbench.cost.planner import plan
    from workbench.cost.profile import profiles_of_run

    assert resolved.traffic is not None
    found = plan(profiles_of_run(run), resolved.traffic, Catalog.standard(), break_evens=False)
    return {one.variant: float(one.best.usd.mid) for one in found.variants if one.best}
