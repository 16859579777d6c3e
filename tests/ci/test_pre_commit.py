"""The hook that validates recipes, as pre-commit calls it.

Its own environment is not built, for that would install PyTorch: the hook is taken from the
manifest with ``language: system``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ci.emulation import ROOT, read

MANIFEST = ROOT / ".pre-commit-hooks.yaml"
BAD = "name: bad\nmodel: ../model.onnx\ntask: {agreement: {}}\nvariants: {fp32: [exprot]}\n"


@pytest.fixture
def repository(tmp_path, project, monkeypatch) -> Path:
    """A team's git repository with two good recipes, one in another place, and a bad one."""
    folder = tmp_path / "team"
    shutil.copytree(project, folder)
    shutil.copy(folder / "recipes" / "mine.yaml", folder / "recipes" / "a second.yml")
    (folder / "elsewhere.yaml").write_text("not: a recipe\n")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "pre-commit"))
    git(folder, "init", "-q")
    return folder


def git(folder: Path, *arguments: str) -> str:
    """Run git as a person with a name, whatever is configured on the machine."""
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.com", *arguments]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, timeout=300
    ).stdout.strip()


def hook_repository(folder: Path) -> str:
    """A git repository with this project's manifest alone; its commit."""
    folder.mkdir()
    shutil.copy(MANIFEST, folder)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "hooks")
    return git(folder, "rev-parse", "HEAD")


def pre_commit(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run all hooks on all files."""
    git(folder, "add", ".")
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--all-files", "--verbose"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )


def test_pre_commit_takes_the_hook_from_the_manifest_and_runs_it(repository, tmp_path):
    pytest.importorskip("pre_commit", reason="pre-commit is not installed")
    commit = hook_repository(tmp_path / "hooks")
    (repository / ".pre-commit-config.yaml").write_text(
        f"repos:\n  - repo: '{tmp_path / 'hooks'}'\n    rev: {commit}\n"
        "    hooks: [{id: workbench-recipes, language: system}]\n"
    )
    done = pre_commit(repository)
    assert done.returncode == 0, done.stdout
    assert "recipes/mine.yaml: valid" in done.stdout
    assert "recipes/a second.yml: valid" in done.stdout
    assert "elsewhere" not in done.stdout
    (repository / "recipes" / "bad.yaml").write_text(BAD)
    done = pre_commit(repository)
    assert done.returncode == 1
    assert "recipes/bad.yaml:4" in done.stdout
    assert "Did you mean 'export'" in done.stdout
    assert "recipes/mine.yaml: valid" in done.stdout


def test_the_entry_takes_several_files_good_and_bad(repository):
    (hook,) = read(MANIFEST)
    assert hook["language"] == "python"
    (repository / "recipes" / "bad.yaml").write_text(BAD)
    files = ["recipes/mine.yaml", "recipes/bad.yaml", "recipes/a second.yml"]
    done = subprocess.run(
        [*hook["entry"].split(), *files],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout.splitlines() == [f"{name}: valid" for name in (files[0], files[2])]
    assert "recipes/bad.yaml:4" in done.stderr
