"""The pages in a real browser, served by ``workbench ui`` in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.ui.conftest import served
from tests.ui.runs import copy_as, project

pytest.importorskip("uvicorn", reason="the extra ui is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

PATIENCE_MS = 240_000
"""A bound for a busy machine, not a wait."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, made):
    """The real run, another of it with other figures, and a smoke run."""
    runs = tmp_path_factory.mktemp("shown") / "runs"
    shutil.copytree(made.parent, runs)
    copy_as(made, runs / "older", created="2026-01-01T00:00:00+00:00")
    copy_as(made, runs / "tiny-smoke", smoke=True)
    return runs


@pytest.fixture(scope="module")
def address(folder):
    with served(folder) as found:
        yield found


@pytest.fixture
def page(browser, address):
    """A page that fails the test for any error in its console."""
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    made = context.new_page()
    errors: list[str] = []
    made.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    made.on("pageerror", lambda error: errors.append(str(error)))
    yield made
    context.close()
    assert errors == []


def test_the_list_is_filtered_and_sorted(page):
    page.goto("/")
    names = page.locator("#runs tbody th a")
    assert names.all_inner_texts()[-1] == "older"
    page.get_by_role("button", name="made (UTC)").click()
    assert names.all_inner_texts()[0] == "older"
    page.get_by_label("Filter").fill("old")
    assert page.locator("#runs tbody tr:visible").count() == 1
    page.get_by_label("Filter").fill("")
    page.get_by_label("smoke runs (1)").uncheck()
    assert page.locator("#runs tbody tr:visible").count() == 2


def test_two_runs_are_chosen_by_keyboard_and_compared(page):
    page.goto("/")
    button = page.locator("#compare")
    assert button.is_disabled()
    for name in ("tiny", "older"):
        page.get_by_label(f"Choose {name}", exact=True).focus()
        page.keyboard.press("Space")
    assert button.inner_text() == "Compare 2 runs"
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/compare?run=tiny&run=older")
    assert page.locator("h1").inner_text() == "2 runs side by side"
    page.get_by_role("link", name="Against older instead").click()
    page.wait_for_url("**/compare?run=older&run=tiny")


def test_a_report_opens_and_can_read_nothing_of_the_server(browser, address):
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{address}runs/tiny")
    page.get_by_role("link", name="Open the report").click()
    page.wait_for_url("**/report.html")
    page.wait_for_selector("main h1")
    assert page.evaluate("self.origin") == "null"
    assert page.evaluate("fetch('/').then(() => 'read', () => 'refused')") == "refused"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_a_phone_has_room(browser, address, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe").Axe()
    context = browser.new_context(
        base_url=address, color_scheme=scheme, viewport={"width": 390, "height": 800}
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    for path in ("/", "/runs/tiny", "/compare?run=tiny&run=older", "/runs/absent"):
        page.goto(path)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, path
        found = axe.run(page).response["violations"]
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        assert serious == [], json.dumps(serious, indent=1)
    context.close()


@contextmanager
def running(folder: Path, recipe: Path) -> Iterator[subprocess.Popen]:
    """``workbench run`` in a process of its own, from when its log is there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "run", str(recipe), "--runs", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "WORKBENCH_HOME": str(recipe.parent / "store")},
        start_new_session=True,
    )
    log = folder / ".progress" / "tiny.jsonl"
    try:
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not (log.is_file() and '"start"' in log.read_text()):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


def test_a_run_under_way_is_followed_to_its_end(browser, tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    recipe = project(tmp_path / "project", seconds=6)
    with served(runs) as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)  # before the run, which may be over before a busy machine shows a page
        with running(runs, recipe) as process:
            follow(page, address, process)
        page.close()


def follow(page, address: str, process: subprocess.Popen) -> None:
    """From the list, which learns of the run by itself, to the run that has ended."""
    page.get_by_role("link", name="tiny").click()
    assert page.locator("[data-state]").get_attribute("data-state") == "running"
    page.wait_for_selector(".pieces li.running")
    page.wait_for_selector("[data-state=finished]")
    assert process.wait(timeout=300) == 0
    assert page.locator(".pieces li.done").count() == page.locator(".pieces li").count() > 5
    assert page.locator("progress").evaluate("bar => bar.value") == 1
    page.get_by_role("link", name="See the run").click()
    page.wait_for_selector("text=What each step did")
    page.goto(address)
    assert page.locator("#under-way li").count() == 0
    assert page.locator("#runs tbody tr").count() == 1


def test_a_run_that_is_killed_is_shown_as_stopped(browser, tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    recipe = project(tmp_path / "project", seconds=600)
    with served(runs) as address, running(runs, recipe) as process:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{address}progress/tiny")
        page.wait_for_selector("[data-state=running]")
        os.kill(process.pid, signal.SIGKILL)
        page.wait_for_selector("[data-state=stopped]")
        assert "it was killed" in page.locator(".alert >> visible=true").inner_text()
        page.goto(address)
        assert "stopped after" in page.locator("#under-way").inner_text()
        page.close()
