"""A real headless browser for tests of pages: ``from tests.browser import browser``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PATIENCE_MS = 180_000
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; skips without it, or fails if WORKBENCH_REQUIRE_BROWSER is set.

    It ends with the module: Playwright's event loop runs in this thread meanwhile, and no other
    test could run one of its own.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        if os.environ.get("WORKBENCH_REQUIRE_BROWSER"):
            pytest.fail("no Chromium is installed")
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        for opens in ("new_context", "new_page"):
            setattr(started, opens, _patient(getattr(started, opens)))
        yield started
        started.close()


def _patient(opens: Callable[..., Any]) -> Callable[..., Any]:
    """What is opened waits longer than Playwright's 30 s: the machine may be busy."""

    def opened(**options: Any) -> Any:
        made = opens(**options)
        made.set_default_timeout(PATIENCE_MS)
        return made

    return opened
