"""The cost explorer in a real browser: whatever is set, it shows what ``workbench cost`` finds."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import browser as browser
from tests.report.priced_runs import priced_run
from workbench.cost.catalog import Catalog
from workbench.cost.explorer import axes
from workbench.cost.explorer.answer import saved
from workbench.cost.plan import Plan, VariantPlan
from workbench.cost.planner import plan
from workbench.cost.profile import ServiceProfile, profiles_of_run
from workbench.cost.savings_plan import SavingsPlan
from workbench.cost.traffic import Traffic
from workbench.report.costs import explanation, money
from workbench.report.html.cost import SCRIPTS, STYLES, cost_section
from workbench.report.html.page import asset, page
from workbench.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TRAFFIC = {"requests": 3e6, "shape": "office-hours", "p99_ms": 150.0, "payload_in_bytes": 2048}
LOADED = "#cost-explorer[data-ready]"

# Sets the controls as a person does, and reads everything that is shown.
ASK = """(asked) => {
  const root = document.getElementById("cost-explorer");
  for (const [name, value] of Object.entries(asked)) {
    const control = root.querySelector(`[data-cost="${name}"]`);
    control.value = value;
    control.dispatchEvent(new Event("input", { bubbles: true }));
  }
  const shown = (cell) => [...cell.childNodes].filter((node) => node.className !== "of")
    .map((node) => node.textContent).join("").trim();
  const raw = (cell) => ({ text: shown(cell), value: cell.dataset.value, low: cell.dataset.low,
    high: cell.dataset.high });
  const rows = (name) => [...root.querySelectorAll(`[data-cost="${name}"] tbody tr`)]
    .map((row) => [...row.cells].map(raw));
  const refused = [];
  for (const each of root.querySelectorAll("[data-refused]")) {
    const reasons = [];
    for (let next = each.nextElementSibling; next?.tagName === "DD"; next = next.nextElementSibling)
      reasons.push(next.textContent);
    refused.push([each.textContent, reasons]);
  }
  return { options: rows("options"), variants: rows("variants"), bill: rows("bill"), refused,
    said: [...root.querySelectorAll("[data-cost=bill] .notes li")].map((one) => one.textContent),
    total: root.querySelector("[data-cost=bill] tfoot .number").textContent,
    answer: root.querySelector("[data-cost=answer]").textContent };
}"""


@dataclass(frozen=True)
class Explorer:
    """The page, and what it was made of."""

    page: Page
    path: Path
    profiles: list[ServiceProfile]
    traffic: Traffic
    volumes: tuple[float, ...]
    objectives: tuple[float | None, ...]
    regions: tuple[str, ...]

    def ask(self, **asked: int) -> dict[str, Any]:
        """Sets the controls, by their places, and reads all tables."""
        found: dict[str, Any] = self.page.evaluate(ASK, asked)
        return found

    def plan(self, volume: int, region: int, objective: int, discount: int) -> Plan:
        """What the engine says of the same."""
        asked = self.traffic.scaled(self.volumes[volume])
        paid = SavingsPlan(discount=Decimal(discount) / 100) if discount else None
        return plan(
            self.profiles,
            asked.model_copy(update={"p99_ms": self.objectives[objective]}),
            Catalog.standard(),
            region=self.regions[region],
            savings_plan=paid,
            break_evens=False,
        )


def written(folder: Path, body: str, data: dict[str, Any]) -> Path:
    """A page with nothing but the section."""
    path = folder / "report.html"
    scripts, styles = ([asset(name) for name in names] for names in (SCRIPTS, STYLES))
    document = page("Cost", body, data={"cost": data}, scripts=scripts, styles=styles)
    path.write_text(document, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def explorer(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    folder = tmp_path_factory.mktemp("report")
    run = priced_run(traffic=TRAFFIC)
    # Three steps a decade instead of five: as good a test, in half the time.
    patched = pytest.MonkeyPatch()
    patched.setattr(axes, "SERIES", ("1", "2.5", "6.3"))
    body, data = cost_section([run], store=Store(folder / "store"))
    path = written(folder, body, data)
    profiles, traffic = profiles_of_run(run), Traffic.model_validate(TRAFFIC)
    volumes = axes.volumes(traffic)
    patched.undo()
    tab = browser.new_page()
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    tab.goto(path.as_uri())
    tab.wait_for_selector(LOADED)
    yield Explorer(
        tab, path, profiles, traffic, volumes,
        axes.objectives(profiles, traffic.p99_ms), axes.regions(Catalog.standard(), "us-east-1"),
    )  # fmt: skip
    tab.close()
    assert not problems


def check_options(shown: dict[str, Any], found: VariantPlan, made: Plan) -> None:
    """All options of a variant, the refused ones too, in the engine's order, to the last digit."""
    assert [row[0]["text"] for row in shown["options"]] == [e.option for e in found.estimates]
    for row, estimate in zip(shown["options"], found.estimates, strict=True):
        _, usd, place, instances, p99, thousand, million = row
        assert place["text"] == f"{estimate.place}{'' if estimate.measured else ' *'}"
        assert instances["text"] == f"{estimate.capacity.instances or '–':,}"
        assert float(p99["value"]) == float(f"{estimate.p99_ms.mid:.7g}")
        assert Decimal(usd["value"]) == estimate.usd.mid
        assert Decimal(usd["low"] or usd["value"]) == estimate.usd.low
        assert Decimal(usd["high"] or usd["value"]) == estimate.usd.high
        assert usd["text"] == money(estimate.usd.mid)
        assert thousand["text"] == money(estimate.per_thousand(made.requests), 4)
        assert million["text"] == money(estimate.per_thousand(made.requests) * 1000)
    refused = [[refusal.option, list(refusal.reasons)] for refusal in found.refusals]
    assert shown["refused"] == refused


