"""``scheme: auto``: what is sensitive stays, the budget holds or it is refused, all is told."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.steps.graphs import FLOAT, artifact, cnn, model, operators, run, step, weight
from workbench.artifact import Artifact, seal
from workbench.errors import BudgetError, ExitCode, InputError, StepError
from workbench.machine import machine
from workbench.records import Account, Interval, Latency, Quality, Setting
from workbench.steps import Bench, StepContext, make_step
from workbench.steps._auto_budget import check, parse_within
from workbench.steps._auto_curve import Choice, lower_hull, way
from workbench.steps._auto_pieces import find_layers, put_together, take_apart
from workbench.steps._graph import open_graph

WIDTH = 64
FEED = {"x": weight(64, WIDTH, seed=1)}


class Judge(Bench):
    """Judges by the outputs' error; times are made up, as no test can rely on measured ones.

    ``int8_speed`` is how much faster each product in int8 makes the model.
    """

    def __init__(self, int8_speed: float = 1.0) -> None:
        self.int8_speed = int8_speed
        self.feed = FEED
        self.judged = 0

    def quality(self, artifact: Artifact, reference: Artifact) -> Quality:
        self.judged += 1
        got, exact = run(artifact, self.feed), run(reference, self.feed)
        lost = float(np.square(got - exact).sum() / np.square(exact).sum())
        score = Interval(value=1 - lost, low=1 - lost, high=1 - lost, n=64)
        gap = Interval(value=-lost, low=-1.5 * lost, high=0.0, n=64)
        return Quality(metric="closeness", score=score, difference=gap, samples=64)

    def latency(
        self, models: Mapping[str, Path], baseline: str, *, quick: bool = False
    ) -> Mapping[str, tuple[Latency, ...]]:
        setting = Setting(batch=1, threads=1)
        found = {}
        for name, path in models.items():
            nodes = onnx.load(str(path)).graph.node
            int8 = ("MatMulIntegerToFloat", "DequantizeLinear")
            products = sum(node.op_type in int8 for node in nodes)
            ratio = self.int8_speed**products
            same = Interval(value=ratio, low=ratio, high=ratio, n=5)
            found[name] = (Latency(setting=setting, p50_ms=same, mean_ms=1, speedup=same),)
        return found

    def cost(
        self, artifacts: Mapping[str, Artifact], latencies: Mapping[str, tuple[Latency, ...]]
    ) -> Mapping[str, float]:
        cells = {name: latencies[name][0].speedup for name in artifacts}
        return {name: 100 / cell.value for name, cell in cells.items() if cell}


def net(folder: Path, *, sensitive: bool = True) -> Artifact:
    """Two branches of products; one bears little rounding: its output counts a hundredfold."""
    large = np.float32(100.0 if sensitive else 1.0)
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"], name="calm"),
        helper.make_node("Neg", ["x"], ["n"], name="turned"),
        helper.make_node("MatMul", ["n", "w2"], ["b"], name="touchy"),
        helper.make_node("Mul", ["b", "scale"], ["c"], name="louder"),
        helper.make_node("Add", ["a", "c"], ["y"], name="sum"),
    ]
    weights = {"w1": weight(WIDTH, WIDTH, seed=2), "w2": weight(WIDTH, WIDTH, seed=3)}
    weights["scale"] = np.asarray(large)
    inputs = {"x": (FLOAT, ["batch", WIDTH])}
    return artifact(folder, model(nodes, inputs, {"y": ["batch", WIDTH]}, weights))


def floats(what: Artifact) -> list[np.ndarray]:
    tensors = onnx.load(str(what.model_path)).graph.initializer
    return [numpy_helper.to_array(t) for t in tensors if t.data_type == TensorProto.FLOAT]


def auto(source: Artifact, bench: Judge, **options: object) -> tuple[Artifact, Account]:
    target = source.path.with_name(f"auto-{len(list(source.path.parent.iterdir()))}")
    target.mkdir()
    context = StepContext(machine=machine(), calibration=lambda _: iter([bench.feed]), bench=bench)
    step = make_step("quantize", {"scheme": "auto", "rounding": "nearest", **options})
    manifest, account = step.apply(source, target, context)
    return seal(target, manifest), account


def test_only_the_sensitive_layer_is_kept_more_exact_and_the_account_says_why(
    tmp_path: Path,
) -> None:
    bench = Judge()
    small, account = auto(net(tmp_path / "net"), bench, within={"quality": -0.001})
    layers = account.choices["layers"]
    assert layers["calm"] == "weight-only 4"
    assert layers["touchy"] in ("weight-only 8", "float")
    [told] = [item for item in account.skipped if item.name == "touchy"]
    assert "alone changes the output by" in told.reason
    assert bench.quality(small, net(tmp_path / "again")).difference.low >= -0.001  # type: ignore[union-attr]


def test_a_wide_budget_takes_the_smallest_model_and_a_tight_one_a_larger(tmp_path: Path) -> None:
    source = net(tmp_path / "net", sensitive=False)
    sizes = [
        auto(source, Judge(), within={"quality": bound})[0].model_path.stat().st_size
        for bound in (-0.9, -0.0005)
    ]
    assert sizes[0] < sizes[1] < source.model_path.stat().st_size


def test_the_curve_has_every_judged_candidate_with_its_interval(tmp_path: Path) -> None:
    bench = Judge()
    _, account = auto(net(tmp_path / "net"), bench, within={"quality": -0.001})
    curve = account.choices["curve"]
    assert len(curve) == bench.judged - 1  # the float model was judged too
    assert sum(point["chosen"] for point in curve) == 1
    assert all({"value", "low", "high"} == set(point["difference"]) for point in curve)
    assert "a little flattered" in account.choices["judged"]


def test_a_budget_that_nothing_keeps_is_refused_with_the_best_that_was_found(
    tmp_path: Path,
) -> None:
    with pytest.raises(BudgetError, match=r"the best of \d+ is at closeness -") as caught:
        auto(net(tmp_path / "net"), Judge(), within={"quality": -1e-9})
    assert caught.value.exit_code == ExitCode.GATE_FAILED == 1


def test_for_latency_takes_int8_where_it_is_measured_to_be_fast_and_for_size_fewer_bits(
    tmp_path: Path,
) -> None:
    source = net(tmp_path / "net", sensitive=False)
    budget = {"within": {"quality": -0.5}}
    fast, account = auto(source, Judge(int8_speed=1.5), **budget, **{"for": "latency"})
    assert operators(fast).count("MatMulIntegerToFloat") == 2
    assert [p["speedup"]["value"] for p in account.choices["curve"] if p["chosen"]] == [1.5**2]
    small, _ = auto(source, Judge(int8_speed=1.5), **budget)
    assert "MatMulIntegerToFloat" not in operators(small)
    assert small.model_path.stat().st_size < fast.model_path.stat().st_size


def test_for_latency_leaves_int8_where_it_is_measured_to_be_slow(tmp_path: Path) -> None:
    source = net(tmp_path / "net", sensitive=False)
    slow, account = auto(
        source, Judge(int8_speed=0.7), within={"quality": -0.5}, **{"for": "latency"}
    )
    assert "MatMulIntegerToFloat" not in operators(slow)
    assert set(account.choices["layers"].values()) == {"weight-only 8"}


def test_for_cost_takes_the_candidate_with_the_lowest_price(tmp_path: Path) -> None:
    source = net(tmp_path / "net", sensitive=False)
    _, account = auto(source, Judge(int8_speed=1.5), within={"quality": -0.5}, **{"for": "cost"})
    priced = [p for p in account.choices["curve"] if p["keeps"] and p["usd_month"]]
    [chosen] = [p for p in priced if p["chosen"]]
    assert chosen["usd_month"] == min(p["usd_month"] for p in priced)


def test_a_figure_that_the_task_does_not_give_is_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    bench = Judge()
    bench.figures = ("quality", "cosine_mean")
    with pytest.raises(StepError, match="does not give") as caught:
        auto(net(tmp_path / "net"), bench, within={"label_agreement": 0.9})
    assert "cosine_mean" in str(caught.value)
    assert not bench.judged


def test_what_is_excluded_stays_as_it_is(tmp_path: Path) -> None:
    source = net(tmp_path / "net", sensitive=False)
    small, account = auto(source, Judge(), within={"quality": -0.5}, exclude=["touchy"])
    assert set(account.choices["layers"]) == {"calm"}
    assert any(w.shape == (WIDTH, WIDTH) for w in floats(small))


def test_convolutions_are_quantized_with_calibrated_scales(tmp_path: Path) -> None:
    source = artifact(tmp_path / "net", cnn())
    bench = Judge(int8_speed=1.1)
    bench.feed = {"x": weight(16, 3, 16, 16, seed=4)}
    fast, account = auto(source, bench, within={"quality": -0.2}, **{"for": "latency"})
    assert "static-int8" in account.changed
    assert "QuantizeLinear" in operators(fast)


def test_layers_of_several_schemes_stand_side_by_side_in_one_model(tmp_path: Path) -> None:
    """Each is what it is in the model that its scheme alone made."""
    base = open_graph(net(tmp_path / "net", sensitive=False))
    layers = find_layers(base, set())
    forms = {}
    for name, options in {"four": {"bits": 4}, "eight": {"bits": 8}}.items():
        whole, _ = step(
            net(tmp_path / name / "net", sensitive=False),
            "quantize",
            scheme="weight-only",
            rounding="nearest",
            **options,
        )
        forms[name] = take_apart(base, open_graph(whole), layers)
    calm, touchy = layers
    mixed = put_together(base, {calm: "four", touchy: "eight"}, forms).finish()
    onnx.checker.check_model(mixed)
    stored = {t.name: t.data_type for t in mixed.graph.initializer}
    assert stored["w1_int4"] == TensorProto.UINT8
    assert stored["w2_int8"] == TensorProto.INT8
    assert not {"w1", "w2"} & set(stored)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs within"),
        ({"within": {}}, "names no bound"),
        ({"within": {"qality": -0.01}}, "Did you mean 'quality'"),
        ({"within": {"quality": 0.01}}, "no loss"),
        ({"within": {"quality": "much"}}, "no number"),
        ({"within": {"cosine_mean": 1.5}}, "never reached"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_step("quantize", {"scheme": "auto", **options})


def test_a_budget_is_for_the_scheme_auto_only() -> None:
    with pytest.raises(InputError, match="are for the scheme auto"):
        make_step("quantize", {"scheme": "weight-only", "within": {"quality": -0.01}})


@given(st.floats(0.001, 0.5), st.floats(0.1, 1.0), st.floats(-0.6, 0.0), st.floats(0.0, 0.1))
def test_the_lower_end_of_the_interval_is_what_must_keep_the_budget(
    loss: float, score: float, low: float, wide: float
) -> None:
    [bound] = parse_within({"quality": f"-{100 * loss:.6f}%"})
    gap = Interval(value=low + wide / 2, low=low, high=low + wide, n=10)
    reference = Quality(
        metric="m", score=Interval(value=score, low=score, high=score, n=10), samples=10
    )
    kept = check(bound, Quality(metric="m", difference=gap, samples=10), reference)
    assert kept.holds == (low >= bound.value * score)
    assert kept.holds == (kept.margin >= 0)


CHOICES = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda p: Choice(str(p), *p)), min_size=1
)


@given(CHOICES)
def test_the_hull_is_convex_and_starts_at_the_cheapest(choices: list[Choice]) -> None:
    hull = lower_hull(choices)
    assert hull[0].cost == min(choice.cost for choice in choices)
    assert hull[-1].error == min(choice.error for choice in choices)
    assert all(a.cost <= b.cost and a.error > b.error for a, b in pairwise(hull))


@given(st.lists(CHOICES, min_size=1, max_size=5))
def test_each_step_of_the_way_costs_more_and_errs_less(layers: list[list[Choice]]) -> None:
    points = way({str(at): choices for at, choices in enumerate(layers)})
    for before, after in pairwise(points):
        assert after.cost >= before.cost - 1e-9
        assert after.error <= before.error + 1e-9
