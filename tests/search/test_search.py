"""`workbench search` on a small classifier: what is tried, kept, drawn, resumed, and said."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.end_to_end.test_bad_input import nothing_left, refused
from tests.search.conftest import SEARCH, judged_alike
from workbench.recipe import load_recipe
from workbench.report.html.frontier import beats
from workbench.run_directory import load_run
from workbench.search.records import Ended, SearchResult

pytest.importorskip("optuna", reason="optuna is not installed (workbench[search])")
pytest.importorskip("matplotlib", reason="matplotlib is not installed (workbench[search])")


def result_of(out: str) -> SearchResult:
    return SearchResult.model_validate_json(out)


def test_a_search_ends_in_a_run_of_the_baseline_and_the_frontier(cli, searched, tmp_path):
    done = cli("search", searched())
    assert done.code == 0, done.err
    folder = tmp_path / "runs" / "small-frontier"
    result = result_of((folder / "search.json").read_text())
    assert result.exhausted
    # One chain is the baseline's; four are weight-only, one is dynamic.
    assert len(result.trials) == 6
    assert [t.ended for t in result.trials].count(Ended.SAME) >= 1
    keys = [json.dumps(trial.steps) for trial in result.trials]
    assert len(set(keys)) == len(keys)
    objectives = result.parsed_objectives
    measured = [t.terms(objectives) for t in result.trials if t.ended is Ended.MEASURED]
    for point in result.points:
        mine = result.trial(point.trial).terms(objectives)
        assert not any(beats(other, mine) for other in measured)
    run = load_run(folder)
    assert run.variants[0].name == run.baseline.name == "fp32"
    assert {v.name for v in run.variants[1:]} == {p.variant for p in result.points}
    for point in result.points:
        variant = run.variant(point.variant)
        assert point.figures["size"].value == variant.measurement.footprint.size_bytes
        assert point.figures["quality"] == variant.measurement.quality.difference
        assert [r.step for r in variant.lineage] == ["export", "quantize"]
    assert (folder / "frontier.svg").read_text().startswith("<?xml")
    assert (folder / "frontier.png").read_bytes().startswith(b"\x89PNG")
    assert result.points[0].variant in done.out
    # The run is one like any other.
    assert cli("show", folder).code == 0
    assert cli("cost", folder, "--requests", "2M", "--top", 1).code == 0
    assert load_recipe(folder / "recipe.yaml").recipe.search is None


def test_a_second_search_tries_nothing_again_and_a_larger_budget_goes_on(cli, searched):
    recipe = searched()
    first = result_of(cli("search", recipe, "--trials", 2, "--json").out)
    assert len(first.trials) == 2
    again = result_of(cli("search", recipe, "--trials", 2, "--json").out)
    assert again.trials == first.trials
    assert again.resumed == 2
    more = result_of(cli("search", recipe, "--trials", 4, "--json").out)
    assert more.trials[:2] == first.trials
    assert [trial.number for trial in more.trials] == [1, 2, 3, 4]
    assert not more.exhausted


def test_no_trial_begins_when_the_minutes_are_over_in_whichever_sitting(cli, searched):
    # A trial takes longer than these 60 ms, so that the first is the last.
    short = ("--set", "search.minutes=0.001", "--json")
    first = result_of(cli("search", searched(), *short).out)
    assert len(first.trials) == 1
    assert result_of(cli("search", searched(), *short).out).trials == first.trials
    assert not first.exhausted


def test_processes_of_this_machine_find_what_one_alone_finds(cli, searched, tmp_path):
    recipe = searched()
    done = cli("search", recipe, "--json", "--workers", 2)
    assert done.code == 0, done.err
    result = result_of(done.out)
    assert result.exhausted
    assert sorted(trial.number for trial in result.trials) == [1, 2, 3, 4, 5, 6]
    assert judged_alike(result, recipe, tmp_path / "store") == 5


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_and_runs_no_finished_trial_again(searched, tmp_path):
    recipe = searched(SEARCH.replace("[size, quality]", "[size, latency.p50]"))
    environment = {**os.environ, "WORKBENCH_HOME": str(tmp_path / "store")}
    command = [sys.executable, "-m", "workbench", "search", str(recipe), "--json"]
    command += ["--runs", str(tmp_path / "runs")]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def recorded() -> list[dict]:
        found = []
        for journal in (tmp_path / "store" / "searches").glob("*.journal"):
            for line in journal.read_text().splitlines():
                try:
                    attributes = json.loads(line).get("user_attr", {})
                except ValueError:  # half a line, while it is written
                    continue
                found += [json.loads(attributes["trial"])] if "trial" in attributes else []
        return found

    deadline = time.monotonic() + 120
    while len(recorded()) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = recorded()
    assert 2 <= len(before) < 6
    [journal] = (tmp_path / "store" / "searches").glob("*.journal")
    with journal.open("a") as torn:  # as if it had died while it wrote
        torn.write('{"op_code": 5, "work')
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    result = result_of(done.stdout)
    assert result.resumed == len(before)
    assert len(result.trials) == 6
    kept = {t.number: json.loads(t.model_dump_json(exclude_defaults=True)) for t in result.trials}
    assert [kept[trial["number"]] for trial in before] == before
    assert len(recorded()) == 6


def test_constraints_that_nothing_keeps_are_exit_code_1_and_the_closest_is_told(
    cli, searched, tmp_path
):
    recipe = searched(SEARCH + "  constraints: [size <= 0.05 * baseline]\n")
    done = cli("search", recipe)
    assert done.code == 1
    said = " ".join(done.out.split())
    assert "No chain keeps all constraints: size <= 0.05 * baseline" in said
    assert "The closest is trial" in said
    assert "bits=4" in said
    assert "size " in said
    assert not (tmp_path / "runs").exists()
    result = result_of(cli("search", recipe, "--json").out)
    broken = [trial for trial in result.trials if trial.ended is Ended.BROKEN]
    assert len(broken) == 5
    smallest = min(broken, key=lambda trial: trial.figures["size"].value)
    assert result.closest == smallest.number
    # Size is looked at first: nothing else was measured of what is too large.
    assert all(set(trial.figures) == {"size"} for trial in broken)


def test_an_invalid_combination_ends_its_trial_only(cli, searched):
    # weight-only with kernels takes no block of 24; the search goes on without it.
    block = SEARCH.replace("block: {choice: [16, 32]}", "block: {choice: [24, 32]}, "
                           "compute: {choice: [kernel, load]}")  # fmt: skip
    done = cli("search", searched(block), "--json", "--trials", 30)
    assert done.code == 0, done.err
    refusals = [t for t in result_of(done.out).trials if t.ended is Ended.REFUSED]
    assert refusals
    for trial in refusals:
        assert (trial.knobs["block"], trial.knobs["compute"]) == ("24", "kernel")
        assert "power of two" in trial.reason


def test_where_no_chain_can_be_made_the_search_fails_and_says_why(cli, searched, tmp_path):
    quantize = "quantize: {scheme: weight-only, exclude: ['*'], bits: {choice: [8, 4]}}"
    done = cli("search", searched(f"search:\n  steps: [export, {quantize}]\n"))
    refused(done, "None of the 2 chains could be made. The first:", code=3)
    assert not (tmp_path / "runs").exists()


def test_cost_is_weighed_by_the_recipe_s_traffic(cli, searched):
    block = """\
