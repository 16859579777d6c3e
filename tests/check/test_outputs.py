"""Each output says what the result says, in the form that its readers ask for."""

import json
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.check.conftest import HERE, interval
from workbench.check.outputs import formats, render
from workbench.check.records import CellVerdict, CheckResult, CheckVerdict, Identity
from workbench.errors import InputError
from workbench.records import Outcome, Setting
from workbench.report.checks import check_grids

RUN = Identity(
    path="runs/small",
    name="small",
    created="2026-01-02T03:04:05+00:00",
    measured="2026-01-02T03:04:05+00:00",
    model="model.onnx",
    sha256="0" * 64,
)


def verdict(outcome=Outcome.PASS, **given):
    cells = tuple(
        CellVerdict(
            setting=Setting(batch=batch, threads=1),
            outcome=outcome,
            reason=f"p50 1.1 × previous at {batch}",
            how="measured side by side",
        )
        for batch in range(1, given.pop("cells", 0) + 1)
    )
    fields = {
        "gate": "latency.p50 <= 1.05 * previous",
        "variant": "int8",
        "reason": "holds in 0 of 2 cells",
        "observed": interval(1.1, 0.01),
        "bound": 1.05,
        "name": "latency.p50 <= 1.05 * previous",
        "against": "previous",
        "how": "measured side by side",
        "file": "gates.yaml",
        "line": 3,
    }
    return CheckVerdict(outcome=outcome, cells=cells, **{**fields, **given})


def result(*verdicts, **given):
    fields = {"created": "2026-01-02T03:04:06+00:00", "machine": HERE, "false_failure": 0.01}
    return CheckResult(run=RUN, previous=RUN, verdicts=verdicts, **{**fields, **given})


EVERY = result(*(verdict(outcome, variant=outcome.name.lower()) for outcome in Outcome))


def test_every_format_is_found_by_its_file_and_says_what_it_is():
    assert set(formats()) == {"annotations", "junit", "markdown", "sarif"}
    assert all(formats().values())
    with pytest.raises(InputError, match="'junit'"):
        render("junt", EVERY)


def test_the_result_reads_back_from_its_json():
    assert CheckResult.model_validate_json(EVERY.model_dump_json(exclude_none=True)) == EVERY


# --- JUnit ---------------------------------------------------------------------------------------

CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out", "system-err"},
    "properties": {"property"},
    "testcase": {"skipped", "error", "failure", "system-out", "system-err"},
}
REQUIRED = {
    "testsuite": {"name", "tests", "failures", "errors"},
    "testcase": {"name", "classname"},
    "property": {"name", "value"},
    "failure": {"type"},
}
ALLOWED = {
    "testsuites": {"name", "time", "tests", "failures", "disabled", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "time", "disabled", "skipped",
                  "timestamp", "hostname", "id", "package"},
    "testcase": {"name", "assertions", "time", "classname", "status"},
    "property": {"name", "value"},
    "failure": {"type", "message"},
    "skipped": {"message"},
    "system-out": set(),
    "properties": set(),
}  # fmt: skip
"""The elements and attributes of Jenkins' junit-10.xsd."""


def shaped(text):
    """Parse JUnit XML and hold it against the shape above."""
    root = ElementTree.fromstring(text)
    for element in root.iter():
        assert set(element.attrib) <= ALLOWED[element.tag], element.tag
        assert REQUIRED.get(element.tag, set()) <= set(element.attrib), element.tag
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set()), element.tag
    for suite in root.iter("testsuite"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))
        cases = suite.findall("testcase")
        assert int(suite.get("tests")) == len(cases)
        for tag, count in (("failure", "failures"), ("skipped", "skipped")):
            assert int(suite.get(count)) == sum(case.find(tag) is not None for case in cases)
    return root


def test_junit_has_a_case_for_each_gate_and_variant():
    root = shaped(render("junit", EVERY))
    found = {
        case.get("classname"): next((child.tag for child in case if child.tag != "system-out"), "")
        for case in root.iter("testcase")
    }
    assert found == {
        "small.pass": "",
        "small.fail": "failure",
        "small.undecided": "skipped",
        "small.not_judged": "skipped",
    }


def test_under_strict_only_a_pass_is_no_failure():
    root = shaped(render("junit", EVERY.model_copy(update={"strict": True})))
    assert root.get("failures") == "3"
    assert not list(root.iter("skipped"))


@given(st.text(max_size=40), st.text(max_size=40))
def test_junit_is_well_formed_whatever_names_and_reasons_hold(name, reason):
    shaped(render("junit", result(verdict(Outcome.FAIL, name=name, reason=reason, note=name))))


# --- SARIF ---------------------------------------------------------------------------------------


