"""The report in headless Chromium: figures, sorting, copying, themes, print, keyboard, axe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import browser as browser
from tests.report.recorded import (
    HOSTILE,
    changed,
    recorded,
    renamed,
    variant,
    with_variants,
    without,
)
from workbench.records import Worst
from workbench.report.html.frontier import cells, frontier
from workbench.report.html.report import report_html

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LARGEST = 2_000_000
"""Bytes of the page of 20 variants."""

ALIKE = {"exclude": [["tbody tr:nth-child(n + 4)"]]}
"""Rows beyond the third look like those before them: axe takes its time for each."""

CONTRAST = {"runOnly": ["color-contrast"]}
"""The one rule of axe whose finding depends on the theme, and its slowest."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The report of the recorded run."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_html([recorded()], explorer=False))
    return path


@contextmanager
def opened(browser: Browser, file: Path, **context) -> Iterator[Page]:
    """The page, which must ask for nothing but its own file and leave nothing in the console."""
    told: list[str] = []
    asked: list[str] = []
    inside = browser.new_context(**context)
    page = inside.new_page()
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))

    def judge(route):
        asked.append(route.request.url)
        if route.request.url == file.as_uri():
            route.continue_()
        else:
            route.abort()

    page.route("**/*", judge)
    page.goto(file.as_uri())
    page.wait_for_selector("figure.chart svg")
    yield page
    inside.close()
    assert asked == [file.as_uri()]
    assert told == []


def marks(page: Page, chart: str, figure: str = "ms") -> dict[str, list[float]]:
    """The figures of the marks of a chart, by variant."""
    found = page.eval_on_selector_all(
        f"[data-chart={chart}] .mark", "nodes => nodes.map(n => ({...n.dataset}))"
    )
    by_variant: dict[str, list[float]] = {}
    for mark in found:
        by_variant.setdefault(mark["variant"], []).append(float(mark[figure]))
    return by_variant


