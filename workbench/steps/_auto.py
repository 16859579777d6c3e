"""``scheme: auto``: each layer in the cheapest scheme that the budget of quality allows.

1. Each scheme of the goal's ladder is applied to the whole model.
2. The error of the model's output is measured with one layer at a time in each scheme.
3. Errors of layers add up (to first order), so a way leads from the cheapest model to the most
   careful one, by the upgrade that takes off most error for its cost.
4. Some models along the way are judged on the real metric; around the first that keeps the budget
   a few more. The best of those that keep it is taken.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BudgetError, StepError
from workbench.steps._auto_budget import Bound, check_figures, parse_within
from workbench.steps._auto_candidates import (
    Candidate,
    best_of,
    curve_of,
    judge,
    speedup_of,
)
from workbench.steps._auto_curve import Choice, Point, spread, way
from workbench.steps._auto_pieces import (
    CONVOLUTIONS,
    Form,
    Layer,
    clone,
    find_layers,
    put_together,
    take_apart,
)
from workbench.steps._auto_sensitivity import error_of, exact_outputs, work_of
from workbench.steps._dynamic import quantize_dynamic
from workbench.steps._graph import Graph, save
from workbench.steps._observe import batches
from workbench.steps._products import Result, excluded_nodes
from workbench.steps._static import _prepared as prepare
from workbench.steps._static import quantize_static
from workbench.steps._weight_only import quantize_weights

if TYPE_CHECKING:
    import numpy as np

    from workbench.artifact import Artifact
    from workbench.steps import StepContext
    from workbench.steps._quantize_options import QuantizeOptions

    Feed = dict[str, np.ndarray]
    Scheme = Callable[[Graph, QuantizeOptions, Artifact, StepContext], Result]

FLOAT = "float"
STATIC = "static-int8"
SAMPLES = 8
"""Calibration samples that sensitivities are measured on: an order is wanted, not a figure."""

COARSE, FINE = 5, 3
"""Candidates that are judged along the way, and then around the first that keeps the budget."""

BYTE_WEIGHT = 0.05
"""What a share of the bytes counts beside the same share of the time where time is the goal: what
costs no time, such as a table, is stored small all the same."""

ROUGH = 0.1
"""A quick look tells no smaller difference of a scheme's speed from that of float."""


@dataclass(frozen=True)
class Rung:
    """One scheme of the ladder."""

    name: str
    apply: Scheme
    options: QuantizeOptions


def quantize_auto(
    graph: Graph, options: QuantizeOptions, source: Artifact, context: StepContext
) -> Result:
    """Choose a scheme for each layer, in place.

    Raises:
        BudgetError: no candidate keeps the budget; says the best that was found.
        StepError: there is nothing to choose from, or nothing to measure by.
    """
    with tempfile.TemporaryDirectory(prefix="workbench-", dir=context.scratch) as folder:
        search = _Search(graph, options, source, context, Path(folder))
        chosen = search.run()
        graph.adopt(search.build(chosen.point).finish())
        return search.result(chosen)


