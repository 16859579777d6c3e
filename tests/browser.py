"""A real headless browser for tests of pages: ``from tests.browser import browser``."""

from __future__ import annotations

import os
import shutil
from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser(pytestconfig: pytest.Config) -> Browser:
    """Chromium; skips without it, or fails if WORKBENCH_REQUIRE_BROWSER is set.

    Each module that imports this has a fixture of its own, but a process may start Playwright only
    once: the first starts it, and it ends with the session.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        if os.environ.get("WORKBENCH_REQUIRE_BROWSER"):
            pytest.fail("no Chromium is installed")
        pytest.skip("no Chromium is installed")
    return _started(program, pytestconfig)


@cache
def _started(program: str, config: pytest.Config) -> Browser:
    from playwright.sync_api import sync_playwright

    playwright = sync_playwright().start()
    started = playwright.chromium.launch(
        executable_path=program,
        args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
    )
    config.add_cleanup(playwright.stop)
    config.add_cleanup(started.close)
    return started
