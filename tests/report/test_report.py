"""The report without a browser: what it says of a run that lacks something, and its command."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from tests.report.recorded import FILE, recorded, without
from workbench.cli import app
from workbench.errors import InputError
from workbench.records import Outcome
from workbench.report.html.report import report_html


def words(html: str) -> str:
    """The text of the page's main part."""
    main = re.search(r"<main.*?</main>", html, re.DOTALL)[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", main))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "minilm-int8"
    made.mkdir()
    (made / "run.json").write_bytes(FILE.read_bytes())
    return made


def test_a_smoke_run_says_first_that_no_figure_says_anything():
    said = words(report_html([recorded().model_copy(update={"smoke": True})]))
    assert said.index("No figure here says anything") < said.index("smaller")
    assert "A smoke run is not priced" in said


def test_failed_gates_are_the_headline():
    run = recorded()
    verdicts = tuple(v.model_copy(update={"outcome": Outcome.FAIL}) for v in run.verdicts)
    said = words(report_html([run.model_copy(update={"verdicts": verdicts})], explorer=False))
    assert "No variant passes its gates." in said


def test_a_run_of_its_baseline_alone_or_without_any_latency_has_a_report():
    run = recorded()
    alone = run.model_copy(update={"variants": run.variants[:1], "verdicts": ()})
    assert "Only the baseline was measured." in words(report_html([alone], explorer=False))
    silent = words(report_html([without(run, "latency", ())], explorer=False))
    assert "speed not measured" in silent
    assert "Not priced: " in silent


def test_nothing_measured_at_all_is_said():
    run = recorded()
    bare = run.model_copy(
        update={
            "variants": tuple(v.model_copy(update={"measurement": None}) for v in run.variants),
            "verdicts": (),
        }
    )
    assert "Nothing was measured." in words(report_html([bare], explorer=False))


def test_an_unknown_region_is_the_user_s_error():
    with pytest.raises(InputError, match="atlantis"):
        report_html([recorded()], region="atlantis-1", explorer=False)


def test_the_command_writes_the_page_into_the_run_directory(folder):
    result = CliRunner().invoke(app, ["report", str(folder), "--no-explorer", "--requests", "2M"])
    assert result.exit_code == 0
    assert result.output.strip() == str(folder / "report.html")
    said = words((folder / "report.html").read_text())
    assert "2,000,000 requests a month" in said
    assert "assumed: nobody" not in said


def test_the_command_writes_several_runs_where_it_is_told(folder, tmp_path):
    output = tmp_path / "team.html"
    given = ["report", str(folder), str(folder), "--no-explorer", "--output", str(output)]
    assert CliRunner().invoke(app, given).exit_code == 0
    assert "2 runs" in output.read_text()


@pytest.mark.parametrize("more", [["--output", "."], ["--region", "atlantis-1"]])
def test_the_command_refuses_what_it_cannot_do(folder, more):
    given = ["report", str(folder), "--no-explorer", *more]
    error = CliRunner().invoke(app, given).exception
    assert isinstance(error, InputError)
    assert not (folder / "report.html").exists()


def test_the_command_refuses_a_folder_that_is_no_run(tmp_path):
    error = CliRunner().invoke(app, ["report", str(tmp_path)]).exception
    assert isinstance(error, InputError)
    assert "run.json" in str(error)


def test_steps_tell_what_they_chose_left_alone_and_saved():
    run = recorded()
    said = words(report_html([run], explorer=False))
    quantize = run.variants[1].lineage[-1].account
    for name, count in quantize.choices["inputs"].items():
        assert f"{name} {count}" in said
    assert f"{quantize.skipped[0].name} {quantize.skipped[0].reason}" in said
    assert "67.4 MB (75 %)" in said


def test_provenance_has_digests_versions_recipe_and_dated_sources_of_prices():
    run = recorded()
    said = words(report_html([run], explorer=False))
    provenance = said[said.rindex("Provenance") :]
    for variant in run.variants:
        assert variant.key in provenance
    for package, version in run.machine.versions.items():
        assert f"{package} {version}" in provenance
    assert "model: minilm" in provenance
    assert re.search(r"AWS Price List.* 2026-\d\d-\d\d A ", provenance)
