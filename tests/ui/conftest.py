"""One real small run for all tests here, and a server of its folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.browser import browser
from tests.ui.runs import project

__all__ = ["browser"]


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """The run directory of a recipe that was really run, with its report."""
    pytest.importorskip("starlette", reason="the extra ui is not installed")
    import workbench
    from workbench.recipe import load_recipe
    from workbench.store import Store

    base = tmp_path_factory.mktemp("made")
    recipe = load_recipe(project(base / "project"))
    _, folder = workbench.run(recipe, runs=base / "runs", store=Store(base / "store"))
    return folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """``workbench ui`` in a process of its own; yields the address it prints."""
    command = [sys.executable, "-m", "workbench", "ui", str(folder), "--port", "0"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, line
        yield line.split(" at ")[1].split()[0]
    finally:
        process.terminate()
        process.wait(timeout=300)
        process.stdout.close()