def check_variants(shown: dict[str, Any], explorer: Explorer, made: Plan) -> None:
    """The best of each variant, and what it saves."""
    integer = {profile.name: profile.integer for profile in explorer.profiles}
    theirs = made.baseline.best
    for row, found in zip(shown["variants"], made.variants, strict=True):
        name, option, p99, usd, kept, share = row
        assert name["text"] == f"{found.variant}{' (baseline)' if found.baseline else ''}"
        if found.best is None:
            assert option["text"] == "no option is possible"
            continue
        star = "" if found.best.measured else " *"
        assert option["text"] == f"{found.best.option}, {found.best.place}{star}"
        assert float(p99["value"]) == float(f"{found.best.p99_ms.mid:.7g}")
        assert Decimal(usd["value"]) == found.best.usd.mid
        if theirs is None or found.baseline:
            assert kept["text"] == share["text"] == "–"
            continue
        alike = integer[found.variant] == integer[made.baseline.variant]
        expected = saved(theirs, found.best, alike=alike)
        assert Decimal(kept["value"]) == expected.mid == made.saving(found)
        assert Decimal(kept["low"] or kept["value"]) == expected.low
        assert Decimal(kept["high"] or kept["value"]) == expected.high
        assert share["text"] == f"{expected.mid / theirs.usd.mid:.0%}"


def check_bill(shown: dict[str, Any], found: VariantPlan, made: Plan) -> None:
    """The lines of the cheapest option's bill, as ``--explain`` prints them."""
    if found.best is None:
        return
    grids = explanation(made, found.best.option)
    grid = next(one for one in grids if one.title.startswith(f"{found.variant}: "))
    lines = [[cell["text"] for cell in row] for row in shown["bill"]]
    # The name of a line has its price step here.
    assert [row[1:] for row in lines] == [list(row[1:]) for row in grid.rows[:-1]]
    assert all(row[0].startswith(line[0]) for row, line in zip(lines, grid.rows, strict=False))
    assert shown["total"] == grid.rows[-1][3]
    assert shown["said"] == list(grid.notes)


def grid(explorer: Explorer) -> Iterator[tuple[int, int, int, int]]:
    """Each volume, each region, each objective and discounts, not all with all."""
    rng = random.Random(20261125)
    regions, objectives = range(len(explorer.regions)), range(len(explorer.objectives))
    for volume in range(len(explorer.volumes)):
        yield volume, rng.choice(regions), rng.choice(objectives), rng.choice((0, 7, 33, 64))
    for region in regions:
        for objective in objectives:
            volume = rng.randrange(len(explorer.volumes))
            yield volume, region, objective, rng.randrange(65)


def test_whatever_is_set_the_page_shows_what_workbench_cost_finds(explorer):
    places = ("volume", "region", "objective", "discount")
    for number, point in enumerate(grid(explorer)):
        made = explorer.plan(*point)
        at = number % len(explorer.profiles)
        shown = explorer.ask(**dict(zip(places, point, strict=True)), variant=at)
        check_options(shown, made.variants[at], made)
        check_variants(shown, explorer, made)
        check_bill(shown, made.variants[at], made)