def serious(page: Page, options: dict[str, Any]) -> list[str]:
    """What axe finds serious or critical, by the rules that its options name."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, ALIKE, options).response["violations"]
    return [
        f"{v['id']}: {node['target']}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]


def test_the_charts_show_the_figures_of_the_record(browser, made):
    run = recorded()
    first, second = cells(run)[:2]
    with opened(browser, made) as page:
        for at, setting in ((0, first), (1, second)):
            page.select_option("#run-1-frontier-cell", str(at))
            points = frontier(run, setting)
            assert marks(page, "frontier") == {p.variant: [p.ms.value] for p in points}
            assert marks(page, "frontier", "y") == {p.variant: [p.quality.value] for p in points}
        p50s = {
            v.name: [c.p50_ms.value for c in v.measurement.latency if c.setting == first]
            for v in run.variants
        }
        assert marks(page, "distribution") == p50s
        curves = page.locator("[data-chart=distribution] .curve path")
        assert curves.count() == len(run.variants)
        one = {
            v.name: 2 * [
                c.p50_ms.value
                for c in v.measurement.latency
                if (c.setting.sequence, c.setting.threads) == (first.sequence, first.threads)
            ]
            for v in run.variants
        }  # fmt: skip
        assert marks(page, "batch") == one
        stages = {r.key: r.account.bytes_after for v in run.variants for r in v.lineage}
        drawn = page.eval_on_selector_all(
            "[data-chart=stages] .mark", "nodes => nodes.map(n => Number(n.dataset.bytes))"
        )
        assert sorted(drawn) == sorted(b for parts in stages.values() for b in parts.values())


def test_it_opens_with_the_answer(browser, made):
    with opened(browser, made) as page:
        headline = page.inner_text("h1")
        assert headline.startswith("fast is 74 % smaller, 2.76× faster")
        tiles = page.inner_text(".tiles")
        for said in ("90.8 MB", "23.4 MB", "+0.0031", "3 of 3", "1.94× to 3.88×"):
            assert said in tiles
        assert "1,000,000 requests a month" in page.inner_text(".terms")
        assert "assumed" in page.inner_text(".terms")


def test_a_hidden_variant_leaves_all_charts_and_comes_back(browser, made):
    with opened(browser, made) as page:
        toggle = page.locator("[data-chart=frontier] .legend button", has_text="int8")
        toggle.click()
        assert "int8" not in marks(page, "frontier")
        assert "int8" not in marks(page, "distribution")
        assert toggle.get_attribute("aria-pressed") == "false"
        toggle.press("Enter")
        assert "int8" in marks(page, "batch")


def test_headers_sort_by_the_raw_value_and_say_so(browser, made):
    run = recorded()
    with opened(browser, made) as page:
        table = page.locator("#run-1-footprint table")
        header = table.locator("th[scope=col]", has_text="peak memory")
        values = "cells => cells.map(cell => Number(cell.dataset.value))"
        peaks = [v.measurement.footprint.peak_memory_bytes for v in run.variants]
        header.get_by_role("button").click()
        assert header.get_attribute("aria-sort") == "ascending"
        column = table.locator("tbody td:nth-child(6)")
        assert column.evaluate_all(values) == sorted(peaks)
        header.get_by_role("button").press("Enter")
        assert header.get_attribute("aria-sort") == "descending"
        assert column.evaluate_all(values) == sorted(peaks, reverse=True)
        assert table.locator("th[scope=col][aria-sort=none]").count() == 6


def test_a_table_is_copied_with_raw_values_and_intervals(browser, made):
    run = recorded()
    with opened(browser, made, permissions=["clipboard-read", "clipboard-write"]) as page:
        figure = page.locator("#run-1-latency figure.table")
        figure.get_by_role("button", name="Copy CSV").click()
        page.wait_for_function(
            "() => document.getElementById('status').textContent.includes('CSV')"
        )
        copied = page.evaluate("navigator.clipboard.readText()").splitlines()
        assert copied[0].startswith("variant,batch,sequence,threads,p50 ms,p50 ms low,p50 ms high")
        assert len(copied) == 1 + sum(len(v.measurement.latency) for v in run.variants)
        cell = variant(run, "fp32").measurement.latency[0]
        expected = ["fp32", 1, 16, 1, cell.p50_ms.value, cell.p50_ms.low, cell.p50_ms.high]
        assert copied[1].split(",")[:7] == [str(value) for value in expected]


def test_the_theme_turns_and_is_remembered(browser, made):
    with opened(browser, made, color_scheme="light") as page:
        ground = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(ground)
        button = page.locator("#theme")
        button.click()
        assert button.get_attribute("aria-label") == "Theme: light"
        button.click()
        assert button.get_attribute("aria-label") == "Theme: dark"
        dark = page.evaluate(ground)
        assert dark != light
        assert page.evaluate("localStorage.getItem('workbench-theme')") == "dark"
    with opened(browser, made, color_scheme="dark") as page:
        assert page.evaluate(ground) == dark


@pytest.mark.parametrize(("scheme", "rules"), [("light", {}), ("dark", CONTRAST)])
def test_axe_finds_nothing_serious(browser, made, scheme, rules):
    with opened(browser, made, color_scheme=scheme) as page:
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert serious(page, rules) == []


def test_on_paper_all_is_open_light_and_without_controls(browser, made):
    with opened(
        browser, made, color_scheme="dark", viewport={"width": 794, "height": 1123}
    ) as page:
        page.emulate_media(media="print")
        page.wait_for_function("() => [...document.querySelectorAll('details')].every(d => d.open)")
        for control in (".bar", ".tools", ".controls", "#theme"):
            assert not page.locator(control).first.is_visible()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)"
        )
        cut = page.evaluate(
            """[...document.querySelectorAll('.plot svg, table')].filter(e => e.checkVisibility())
            .filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"""
        )
        assert cut == 0
        assert page.pdf(format="A4").startswith(b"%PDF")
        page.emulate_media(media="screen")
        page.wait_for_function(
            "() => ![...document.querySelectorAll('details')].every(d => d.open)"
        )


def test_a_phone_scrolls_tables_in_their_box_and_never_the_page(browser, made):
    with opened(browser, made, viewport={"width": 375, "height": 812}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        wide = page.evaluate(
            """[...document.querySelectorAll('.plot svg')]
            .filter(e => e.getBoundingClientRect().right > 376).length"""
        )
        assert wide == 0
        box = page.locator("#run-1-latency .scroll").last
        assert box.evaluate("e => e.scrollWidth > e.clientWidth")


def test_charts_are_drawn_anew_for_another_width(browser, made):
    with opened(browser, made, viewport={"width": 1280, "height": 800}) as page:
        page.set_viewport_size({"width": 500, "height": 800})
        page.wait_for_function(
            "() => [...document.querySelectorAll('figure.chart')].every(f => f.dataset.width < 500)"
        )
        assert set(marks(page, "frontier")) == {"fp32", "int8", "fast", "w8"}


def test_the_keyboard_reaches_all_and_shows_where_it_is(browser, made):
    with opened(browser, made) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null")
        reached = set()
        for _ in range(60):
            kind = page.evaluate(
                """(() => { const e = document.activeElement;
                const shown = getComputedStyle(e);
                return [e.matches('.mark') ? 'mark' : e.tagName.toLowerCase(),
                  shown.outlineStyle !== 'none' && parseFloat(shown.outlineWidth) >= 2]; })()"""
            )
            reached.add(kind[0])
            assert kind[1], kind
            page.keyboard.press("Tab")
        assert {"button", "select", "mark"} <= reached


def test_a_tip_opens_by_keyboard_walks_with_arrows_and_closes(browser, made):
    with opened(browser, made) as page:
        first = page.locator("[data-chart=frontier] .mark[tabindex='0']")
        first.focus()
        tip = page.locator("[data-chart=frontier] .tip")
        assert tip.is_visible()
        before = tip.inner_text()
        page.keyboard.press("ArrowRight")
        assert tip.inner_text() != before
        assert page.locator("[data-chart=frontier] .mark[tabindex='0']").count() == 1
        page.keyboard.press("Escape")
        assert not tip.is_visible()


def test_hostile_names_are_shown_and_run_nothing(browser, tmp_path):
    run = recorded()
    names = dict(zip(("fp32", "int8", "fast", "w8"), HOSTILE, strict=True))
    quality = variant(run, "fast").measurement.quality
    worst = tuple(Worst(sample=name, value=0.5, detail=name) for name in HOSTILE)
    run = changed(run, "fast", quality=quality.model_copy(update={"worst": worst}))
    verdicts = tuple(
        v.model_copy(update={"gate": HOSTILE[0], "reason": HOSTILE[1]}) for v in run.verdicts
    )
    run = renamed(run.model_copy(update={"verdicts": verdicts, "model": HOSTILE[1]}), names)
    variants = tuple(
        v.model_copy(
            update={
                "lineage": tuple(step.model_copy(update={"step": HOSTILE[1]}) for step in v.lineage)
            }
        )
        for v in run.variants
    )
    run = run.model_copy(update={"name": HOSTILE[0], "task": HOSTILE[1], "variants": variants})
    file = tmp_path / "hostile.html"
    file.write_text(report_html([run], explorer=False))
    with opened(browser, file) as page:
        assert page.title() == f"{HOSTILE[0]} · report"
        assert page.locator("main img, main b, main script").count() == 0
        legend = page.locator("[data-chart=frontier] .legend button").all_inner_texts()
        assert [each.strip() for each in legend][:3] == list(HOSTILE[:3])
        assert legend[3].strip() == r"\u202egnp.exe\u2066"
        assert HOSTILE[1] in page.inner_text("#run-1-gates")
        assert len(marks(page, "frontier")) == 4


def test_a_copied_name_is_no_formula(browser, tmp_path):
    file = tmp_path / "formula.html"
    file.write_text(report_html([renamed(recorded(), {"w8": "=1+2"})], explorer=False))
    with opened(browser, file) as page:
        found = page.evaluate(
            "workbench.tables.text(document.querySelector('#run-1-footprint table'), ',')"
        )
        assert "\n'=1+2," in found


def test_several_runs_stand_in_one_page_each_with_its_charts(browser, tmp_path):
    first = recorded()
    other = first.model_copy(
        update={"name": "elsewhere", "machine": first.machine.model_copy(update={"cpu": "other"})}
    )
    file = tmp_path / "two.html"
    file.write_text(report_html([first, other], explorer=False))
    with opened(browser, file) as page:
        assert page.inner_text("h1") == "2 runs"
        assert page.locator("article").count() == 2
        assert page.locator("article figure.chart svg[role=group]").count() == 2 * 5
        assert "different machines" in page.inner_text("#overview")
        page.locator(".bar a", has_text="elsewhere").click()
        assert page.evaluate("location.hash") == "#run-2"
        assert serious(page, {"rules": {"color-contrast": {"enabled": False}}}) == []


def test_twenty_variants_fit_and_the_thinning_is_said(browser, tmp_path):
    run = with_variants(recorded(), 20)
    file = tmp_path / "twenty.html"
    file.write_text(report_html([run], explorer=False))
    assert file.stat().st_size < LARGEST
    with opened(browser, file) as page:
        assert len(marks(page, "frontier")) == 20
        assert page.locator("[data-chart=distribution] .curve path").count() == 20
        assert "order statistics" in page.inner_text("[data-chart=distribution]")
        looks = page.eval_on_selector_all(
            "[data-chart=frontier] .legend button svg", "all => all.map(svg => svg.outerHTML)"
        )
        assert len(set(looks)) == 20


@pytest.mark.parametrize("gone", ["quality", "verdicts", "stages"])
def test_what_is_missing_leaves_a_whole_page(browser, tmp_path, gone):
    run = recorded()
    if gone == "quality":
        run = without(run, "quality")
    elif gone == "verdicts":
        run = run.model_copy(update={"verdicts": ()})
    else:
        run = run.model_copy(
            update={"variants": tuple(v.model_copy(update={"lineage": ()}) for v in run.variants)}
        )
    file = tmp_path / "partly.html"
    file.write_text(report_html([run], explorer=False))
    with opened(browser, file) as page:
        assert page.inner_text("h1")
        assert len(marks(page, "frontier")) == 4


def test_the_data_can_be_taken_away(browser, made, tmp_path):
    with opened(browser, made) as page:
        with page.expect_download() as download:
            page.get_by_role("button", name="Download the data").click()
        download.value.save_as(tmp_path / "data.json")
    data = json.loads((tmp_path / "data.json").read_text())
    assert data["name"] == "minilm-int8"
    assert [v["name"] for v in data["variants"]] == ["fp32", "int8", "fast", "w8"]