search:
  steps: [export, {quantize: {scheme: {choice: [weight-only]}}}]
  objectives: [cost, size]
traffic: {requests: 200M}
"""
    done = cli("search", searched(block), "--json")
    assert done.code == 0, done.err
    result = result_of(done.out)
    assert len(result.points) == 1
    assert result.baseline.usd > 0
    for point in result.points:
        share = point.usd / result.baseline.usd
        assert point.figures["cost"].value == pytest.approx(share)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("bits: {choice: [8, 4]}", "bitz: {choice: [8, 4]}"), "Did you mean 'bits'?"),
        (("choice: [8, 4]", "choice: [8, 3]"), "bits"),
        (("choice: [8, 4]", "choice: []"), "a list of values"),
        (("choice: [8, 4]", "range: [8, 4]"), "is empty"),
        (("quantize: dynamic-int8", "quantise: dynamic-int8"), "Did you mean 'quantize'?"),
        (("quantize: dynamic-int8", "quantize: dynamic-int9"), "scheme"),
        (("    - export\n", ""), "no chain of it fits"),
        (("[size, quality]", "[sise, quality]"), "Did you mean 'size'?"),
        (("[size, quality]", "[size, size]"), "twice"),
        (("[size, quality]", "[latency.p99]"), "latency.p50"),
        (("[size, quality]", '["latency.p50[batch=7]"]'), "no cell"),
        (("[size, quality]", "[nearest_neighbour]"), "does not give"),
        (("[size, quality]", "[cost]"), "no traffic to price"),
        (("trials: 10", "constraints: [quality > previous]"), "no earlier run"),
        (("trials: 10", "constraints: [latency.p99 <= baseline]"), "too short"),
        (("trials: 10", "constraints: [sise <= 1 MB]"), "Did you mean 'size'?"),
        (("trials: 10", "trails: 10"), "Did you mean 'trials'?"),
        (("trials: 10", "sampler: annealing"), "sampler"),
        (("trials: 10", "trials: 0"), "trials"),
    ],
)
def test_a_wrong_block_is_refused_with_its_line(cli, searched, tmp_path, change, says):
    assert change[0] in SEARCH
    recipe = searched(SEARCH.replace(*change))
    told = change[1] or "  steps:"
    lines = recipe.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if told in text)
    refused(cli("search", recipe), says, f"recipe.yaml:{line}")
    nothing_left(tmp_path)


def test_a_recipe_without_the_block_and_options_that_do_not_fit_are_refused(cli, searched):
    refused(cli("search", searched("")), "has no `search:` block")
    refused(cli("search", searched(), "--address", "here:1"), "Give --engine ray")


def test_validate_looks_at_the_block_and_run_passes_over_it(cli, searched):
    assert cli("recipes", "validate", searched(SEARCH.replace("[8, 4]", "[8, 3]"))).code == 2
    assert cli("recipes", "validate", searched()).code == 0
    assert cli("run", searched(), "--smoke").code == 0


def test_a_search_that_is_under_way_is_not_begun_twice(cli, searched, tmp_path):
    from filelock import FileLock

    recipe = searched(SEARCH + "  constraints: [size <= 1 B]\n")
    assert cli("search", recipe, "--trials", 1).code == 1
    [journal] = (tmp_path / "store" / "searches").glob("*.journal")
    with FileLock(journal.with_suffix(".lock")):
        refused(cli("search", recipe), "under way in another process")