# --- state, keyboard, paper ---------------------------------------------------------------------


def answer(tab: Page) -> str:
    return tab.inner_text("[data-cost=answer]")


def test_the_answer_is_said_in_words_with_range_and_comparison(explorer):
    explorer.ask(volume=explorer.volumes.index(3e6), region=0, objective=0, discount=0, variant=1)
    made = explorer.plan(explorer.volumes.index(3e6), 0, 0, 0)
    best, theirs = made.variants[1].best, made.baseline.best
    assert best
    assert theirs
    said = answer(explorer.page)
    assert said.startswith("3 M requests a month in us-east-1, any latency: int8 on ")
    assert f"on {best.option} ({best.place}), {money(best.usd.mid)} USD a month" in said
    assert f"({money(best.usd.low)}–{money(best.usd.high)})" in said
    assert f"less than fp32 on {theirs.option}" in said


def test_the_address_keeps_what_was_set(explorer, browser):
    explorer.ask(volume=12, region=2, objective=1, discount=33, variant=2)
    explorer.page.click("tr[data-option=real-time] button")
    expected, said = explorer.page.evaluate(STATE), answer(explorer.page)
    tab = browser.new_page()
    tab.goto(explorer.page.url)
    tab.wait_for_selector(LOADED)
    assert tab.evaluate(STATE) == expected
    assert answer(tab) == said
    # Another address on the same page, and one that nobody wrote.
    tab.evaluate("location.hash = '#cost?requests=1000000&region=us-east-1&off=64&variant=int8'")
    tab.wait_for_function("document.getElementById('cost-discount').value === '64'")
    assert "1 M requests a month in us-east-1" in answer(tab)
    assert "64% off by a Savings Plan" in answer(tab)
    tab.evaluate("location.hash = '#cost?requests=7&region=<b>&off=-1&p99=x&variant=none'")
    tab.wait_for_function("document.getElementById('cost-discount').value === '0'")
    assert tab.evaluate(STATE)["variant"] == explorer_start(tab)
    tab.close()


STATE = """() => Object.fromEntries(["volume", "region", "objective", "discount", "variant"]
  .map((name) => [name, document.getElementById(`cost-${name}`).value]))"""


def explorer_start(tab: Page) -> str:
    return str(tab.evaluate("workbench.data.cost.start.variant"))


def test_everything_is_done_by_keyboard_and_said(explorer):
    tab = explorer.page
    explorer.ask(volume=10, region=0, objective=0, discount=0, variant=1)
    tab.focus("#cost-volume")
    tab.keyboard.press("ArrowRight")
    assert tab.input_value("#cost-volume") == "11"
    assert tab.get_attribute("#cost-volume", "aria-valuetext") in tab.inner_text(
        "[data-cost=volume-said]"
    )
    tab.keyboard.press("End")
    assert "100 M requests a month" in answer(tab)
    tab.focus("#cost-discount")
    tab.keyboard.press("End")
    assert tab.input_value("#cost-discount") == "64"
    tab.focus("tr[data-option=real-time] button")
    tab.keyboard.press("Enter")
    assert "Real-time endpoint" in tab.inner_text("[data-cost=bill] caption")
    # The focus stays where it was, though the rows are new.
    assert tab.evaluate("document.activeElement.textContent") == "real-time"
    assert tab.get_attribute("tr[data-option=real-time] button", "aria-pressed") == "true"
    for name in ("volume", "region", "objective", "discount", "variant"):
        assert tab.evaluate(f"document.getElementById('cost-{name}').labels.length") == 1


def test_the_table_sorts_as_the_others_do(explorer):
    tab = explorer.page
    explorer.ask(volume=15, region=0, objective=0, discount=0, variant=0)
    tab.click("[data-cost=options] th:nth-child(5) button")
    shown = tab.eval_on_selector_all(
        "[data-cost=options] tbody tr td:nth-child(5)",
        "cells => cells.map((cell) => Number(cell.dataset.value))",
    )
    assert shown == sorted(shown)
    assert len(shown) > 5
    explorer.ask(volume=14)
    assert tab.get_attribute("[data-cost=options] th:nth-child(5)", "aria-sort") == "none"


