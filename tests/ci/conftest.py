"""A team's project: a small recipe over an ONNX file, under a path that shell would trip over."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from tests.ci.emulation import Job
from tests.end_to_end.conftest import mlp

HOSTILE = "$(touch pwned) `touch pwned` ; touch pwned & 'x' \"y\" *"
RECIPE = """\
name: mine
model: ../model.onnx
task: {agreement: {}}
variants:
  fp32: []
  int8: [{quantize: dynamic-int8}]
profile: {batch: [1], threads: [1], seconds: 0.1, processes: 2}
gates:
  - size <= 0.5 * baseline
"""


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """The folder: ``model.onnx`` and ``recipes/mine.yaml``."""
    folder = tmp_path_factory.mktemp("project")
    mlp(folder / "model.onnx")
    (folder / "recipes").mkdir()
    (folder / "recipes" / "mine.yaml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="session")
def stored(tmp_path_factory) -> Path:
    """A store that the tests share, as the cache of a CI does."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def make_job(tmp_path, stored, project):
    """Makes jobs, each with a checkout of the project in a folder with a hostile name."""
    count = itertools.count()

    def make(*, checkout: bool = True) -> Job:
        here = tmp_path / f"job-{next(count)}"
        job = Job(here / HOSTILE.replace("/", ""), here / "temp", stored)
        job.temp.mkdir(parents=True)
        # GitHub keeps the store of the action in the runner's folder.
        (job.temp / "workbench-home").symlink_to(stored)
        job.workspace.mkdir()
        if checkout:
            shutil.copytree(project, job.workspace, dirs_exist_ok=True)
        return job

    return make
