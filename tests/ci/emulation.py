"""Runs the shell of a GitHub workflow or a GitLab job as their runners do, without either.

Of GitHub's expressions only what the action and the documentation use is known; anything else is an
error. Actions of others are noted with their inputs and not run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "ci" / "github" / "action.yml"
TEMPLATE = ROOT / "ci" / "gitlab" / "workbench.yml"
TIMEOUT_S = 500


def read(text: str | Path) -> Any:
    """Parse YAML."""
    return YAML(typ="safe").load(text)


@dataclass
class Job:
    """A job under way: its folders, and what happened."""

    workspace: Path
    temp: Path
    store: Path
    log: str = ""
    used: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    summary: str = ""
    code: int = 0
    install: bool = True

    def shell(self, command: str, environment: dict[str, str], folder: Path) -> int:
        """Run one step as ``shell: bash`` is run."""
        script = self.temp / "step.sh"
        script.write_text(command)
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=folder,
            env=base_environment(self.store, self.temp) | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        self.log += done.stdout
        return done.returncode


def base_environment(store: Path, temp: Path) -> dict[str, str]:
    """Where python and workbench are those of this test, and pip installs into a folder."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "WORKBENCH_"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_TARGET": str(temp / "site"),
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say that there is none
        "PIP_QUIET": "1",
        "HF_HUB_OFFLINE": "1",
        "WORKBENCH_HOME": str(store),
    }


# --- GitHub --------------------------------------------------------------------------------------


def evaluate(expression: str, context: dict[str, Any]) -> Any:
    """An expression of GitHub's, of the kinds that are used here."""
    tokens = re.findall(r"'[^']*'|&&|\|\||==|!=|!|\(|\)|[\w.\-]+", expression)
    assert "".join(tokens) == re.sub(r"\s", "", expression), expression
    words = {"&&": "and", "||": "or", "!": "not", "(": "(", ")": ")", "==": "==", "!=": "!="}

    def word(token: str) -> str:
        if token in words:
            return words[token]
        if token.startswith("'"):
            return repr(token[1:-1])
        if token == "cancelled":
            return "cancelled"
        value: Any = context
        for part in token.split("."):
            value = value.get(part, "")  # what is not there is empty
        return repr(str(value))

    return eval(" ".join(map(word, tokens)), {"cancelled": lambda: False})  # our own files


def fill(text: Any, context: dict[str, Any]) -> str:
    """A string with its ``${{ … }}`` replaced."""
    text = "true" if text is True else "false" if text is False else str(text)
    return re.sub(r"\$\{\{(.*?)\}\}", lambda m: str(evaluate(m[1].strip(), context) or ""), text)


def read_outputs(file: Path) -> dict[str, str]:
    """What a step wrote to ``GITHUB_OUTPUT``; the last line of a name counts."""
    lines = file.read_text().splitlines() if file.is_file() else []
    return dict(line.partition("=")[::2] for line in lines)


def run_action(job: Job, inputs: dict[str, str]) -> dict[str, str]:
    """Run the composite action; its outputs. ``job.code`` is that of the first step that failed."""
    action = read(ACTION)
    unknown = set(inputs) - set(action["inputs"])
    assert not unknown, unknown
    given = {name: entry["default"] for name, entry in action["inputs"].items()} | inputs
    context = _context(job) | {"inputs": given, "steps": {}}
    _steps(job, action["runs"]["steps"], context, {"GITHUB_ACTION_PATH": str(ACTION.parent)})
    return {name: fill(o["value"], context) for name, o in action["outputs"].items()}


def run_workflow(job: Job, workflow: dict[str, Any], checkout: Path) -> None:
    """Run the steps of a workflow's only job; a checkout is a copy of ``checkout``."""
    (steps,) = (entry["steps"] for entry in workflow["jobs"].values())
    _steps(job, steps, _context(job) | {"steps": {}}, {}, checkout)


def _context(job: Job) -> dict[str, Any]:
    return {
        "runner": {"temp": str(job.temp), "os": "Linux", "arch": "X64"},
        "github": {"sha": "0" * 40, "event": {"pull_request": {"base": {"sha": "1" * 40}}}},
    }


def _steps(
    job: Job,
    steps: list[dict[str, Any]],
    context: dict[str, Any],
    environment: dict[str, str],
    checkout: Path | None = None,
) -> None:
    for number, step in enumerate(steps):
        condition = str(step.get("if", "")).removeprefix("${{").removesuffix("}}").strip()
        if job.code and "cancelled" not in condition:
            continue
        if condition and not evaluate(condition, context):
            continue
        name = step.get("id", f"step-{number}")
        inputs = {key: fill(value, context) for key, value in step.get("with", {}).items()}
        if "run" not in step:
            job.used.append((step["uses"], inputs))
            if step["uses"].startswith("OWNER/workbench/ci/github@"):
                context["steps"][name] = {"outputs": run_action(job, inputs)}
            elif step["uses"].startswith("actions/checkout@") and checkout is not None:
                target = job.workspace / inputs.get("path", ".")
                shutil.copytree(checkout, target, dirs_exist_ok=True)
            continue
        if not job.install and step.get("name") == "Install the workbench":
            continue  # it is installed, and a wheel takes its time
        assert "${{" not in step["run"], "an expression within a line of shell"
        outputs, summary = job.temp / f"output-{len(job.used)}-{name}", job.temp / "summary"
        summary.write_text("")
        given = {key: fill(value, context) for key, value in step.get("env", {}).items()}
        files = {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
        code = job.shell(
            step["run"],
            environment | files | {"GITHUB_ACTIONS": "true"} | given,
            job.workspace / fill(step.get("working-directory", "."), context),
        )
        context["steps"][name] = {"outputs": read_outputs(outputs)}
        job.summary += summary.read_text()
        job.code = job.code or code


# --- GitLab --------------------------------------------------------------------------------------


def run_gitlab(job: Job, variables: dict[str, str]) -> dict[str, Any]:
    """Run the template's job with some variables set, as one script; returns the job."""
    entry = read(TEMPLATE)[".workbench"]
    project = {"CI_PROJECT_DIR": str(job.workspace), "CI_RUNNER_EXECUTABLE_ARCH": "linux/amd64"}
    values = entry["variables"] | variables
    filled = {
        name: re.sub(r"\$(CI_\w+)", lambda m: project[m[1]], str(value))
        for name, value in values.items()
    }
    filled["WORKBENCH_HOME"] = str(job.store)  # kept between tests
    script = "\n".join([*entry["before_script"], *entry["script"]])
    job.code = job.shell(script, project | filled, job.workspace)
    return entry
