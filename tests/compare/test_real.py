"""Real runs from the command line: two recipes of one classifier, and one measured twice."""

import json
import shutil

import pytest

from tests.browser import browser  # noqa: F401 - a fixture
from tests.compare.built import machine
from workbench.compare import Comparison, compare_runs, read_source
from workbench.compare.history import History, trend
from workbench.compare.records import Basis, Told
from workbench.report.html.history import history_page
from workbench.run_directory import load_run


def of(made: Comparison, name: str):
    return next(v for v in made.variants if v.name == name).differences[1]


def test_two_recipes_are_compared_from_the_command_line(real, cli, tmp_path):
    page = tmp_path / "compare.md"
    done = cli(
        "compare", real / "first" / "digits", real / "second" / "digits",
        "--requests", "20M", "--markdown", page,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "variants.int8.quantize.per_channel" in done.out
    for said in ("the same files", "normalised", "USD a month", "over the same baseline"):
        assert said in done.out
        assert said in page.read_text()


def test_the_record_says_what_differs_and_what_does_not(real, cli):
    done = cli("compare", real / "first" / "digits", real / "second" / "digits", "--json")
    made = Comparison.model_validate(json.loads(done.out))
    [change] = made.changes
    assert (change.key, change.before, change.after) == (
        "variants.int8.quantize.per_channel", True, False,
    )  # fmt: skip
    assert made.relations[0].normalised
    assert of(made, "fp32").identical
    assert of(made, "w8").quality.basis == "same files"
    int8 = of(made, "int8")
    assert int8.identical is False
    assert int8.size < 1
    assert int8.quality.basis == "differences"
    assert [cell.basis for cell in int8.latency] == [Basis.NORMALISED]


def test_the_same_files_measured_again_are_never_called_a_change(real):
    sources = [read_source(str(real / name / "digits")) for name in ("first", "again")]
    made = compare_runs(sources)
    assert sources[0].run.measured <= sources[1].run.measured
    assert made.changes == ()
    for row in made.variants:
        assert row.differences[1].identical
        assert [cell.told for cell in row.differences[1].latency] == [Told.NOT_APART]


def test_a_run_whose_latency_came_from_the_store_is_the_same_measurement(real, tmp_path):
    folder = tmp_path / "digits"
    shutil.copytree(real / "first" / "digits", folder)
    run = load_run(folder).model_copy(update={"created": "2030-01-01T00:00:00+00:00"})
    (folder / "run.json").write_text(run.model_dump_json(exclude_none=True))
    made = compare_runs([read_source(str(real / "first" / "digits")), read_source(str(folder))])
    assert {c.basis for v in made.variants for c in v.differences[1].latency} == {Basis.SAME}


def test_two_variants_of_one_real_run_are_interleaved(real, cli):
    folder = real / "first" / "digits"
    done = cli("compare", f"{folder}:fp32", f"{folder}:int8", "--json")
    made = Comparison.model_validate(json.loads(done.out))
    [row] = made.variants
    speedup = load_run(folder).variants[1].measurement.latency[0].speedup
    assert row.differences[1].latency[0].basis is Basis.INTERLEAVED
    assert row.differences[1].latency[0].speed.value == pytest.approx(speedup.value)
    assert row.differences[1].latency[0].speed.low == pytest.approx(speedup.low)
    recorded = load_run(folder).variants[1].measurement.quality.difference
    assert row.differences[1].quality.difference.low == pytest.approx(recorded.low)


def elsewhere(real, tmp_path):
    """The second run as if another machine had measured it; its artifacts lie beside it."""
    folder = tmp_path / "elsewhere"
    shutil.copytree(real / "second" / "digits", folder)
    run = load_run(folder)
    versions = run.machine.versions
    other = run.model_copy(update={"machine": machine(cpu="Test CPU 2", versions=versions)})
    (folder / "run.json").write_text(other.model_dump_json(exclude_none=True))
    return folder


def test_on_another_machine_only_size_quality_and_speedups_are_compared(real, cli, tmp_path):
    done = cli("compare", real / "first" / "digits", elsewhere(real, tmp_path), "--json")
    made = Comparison.model_validate(json.loads(done.out))
    assert of(made, "fp32").latency[0].basis is Basis.NONE
    assert of(made, "int8").latency[0].basis is Basis.OTHER_MACHINE
    assert of(made, "int8").memory is None
    assert of(made, "int8").size < 1
    shown = cli("compare", real / "first" / "digits", tmp_path / "elsewhere").out
    assert "times are not compared" in shown


def test_without_its_artifacts_a_run_is_still_compared_by_its_keys(real, tmp_path):
    alone = tmp_path / "first.json"
    shutil.copy(real / "first" / "digits" / "run.json", alone)
    made = compare_runs([read_source(str(alone)), read_source(str(real / "second" / "digits"))])
    assert made.runs[0].baseline_digest is None
    assert made.relations[0].normalised
    assert of(made, "int8").identical is None


def test_quality_is_judged_again_where_nothing_paired_is_recorded(real):
    sources = [read_source(str(real / name / "digits")) for name in ("first", "second")]
    wide = of(compare_runs(sources), "int8").quality
    made = of(compare_runs(sources, paired=True), "int8").quality
    assert made.basis == "paired"
    assert "evaluated again" in made.why
    assert made.difference.high - made.difference.low < wide.difference.high - wide.difference.low
    assert made.difference.value == pytest.approx(wide.difference.value)


def test_quality_is_not_judged_again_on_other_data(real, cli, tmp_path):
    """A score that the data do not give: as if the file had changed since."""
    folder = tmp_path / "digits"
    shutil.copytree(real / "second" / "digits", folder)
    record = json.loads((folder / "run.json").read_text())
    for variant in record["variants"]:
        score = variant["measurement"]["quality"]["score"]
        score["low"] = score["value"] = score["value"] - 0.1
    (folder / "run.json").write_text(json.dumps(record))
    done = cli("compare", real / "first" / "digits", folder, "--paired")
    assert done.code == 2
    assert "are not those that" in done.err


def test_quality_is_not_judged_again_where_the_samples_differ(real, cli, tmp_path):
    folder = tmp_path / "digits"
    shutil.copytree(real / "second" / "digits", folder)
    text = (folder / "run.json").read_text().replace('"samples": 300', '"samples": 299')
    (folder / "run.json").write_text(text)
    done = cli("compare", real / "first" / "digits", folder, "--paired")
    assert done.code == 2
    assert "were not judged on the same samples" in done.err


def test_the_trend_of_real_runs(real, cli, tmp_path):
    picture, page = tmp_path / "trend.svg", tmp_path / "trend.html"
    done = cli("compare", "--history", real, "--svg", picture, "--html", page)
    assert done.code == 0, done.err
    assert "per_channel" in done.out
    assert picture.read_text().startswith("<svg")
    assert page.read_text().startswith("<!doctype html>")
    again = tmp_path / "again.svg"
    told = cli("compare", "--history", real, "--json", "--svg", again)
    assert "svg" in again.read_text()[:5]
    made = History.model_validate(json.loads(told.out))
    assert made.runs == 3
    sizes = next(s for s in made.series if (s.variant, s.metric) == ("int8", "size"))
    assert [point.flagged for point in sizes.points] == [False, True, True]
    assert {s.variant for s in made.series if any(p.flagged for p in s.points)} == {"int8"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "nothing to compare"),
        (("RUN",), 2, "nothing to compare"),
        (("RUN", "RUN"), 2, "the same run"),
        (("RUN", "absent"), 2, "absent"),
        (("RUN", "RUN:int9"), 2, "Did you mean 'int8'"),
        (("RUN", "torn"), 5, "cannot be read"),
        (("RUN", "--history", "."), 2, "stands alone"),
        (("RUN", "torn", "--metric", "size"), 2, "--metric is for --history"),
        (("--history", "absent"), 2, "is no folder"),
        (("--history", ".", "--metric", "sise"), 2, "Did you mean 'size'"),
        (("--history", ".", "--since", "June"), 2, "no date"),
        (("RUN", "OTHER", "--requests", "2M", "--region", "mars-1"), 2, "mars-1"),
    ],
)
def test_wrong_input_is_one_sentence_and_a_code(
    real, cli, tmp_path, monkeypatch, arguments, code, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "run.json").write_text("{")
    names = {"RUN": real / "first" / "digits", "OTHER": real / "second" / "digits"}
    given = [str(a).replace(k, str(v)) for a in arguments for k, v in [_match(a, names)]]
    done = cli("compare", *given)
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err


def _match(argument, names):
    return next(((k, v) for k, v in names.items() if k in argument), ("", ""))


def test_the_page_draws_every_figure_and_asks_the_network_for_nothing(
    real,
    tmp_path,
    browser,  # noqa: F811
):
    metrics = ["size", "quality", "latency.p50", "speedup"]
    made = trend(real, metrics=metrics)
    path = tmp_path / "trend.html"
    path.write_text(history_page(made))
    tab = browser.new_page()
    faults, asked = [], []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(path.as_uri())
    figures = tab.locator("figure.trend")
    assert figures.count() == 4
    for index, metric in enumerate(metrics):
        drawn = figures.nth(index).locator("svg[aria-label]")
        points = sum(len(s.points) for s in made.series if s.metric == metric)
        assert points > 0
        assert drawn.locator("title").count() == points
    rows = tab.locator("#points tbody tr").count()
    assert rows == sum(len(s.points) for s in made.series)
    assert faults == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(tab).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    tab.close()


def test_a_name_that_looks_like_markup_stays_text(real, tmp_path):
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    shutil.copytree(real / "first" / "digits", folder)
    page = history_page(trend(tmp_path))
    assert "<img" not in page
    assert "&lt;img src=x" in page
