"""Every file and command of docs/testing.md, put into a team's project and run."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.ci.emulation import ROOT, read, run_gitlab, run_workflow

PAGE = (ROOT / "docs" / "testing.md").read_text()
FENCES = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = {
    text.split("\n", 1)[0].removeprefix("# "): text
    for language, text in FENCES
    if language in ("yaml", "python", "ini")
}


@pytest.fixture
def job(make_job):
    """A checkout that holds the page's gates file too."""
    made = make_job()
    (made.workspace / "gates.yaml").write_text(FILES["gates.yaml"])
    made.install = False
    return made


def test_every_snippet_is_known_to_a_test():
    assert set(FILES) == {
        "gates.yaml",
        ".github/workflows/model.yml",
        ".gitlab-ci.yml",
        "tests/test_model.py",
        "pytest.ini",
        ".pre-commit-config.yaml",
    }
    others = [language for language, _ in FENCES if language not in ("yaml", "python", "ini")]
    assert others == ["sh", ""]  # the commands, and what a broken bound prints


def test_the_github_workflow_runs_base_and_head(job, project):
    checkout = job.workspace.parent / "checkout"
    shutil.copytree(job.workspace, checkout)
    run_workflow(job, read(FILES[".github/workflows/model.yml"]), checkout)
    assert job.code == 0, job.log
    assert "passed true, see runs/mine" in job.log
    assert (job.workspace / "base-runs" / "mine" / "run.json").is_file()
    assert "latency.p50 <= 1.5 * previous" in job.log
    assert "mine: passed: 4 pass" in job.summary
    kept = [inputs for uses, inputs in job.used if uses.startswith("actions/upload-artifact")]
    assert [inputs["name"] for inputs in kept] == ["workbench"]


def test_the_gitlab_job_extends_the_template(job):
    page = read(FILES[".gitlab-ci.yml"])
    assert page["include"]["file"] == "ci/gitlab/workbench.yml"
    assert page["model"]["extends"] == ".workbench"
    variables = page["model"]["variables"] | {"WORKBENCH_PACKAGE": str(ROOT)}
    earlier = {"WORKBENCH_RUNS": "earlier", "WORKBENCH_BASELINE": "", "WORKBENCH_GATES": ""}
    run_gitlab(job, variables | earlier)  # what an earlier job left
    assert job.code == 0, job.log
    run_gitlab(job, variables)
    assert job.code == 0, job.log
    assert "mine: passed: 4 pass" in job.log


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ("vendor.github-workflows", ".github/workflows/model.yml"),
        ("vendor.gitlab-ci", ".gitlab-ci.yml"),
    ],
)
def test_the_workflows_follow_their_schemas(tmp_path, schema, name):
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    file = tmp_path / "file.yml"
    file.write_text(FILES[name])
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_pytest_page_passes_as_it_stands(job):
    (commands,) = (text for language, text in FENCES if language == "sh")
    code = job.shell("workbench run recipes/mine.yaml", {}, job.workspace)
    assert code == 0, job.log
    (job.workspace / "tests").mkdir()
    (job.workspace / "tests" / "test_model.py").write_text(FILES["tests/test_model.py"])
    for command in commands.splitlines():
        more = " --workbench-budget 400" if "budget" not in command else ""
        words = shlex.split(command + more)
        assert words[0] == "pytest"
        job.log = ""
        assert job.shell(shlex.join(words), {}, job.workspace) == 0, job.log
        wanted = "1 passed" if "-k gates" in command else "3 passed"
        assert wanted in job.log or "skipped" in job.log
        assert "workbench: judged figures" in job.log


def test_the_settings_are_settings(job):
    text = FILES["pytest.ini"]
    (job.workspace / "pytest.ini").write_text(text)
    settings = configparser.ConfigParser()
    settings.read_string(text)
    tests = "\n".join(
        [
            "def test_settings(pytestconfig):",
            *(
                f"    assert pytestconfig.getini({k!r}) == {v!r}"
                for k, v in settings["pytest"].items()
            ),
            "    plugin = pytestconfig.pluginmanager.get_plugin('workbench-session')",
            "    assert plugin.session.budget_s == 300 and plugin.session.comparisons == 20",
        ]
    )
    (job.workspace / "test_settings.py").write_text(tests)
    code = job.shell("pytest --strict-config test_settings.py", {}, job.workspace)
    assert code == 0, job.log


def test_the_pre_commit_page_names_the_hook_that_there_is():
    (repo,) = read(FILES[".pre-commit-config.yaml"])["repos"]
    hooks = read(ROOT / ".pre-commit-hooks.yaml")
    assert [hook["id"] for hook in repo["hooks"]] == [hook["id"] for hook in hooks]