class _Search:
    def __init__(
        self,
        graph: Graph,
        options: QuantizeOptions,
        source: Artifact,
        context: StepContext,
        folder: Path,
    ) -> None:
        self.options, self.source, self.context, self.folder = options, source, context, folder
        self.bounds: tuple[Bound, ...] = parse_within(options.within or {})
        check_figures(self.bounds, context.bench.figures)
        if options.goal == "cost":
            context.bench.cost({}, {})
        self.result_ = Result()
        quiet: Callable[[float, float], None] = lambda done, total: None  # noqa: E731
        self.quiet = replace(context, progress=quiet)
        self.feeds = list(batches(context.calibration(source), SAMPLES, quiet))
        if not self.feeds:
            raise StepError(
                "auto measures sensitivities on calibration data, and the task has none.",
                hint="Name a scheme instead.",
            )
        excluded = excluded_nodes(graph, options.exclude)
        static = options.goal != "size" and _convolves(graph, self.feeds[0])
        self.base = prepare(graph, folder) if static else clone(graph)
        self.layers = find_layers(self.base, excluded)
        self.ladder = _ladder(options, static=static)
        self.forms: dict[str, Form] = {}
        self.errors: dict[str, dict[str, float]] = {}
        self.candidates: dict[int, Candidate] = {}

    def run(self) -> Candidate:
        """The best candidate that keeps the budget."""
        self.context.say("judging the float model")
        reference = self.context.bench.quality(self.source, self.source)
        self._make_forms()
        self._measure_sensitivity()
        points = self._points(self._costs())
        for at in spread(points, COARSE):
            self._judge(at, points, reference)
        for _ in range(FINE):
            middle = _between(self.candidates)
            if middle is not None:
                self._judge(middle, points, reference)
        kept = [c for c in self.candidates.values() if c.keeps]
        if not kept:
            self._refuse()
        chosen = best_of(self.options.goal, self.candidates, self.source, self.context)
        self.context.progress(1, 1)
        return chosen

    # --- the parts -----------------------------------------------------------------------------

    def _make_forms(self) -> None:
        for at, rung in enumerate(self.ladder):
            self.context.say(f"{rung.name} on all layers")
            self.context.progress(0.3 * at / len(self.ladder), 1)
            form = clone(self.base)
            try:
                rung.apply(form, rung.options, self.source, self.quiet)
            except StepError as error:
                self.result_.skip(rung.name, f"not a choice here: {error.message}")
                continue
            self.forms[rung.name] = take_apart(self.base, form, self.layers)
        self.layers = [
            layer for layer in self.layers if any(f.covers(layer) for f in self.forms.values())
        ]
        if not self.layers:
            reasons = " ".join(item.reason for item in self.result_.skipped)
            raise StepError(f"auto finds no layer to quantize. {reasons}".strip())

    def _measure_sensitivity(self) -> None:
        feeds = self.feeds
        exact = exact_outputs(self.base, feeds)
        for at, layer in enumerate(self.layers):
            self.context.say(f"sensitivity of layer {at + 1} of {len(self.layers)}")
            self.context.progress(0.3 + 0.4 * at / len(self.layers), 1)
            self.errors[layer.name] = {
                name: error_of(put_together(self.base, {layer: name}, self.forms), feeds, exact)
                for name, form in self.forms.items()
                if form.covers(layer)
            }
        self.work = work_of(self.base, self.layers, feeds[0])

    def _costs(self) -> dict[str, dict[str, float]]:
        """What each layer costs in each scheme, in shares of the float model's layers."""
        total = sum(layer.weight_bytes for layer in self.layers)
        sizes = {
            layer.name: {
                FLOAT: layer.weight_bytes / total,
                **{n: f.bytes_of(layer) / total for n, f in self.forms.items() if f.covers(layer)},
            }
            for layer in self.layers
        }
        if self.options.goal == "size":
            return sizes
        pace = {FLOAT: 1.0, **self._paces()}
        return {
            name: {n: self.work[name] * pace[n] + BYTE_WEIGHT * size for n, size in found.items()}
            for name, found in sizes.items()
        }

    def _paces(self) -> dict[str, float]:
        """Time of the whole model in each scheme over that of the float model, measured."""
        self.context.say("timing each scheme")
        models = {FLOAT: self.source.model_path}
        for at, (name, form) in enumerate(self.forms.items()):
            place = self.folder / f"form-{at}"
            save(clone(form.graph).finish(), self.source, place)
            models[name] = place / "model.onnx"
        found = self.context.bench.latency(models, FLOAT, quick=True)
        paces = {}
        for name in self.forms:
            speedup = speedup_of(found[name])
            if speedup is None:
                raise StepError("The profile has no cell that can be timed on this machine.")
            pace = 1 / speedup.value
            paces[name] = 1.0 if abs(pace - 1) < ROUGH else pace
        return paces

    def _points(self, costs: Mapping[str, Mapping[str, float]]) -> list[Point]:
        choices = {
            layer.name: [
                Choice(name, cost, self.errors[layer.name].get(name, 0.0))
                for name, cost in costs[layer.name].items()
            ]
            for layer in self.layers
        }
        points = [p for p in way(choices) if set(p.schemes.values()) != {FLOAT}]
        if not points:
            raise StepError(
                f"No scheme makes any layer cheaper for '{self.options.goal}' than it is in float."
            )
        return points

    def _judge(self, at: int, points: Sequence[Point], reference: Any) -> None:
        if at in self.candidates:
            return
        self.context.say(f"judging candidate {len(self.candidates) + 1}")
        self.context.progress(0.7 + 0.2 * len(self.candidates) / (COARSE + FINE), 1)
        point = points[at]
        place = self.folder / f"candidate-{at}"
        manifest = save(self.build(point).finish(), self.source, place)
        self.candidates[at] = judge(
            point, place, manifest, self.bounds, self.source, reference, self.context.bench
        )

    def build(self, point: Point) -> Graph:
        """The model of a point."""
        if STATIC not in self.forms:
            return put_together(self.base, self._of(point), self.forms)
        # What stands between two layers in int8 depends on both: the scheme itself leaves some out.
        graph = clone(self.base)
        for rung in self.ladder:
            if rung.name not in point.schemes.values():
                continue
            left = [
                node
                for layer in self.layers
                if point.schemes[layer.name] not in (rung.name, *self._before(rung))
                for node in layer.nodes
            ]
            exclude = (*self.options.exclude, *left)
            options = rung.options.model_copy(update={"exclude": exclude})
            rung.apply(graph, options, self.source, self.quiet)
        return graph

    def _before(self, rung: Rung) -> list[str]:
        """Schemes that were applied earlier: their layers have no float weights any more."""
        names = [other.name for other in self.ladder]
        return names[: names.index(rung.name)]

    def _of(self, point: Point) -> dict[Layer, str]:
        return {
            layer: point.schemes[layer.name]
            for layer in self.layers
            if point.schemes[layer.name] != FLOAT
        }

    # --- what is told --------------------------------------------------------------------------

    def result(self, chosen: Candidate) -> Result:
        """The account of the choice."""
        result = self.result_
        schemes = chosen.point.schemes
        counted = Counter(
            {
                name: sum(len(la.nodes) for la in self.layers if schemes[la.name] == name)
                for name in (*self.forms, FLOAT)
            }
        )
        result.changed = {name: count for name, count in counted.items() if count and name != FLOAT}
        for layer in self.layers:
            self._tell(layer, schemes[layer.name])
        result.choices |= {
            "within": ", ".join(map(str, self.bounds)),
            "for": self.options.goal,
            "layers": {layer.name: schemes[layer.name] for layer in self.layers},
            "sensitivity": {
                name: ", ".join(f"{scheme} {error:.1e}" for scheme, error in found.items())
                for name, found in self.errors.items()
            },
            "sensitivity_is": "mean square error of the output over its mean square, that layer "
            f"alone in that scheme, on {SAMPLES} calibration samples",
            "judged": f"{len(self.candidates)} candidates, on the evaluation data itself: the "
            "figures of the one that was chosen are a little flattered by the choice",
            "curve": curve_of(self.candidates, chosen),
        }
        return result

    def _tell(self, layer: Layer, scheme: str) -> None:
        """Say why a layer is not in the scheme that is the cheapest for most."""
        first = next(iter(self.forms))
        found = self.errors[layer.name]
        if scheme == first or first not in found:
            return
        whole = sum(errors.get(first, 0.0) for errors in self.errors.values())
        share = found[first] / whole if whole else 0.0
        stays = "stays in float" if scheme == FLOAT else f"stays in {scheme}"
        self.result_.skip(
            layer.name,
            f"{stays}: in {first} it alone changes the output by {found[first] ** 0.5:.2%}, "
            f"{share:.0%} of the squared error that all layers make in it",
        )

    def _refuse(self) -> None:
        best = max(self.candidates.values(), key=lambda c: c.margin)
        broken = "; ".join(kept.told for kept in best.kept if not kept.holds)
        wanted = ", ".join(map(str, self.bounds))
        raise BudgetError(
            f"No candidate for {self.options.goal} keeps within {wanted}: the best of "
            f"{len(self.candidates)} is at {broken} ({best.size_bytes / 1e6:.3g} MB).",
            hint="The lower end of the interval counts: more evaluation samples narrow it. "
            "Or allow more, or quantize less with `exclude`.",
        )