def test_the_chart_has_all_options_and_names_where_the_cheapest_changes(explorer):
    shown = explorer.ask(volume=15, region=0, objective=0, discount=0, variant=0)
    tab = explorer.page
    lines = tab.eval_on_selector_all(
        "[data-cost=chart] [aria-label=line] path", "all => all.length"
    )
    assert lines >= len(shown["options"])
    winners = []
    for volume in range(len(explorer.volumes)):
        best = explorer.plan(volume, 0, 0, 0).variants[0].best
        winners.append(best.option if best else "no option")
    said = tab.inner_text("[data-cost=changes]")
    for before, after in pairwise(winners):
        if before != after:
            assert f"from {before} to {after}" in said
    assert said.count(" from ") == sum(before != after for before, after in pairwise(winners))


def test_a_phone_needs_no_sideways_scrolling_and_paper_no_controls(explorer, browser):
    tab = browser.new_page(viewport={"width": 360, "height": 740})
    tab.goto(explorer.path.as_uri())
    tab.wait_for_selector(LOADED)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    width = tab.evaluate("document.querySelector('[data-cost=chart] svg').clientWidth")
    assert 200 < width <= 340
    tab.emulate_media(media="print")
    assert not tab.is_visible("[data-cost=form]")
    assert tab.is_visible("[data-cost=answer]")
    assert tab.is_visible("[data-cost=options] table")
    tab.close()


def test_without_scripts_the_plan_is_there_in_words(explorer, browser):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(explorer.path.as_uri())
    assert "Cheapest: " in tab.inner_text("#cost-explorer")
    assert not tab.is_visible("[data-cost=form]")
    context.close()


# --- several runs, no traffic, no latency -------------------------------------------------------


def unpacked(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(data["packed"])))
    return found


@pytest.fixture
def quick(monkeypatch):
    """Few steps: what is tested is not the search."""
    monkeypatch.setattr(axes, "DECADES", range(6, 7))
    monkeypatch.setattr(axes, "SERIES", ("1",))
    monkeypatch.setattr(axes, "MOST_OBJECTIVES", 2)
    monkeypatch.setattr(axes, "regions", lambda _, own: (own,))


def test_several_runs_keep_their_baselines_and_their_machines_are_said(quick, tmp_path):
    runs = [priced_run("one"), priced_run("one", instance_type="ml.c6i.xlarge")]
    body, data = cost_section(runs, store=Store(tmp_path))
    assert data["baselines"] == [0, 0, 0, 3, 3, 3]
    names = [row["name"] for row in unpacked(data)["variants"]]
    assert names[0] == "one: fp32"
    assert names[3] == "one (2): fp32"
    assert "measured on different machines (a CPU with VNNI, ml.c6i.xlarge)" in body
    assert "The recipe names no traffic" in body


def test_a_run_without_latency_is_said_and_no_error(quick, tmp_path):
    bare = priced_run("bare")
    without = tuple(v.model_copy(update={"measurement": None}) for v in bare.variants)
    bare = bare.model_copy(update={"variants": without})
    body, data = cost_section([bare], store=Store(tmp_path))
    assert data == {}
    assert "has no latency" in body
    body, data = cost_section([bare, priced_run("one")], store=Store(tmp_path))
    assert data["baselines"] == [0, 0, 0]
    assert "has no latency" in body


def test_names_are_never_markup(quick, tmp_path):
    body, _ = cost_section([priced_run()], traffic=Traffic(requests=1e6), store=Store(tmp_path))
    assert "<b>" not in body
    assert "The recipe names no traffic" not in body


def test_an_objective_that_nothing_keeps_is_said_with_reasons(quick, tmp_path, browser):
    traffic = Traffic(requests=1e6, p99_ms=5.0)
    path = written(tmp_path, *cost_section([priced_run()], traffic=traffic, store=Store(tmp_path)))
    tab = browser.new_page()
    tab.goto(path.as_uri())
    tab.wait_for_selector(LOADED)
    shown = tab.evaluate(ASK, {})
    assert "no option is possible for pruned <b>" in shown["answer"]
    assert shown["options"] == []
    assert not tab.is_visible("[data-cost=bill]")
    made = plan(profiles_of_run(priced_run()), traffic, Catalog.standard(), break_evens=False)
    refused = [[one.option, list(one.reasons)] for one in made.variants[2].refusals]
    assert shown["refused"] == refused
    shown = tab.evaluate(ASK, {"objective": 0})
    assert tab.is_visible("[data-cost=bill]")
    assert shown["options"]
    tab.close()