def test_sarif_has_what_the_schema_and_code_scanning_ask_for():
    log = json.loads(render("sarif", EVERY))
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "workbench check"
    rules = [rule["id"] for rule in driver["rules"]]
    assert len(set(rules)) == len(rules) == 1
    [found] = run["results"]  # only what fails: code scanning shows all results as alerts
    assert found["ruleId"] == rules[found["ruleIndex"]]
    assert (found["kind"], found["level"]) == ("fail", "error")
    assert found["message"]["text"].startswith("fail: fail:")
    place = found["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "gates.yaml"
    assert place["region"]["startLine"] == 3
    assert found["partialFingerprints"]


def test_sarif_under_strict_has_the_undecided_too():
    log = json.loads(render("sarif", EVERY.model_copy(update={"strict": True})))
    assert len(log["runs"][0]["results"]) == 3


def test_a_finding_is_recognised_in_the_next_run():
    first, second = (
        json.loads(render("sarif", result(verdict(Outcome.FAIL, reason=reason))))
        for reason in ("1.10", "1.12")
    )
    same = [log["runs"][0]["results"][0]["partialFingerprints"] for log in (first, second)]
    assert same[0] == same[1]


@pytest.mark.parametrize(
    ("file", "uri"),
    [("a b/gates.yaml", "a%20b/gates.yaml"), ("/x/gates.yaml", "file:///x/gates.yaml"),
     (None, "runs/small")],
)  # fmt: skip
def test_a_place_is_a_valid_uri(file, uri):
    log = json.loads(render("sarif", result(verdict(Outcome.FAIL, file=file, line=None))))
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}}


def test_a_place_is_told_from_the_root_of_the_checkout(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path / "models")  # working-directory: models
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    made = result(verdict(Outcome.FAIL, file="gates.yaml"), verdict(Outcome.FAIL, file="/x.yaml"))
    lines = render("annotations", made).splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "::error file=models/gates.yaml", "::error file=/x.yaml",
    ]  # fmt: skip
    found = json.loads(render("sarif", made))["runs"][0]["results"]
    uris = [f["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for f in found]
    assert uris == ["models/gates.yaml", "file:///x.yaml"]


# --- annotations ---------------------------------------------------------------------------------


def test_annotations_mark_what_did_not_pass_by_its_severity():
    lines = render("annotations", EVERY).splitlines()
    assert [line.split()[0] for line in lines] == ["::error", "::warning", "::notice"]
    assert lines[0].startswith("::error file=gates.yaml,line=3,title=fail%3A fail of small::")


def test_annotations_of_many_gates_are_no_more_than_github_shows():
    lines = render("annotations", result(*[verdict(Outcome.FAIL)] * 30)).splitlines()
    assert len(lines) == 10
    assert "21 more gates" in lines[-1]


def unescaped(text):
    """As the runner of GitHub Actions reads it."""
    for written, sign in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(written, sign)
    return text


@given(
    st.text(max_size=40), st.text(max_size=40, alphabet=st.characters(exclude_categories=["Cs"]))
)
def test_an_annotation_is_one_line_that_reads_back(reason, file):
    text = render("annotations", result(verdict(Outcome.FAIL, reason=reason, file=file)))
    assert text.count("\n") == 1
    assert "\r" not in text
    head, _, message = text.rstrip("\n").removeprefix("::error ").partition("::")
    properties = dict(part.split("=", 1) for part in head.split(","))
    assert unescaped(properties["file"]) == file
    assert unescaped(message).endswith(reason)


# --- Markdown and the terminal -------------------------------------------------------------------


def test_markdown_opens_with_the_verdict_and_the_failures():
    lines = render("markdown", EVERY).splitlines()
    assert lines[0] == "### ❌ small: FAILED: 1 pass, 1 fail, 1 undecided, 1 not judged"
    assert [line.split("|")[2].strip() for line in lines[4:8]] == [
        "fail", "undecided", "not\\_judged", "pass",
    ]  # fmt: skip


def test_markdown_unfolds_the_cells():
    text = render("markdown", result(verdict(Outcome.FAIL, cells=2)))
    assert "<details><summary>Cell by cell</summary>" in text
    assert "1, 1 thr" in text


@pytest.mark.parametrize(("gates", "cells"), [(5, 1000), (2000, 2)])
def test_markdown_stays_below_what_github_takes(gates, cells):
    text = render("markdown", result(*[verdict(Outcome.FAIL, cells=cells)] * gates))
    assert len(text) < 65_536
    assert "fit here" in text
    assert text.splitlines()[0].startswith("### ❌ small")


def test_markdown_lets_no_name_be_read_as_html_or_a_mention():
    text = render("markdown", result(verdict(Outcome.FAIL, reason="<img> @all a|b *c*")))
    assert "<img>" not in text
    assert "@all" not in text
    row = next(line for line in text.splitlines() if "a\\|b" in line)
    assert len(re.split(r"(?<!\\)\|", row)) == 6


def test_the_terminal_shows_the_cells_that_did_not_pass():
    grids = check_grids(result(verdict(Outcome.FAIL, cells=2), verdict(cells=2)))
    assert [len(grid.rows) for grid in grids] == [2, 2]
    assert grids[0].rows[0][0] == "✗ FAIL"


def test_nothing_to_judge_is_said():
    assert result().headline == "nothing was judged: there is no gate"
    assert result().passed
