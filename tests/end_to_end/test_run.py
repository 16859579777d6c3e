"""The main job on a small model: what a run makes, reuses, resumes and says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import RECIPE, mlp
from workbench.artifact import open_artifact
from workbench.recipe import load_recipe
from workbench.run_directory import load_run


def test_a_run_makes_measures_and_gates_every_variant(cli, project, tmp_path):
    result = cli("run", project / "recipe.yaml")
    assert result.code == 0, result.err
    folder = tmp_path / "runs" / "small"
    run = load_run(folder)
    assert [variant.name for variant in run.variants] == ["fp32", "int8"]
    fp32, int8 = (variant.measurement for variant in run.variants)
    assert int8.footprint.size_bytes < 0.5 * fp32.footprint.size_bytes
    assert fp32.quality.score.low <= fp32.quality.score.value <= fp32.quality.score.high
    assert fp32.quality.score.value > 0.9
    assert int8.quality.difference is not None
    assert int8.latency[0].speedup.n == len(int8.latency[0].samples_ms)
    assert [verdict.outcome for verdict in run.verdicts] == ["pass", "pass"]
    for name in ("fp32", "int8"):
        assert open_artifact(folder / "variants" / name).manifest.model_file == "model.onnx"
    assert [record.step for record in run.variants[1].lineage] == ["export", "quantize"]
    assert run.variants[1].lineage[0].key == run.variants[0].lineage[0].key
    assert "int8" in (folder / "report.md").read_text()
    assert "int8" in (folder / "report.html").read_text()
    assert load_recipe(folder / "recipe.yaml").recipe == load_recipe(project / "recipe.yaml").recipe
    assert str(Path("runs") / "small") in result.out


def test_a_second_run_takes_everything_from_the_store(cli, project, tmp_path):
    first = json.loads(cli("run", project / "recipe.yaml", "--json").out)
    second = json.loads(cli("run", project / "recipe.yaml", "--json").out)
    assert first["performed"] > 0
    assert second["performed"] == 0
    same = ("variants", "verdicts", "model", "task")
    assert {key: first[key] for key in same} == {key: second[key] for key in same}
    assert cli("show", "runs/small").code == 0


def test_a_change_redoes_what_depends_on_it_and_nothing_else(cli, project):
    cli("run", project / "recipe.yaml")
    changed = ("--set", "variants.int8=[export, {quantize: {scheme: weight-only}}]")
    again = json.loads(cli("run", project / "recipe.yaml", "--json", *changed).out)
    lineage = {variant["name"]: variant["lineage"] for variant in again["variants"]}
    assert lineage["int8"][1]["options"]["scheme"] == "weight-only"
    # Made anew: one artifact, its outputs, its judgement, its footprint, and the latency table.
    assert again["performed"] == 5


def test_a_gate_that_fails_is_exit_code_1_and_the_run_is_kept(cli, project, tmp_path):
    recipe = project / "recipe.yaml"
    recipe.write_text(RECIPE.replace("size <= 0.5 * baseline", "size <= 0.01 * baseline"))
    result = cli("run", recipe)
    assert result.code == 1
    assert "✗ FAIL" in result.out
    assert load_run(tmp_path / "runs" / "small").passed() is False


def test_an_undecided_gate_fails_only_when_strict(cli, project):
    recipe = project / "recipe.yaml"
    recipe.write_text(RECIPE.replace("size <= 0.5 * baseline", "latency.p99 <= 1 ms"))
    few = ("--set", "profile.max_rounds=20")  # too few samples for a p99
    assert cli("run", recipe, *few).code == 0
    assert cli("run", recipe, *few, "--strict").code == 1


def test_a_smoke_run_goes_the_whole_way_and_judges_no_gate(cli, project, tmp_path):
    result = cli("run", project / "recipe.yaml", "--smoke")
    assert result.code == 0, result.err
    run = load_run(tmp_path / "runs" / "small-smoke")
    assert run.smoke
    assert {verdict.outcome for verdict in run.verdicts} == {"not judged"}
    assert not (tmp_path / "runs" / "small").exists()


def test_a_run_of_another_recipe_with_the_same_name_is_set_aside_and_not_lost(
    cli, project, tmp_path
):
    assert cli("run", project / "recipe.yaml").code == 0
    first = load_run(tmp_path / "runs" / "small")
    assert cli("run", project / "recipe.yaml", "--set", "profile.seconds=0.1").code == 0
    aside = [path for path in (tmp_path / "runs").iterdir() if path.name.startswith("small~")]
    assert [load_run(path) for path in aside] == [first]
    assert cli("run", project / "recipe.yaml", "--set", "profile.seconds=0.1").code == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_remeasure_times_again_what_is_stored(cli, project):
    first = json.loads(cli("run", project / "recipe.yaml", "--json").out)
    again = json.loads(cli("run", project / "recipe.yaml", "--json", "--remeasure").out)
    assert again["performed"] == 1
    samples = [
        run["variants"][0]["measurement"]["latency"][0]["samples_ms"] for run in (first, again)
    ]
    assert samples[0] != samples[1]


@pytest.mark.slow
def test_an_interrupted_run_says_so_and_leaves_no_run_directory(project, tmp_path):
    environment = {**os.environ, "WORKBENCH_HOME": str(tmp_path / "store")}
    process = subprocess.Popen(
        command("run", project / "recipe.yaml", "--runs", tmp_path / "runs"),
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any((tmp_path / "store" / "tmp").glob("*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    err = interrupted(process)
    assert process.returncode == 130
    assert "Interrupted." in err
    assert not (tmp_path / "runs").exists()


def interrupted(process: subprocess.Popen[str]) -> str:
    """Press Ctrl-C, and again where a library that is being imported swallowed it; the errors."""
    for _ in range(20):
        process.send_signal(signal.SIGINT)
        try:
            return process.communicate(timeout=3)[1]
        except subprocess.TimeoutExpired:
            pass
    raise AssertionError("it does not end")


def test_only_leaves_the_other_variants_out(cli, project):
    extra = "variants.other=[export, {quantize: {scheme: weight-only}}]"
    out = cli("run", project / "recipe.yaml", "--json", "--set", extra, "--only", "other").out
    assert [variant["name"] for variant in json.loads(out)["variants"]] == ["fp32", "other"]


@pytest.mark.parametrize("external", [False, True], ids=["one file", "external data"])
def test_an_onnx_file_is_a_model_too(cli, project, tmp_path, external):
    mlp(tmp_path / "own.onnx", external=external)
    chains = "variants={given: [], int8: [{quantize: dynamic-int8}]}"
    arguments = ("--model", tmp_path / "own.onnx", "--set", chains, "--set", "gates=[]")
    result = cli("run", project / "recipe.yaml", *arguments)
    assert result.code == 0, result.err
    run = load_run(tmp_path / "runs" / "small")
    assert run.variants[0].lineage == ()
    assert run.variants[1].measurement.quality.agreement["cosine_mean"] > 0.99


def test_profile_and_explain_work_on_any_onnx_file_and_on_variants(cli, project, tmp_path):
    cli("run", project / "recipe.yaml")
    mlp(tmp_path / "own.onnx")
    alone = cli("profile", tmp_path / "own.onnx", "--seconds", "0.1", "--json")
    assert alone.code == 0, alone.err
    measured = json.loads(alone.out)["models"][str(tmp_path / "own.onnx")]
    assert measured["footprint"]["parameters"] == 32 * 128 + 128 * 3
    both = ("runs/small:int8", "--against", "runs/small:fp32")
    assert cli("profile", *both, "--seconds", "0.1").code == 0
    assert "ms" in cli("explain", *both).out


def command(*arguments):
    return [sys.executable, "-m", "workbench", *map(str, arguments)]


def digests(store: Path) -> dict[str, str]:
    return {path.name: open_artifact(path).digest for path in (store / "artifacts").iterdir()}


@pytest.mark.slow
def test_a_run_killed_in_any_step_goes_on_where_it_was(project, tmp_path):
    """Kill -9 in the middle of each artifact's making, then let a run finish."""

    def environment(store):
        return {**os.environ, "WORKBENCH_HOME": str(tmp_path / store)}

    run = command("run", project / "recipe.yaml", "--runs", tmp_path / "runs")
    subprocess.run(run, env=environment("whole"), check=True, capture_output=True)
    whole = digests(tmp_path / "whole")

    staging = tmp_path / "cut" / "tmp"
    killed: set[str] = set()
    finished: dict[str, float] = {}
    for _ in range(len(whole)):
        process = subprocess.Popen(
            run, env=environment("cut"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None:
            fresh = [p.name for p in staging.glob("*") if p.name not in killed]
            if fresh:
                killed.add(fresh[0])
                os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.002)
        assert process.wait() == -signal.SIGKILL
        kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "cut" / "artifacts").iterdir()}
        assert finished.items() <= kept.items(), "what was finished must not be made again"
        finished = kept
    assert killed == set(whole)
    subprocess.run(run, env=environment("cut"), check=True, capture_output=True)
    assert digests(tmp_path / "cut") == whole
    assert not any(staging.iterdir())


@pytest.mark.slow
def test_two_runs_at_once_share_a_store_without_harm(project, tmp_path):
    environment = {**os.environ, "WORKBENCH_HOME": str(tmp_path / "store")}
    both = [
        subprocess.Popen(
            command("run", project / "recipe.yaml", "--runs", tmp_path / name, "--json"),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in ("a", "b")
    ]
    answers = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    runs = [json.loads(out) for out, _ in answers]
    assert runs[0]["variants"] == runs[1]["variants"]
    # Three artifacts, two outputs, two judgements, two footprints and one latency table, each once.
    assert sum(run["performed"] for run in runs) == 10
    assert len(digests(tmp_path / "store")) == 3
