"""The site builds without a warning, its links hold, and it loads nothing from elsewhere."""

from __future__ import annotations

import contextlib
import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.docs.conftest import builds
from tests.docs.pages import Page, broken, elsewhere, in_css, pages_of

pytestmark = builds
LOOKED_AT = ("", "tutorials/shrink-a-classifier/", "reference/steps/quantize/")


@pytest.fixture(scope="module")
def pages(site):
    return pages_of(site)


@pytest.fixture(scope="module")
def address(site):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_it_builds_without_a_warning(built):
    assert "WARNING" not in built[1]


def test_every_link_and_anchor_holds(pages):
    assert len(pages) > 50
    assert {str(f): found for f, page in pages.items() if (found := broken(page, pages))} == {}


def test_nothing_is_loaded_from_elsewhere(site, pages):
    loads = {target for page in pages.values() for target in page.loads}
    loads |= {target for sheet in site.rglob("*.css") for target in in_css(sheet.read_text())}
    assert len(loads) > 10
    assert {target for target in loads if elsewhere(target)} == set()


def test_the_crawler_sees_what_is_wrong(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">1</a><a href="b.html#gone">2</a><a href="gone.html">3</a>'
        '<a href="https://example.com/">4</a><img srcset="https://example.com/i.png 2x">'
        '<link rel="stylesheet" href="//example.com/a.css"><style>@import "https://example.com/"'
        '</style><link rel="canonical" href="https://example.com/a">'
    )
    (tmp_path / "b.html").write_text('<h1 id="there">B</h1>')
    pages = pages_of(tmp_path)
    page = pages[tmp_path / "a.html"]
    assert isinstance(page, Page)
    assert broken(page, pages) == ["b.html#gone", "gone.html"]
    assert [target for target in page.loads if elsewhere(target)] == [
        "https://example.com/i.png",
        "//example.com/a.css",
        "https://example.com/",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", LOOKED_AT)
def test_a_page_is_sound_in_a_browser(browser, address, path, scheme):
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/{path}", wait_until="networkidle")
    violations = Axe().run(page).response["violations"]
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    serious = [
        (found["id"], node["html"][:200], node.get("failureSummary", "")[:300])
        for found in violations
        if found["impact"] in ("serious", "critical")
        for node in found["nodes"]
    ]
    assert serious == []


@pytest.mark.parametrize("path", LOOKED_AT)
def test_a_page_fits_a_phone(browser, address, path):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(f"{address}/{path}")
    width = page.evaluate("document.documentElement.scrollWidth")
    page.close()
    assert width <= 390


def test_search_finds_an_option(browser, address):
    from playwright.sync_api import TimeoutError as NotThere

    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address, wait_until="networkidle")
    field = page.get_by_role("textbox", name="Search")
    found = page.locator(".md-search-result__item a").first
    for _ in range(30):  # what is typed before the theme listens is lost
        field.fill("")
        field.press_sequentially("reduce_range")
        with contextlib.suppress(NotThere):
            found.wait_for(timeout=6_000)
            break
    assert "quantize" in (found.get_attribute("href") or "")
    page.close()
