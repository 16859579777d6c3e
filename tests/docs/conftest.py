"""The documentation site, built once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import browser as browser
from tests.conftest import needs

ROOT = Path(__file__).parents[2]
builds = needs("mkdocs-material")


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> tuple[Path, str]:
    """The site's folder, and what the build said."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout + done.stderr


@pytest.fixture(scope="session")
def site(built) -> Path:
    return built[0]