def _ladder(options: QuantizeOptions, *, static: bool) -> list[Rung]:
    """The schemes to choose from, the cheapest first."""

    def rung(name: str, apply: Scheme, **settings: Any) -> Rung:
        return Rung(name, apply, options.model_copy(update=settings))

    eight = rung("weight-only 8", quantize_weights, scheme="weight-only", bits=8)
    if options.goal == "size":
        four = rung("weight-only 4", quantize_weights, scheme="weight-only", bits=4)
        return [four, eight]
    if static:
        return [rung(STATIC, quantize_static, scheme="static-int8"), eight]
    dynamic = [
        rung(f"dynamic-int8 {way}", quantize_dynamic, scheme="dynamic-int8", activations=way)
        for way in ("per-tensor", "per-token")
    ]
    return [*dynamic, eight]


def _convolves(graph: Graph, feed: Feed) -> bool:
    """Whether most of the work is that of convolutions."""
    layers = find_layers(graph, ())
    work = work_of(graph, layers, feed) if layers else {}
    return sum(work[layer.name] for layer in layers if layer.kind in CONVOLUTIONS) > 0.5


def _between(candidates: Mapping[int, Candidate]) -> int | None:
    """The position halfway between the first that keeps the budget and the last before it."""
    kept = [at for at, candidate in candidates.items() if candidate.keeps]
    if not kept:
        return None
    first = min(kept)
    broken = [at for at in candidates if at < first]
    middle = (max(broken) + first) // 2 if broken else first
    return middle if middle not in candidates else None
