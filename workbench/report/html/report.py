"""``report.html``: one or several runs as one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.artifact import write_atomic
from workbench.records import Run
from workbench.report.grids import gates_grid, worst_grid
from workbench.report.html.answer import Answer, answers, choose
from workbench.report.html.cost_part import cost_part
from workbench.report.html.footprint import footprint_table
from workbench.report.html.frontier import cells, frontier, quality_scale
from workbench.report.html.hero import answer_table, hero, overview
from workbench.report.html.page import asset, page, text
from workbench.report.html.pricing import REGION, Pricing, plan_section, price
from workbench.report.html.provenance import provenance_section
from workbench.report.html.speed import latency_table, thinned, thins
from workbench.report.html.steps import accounts, lineage_table, stages
from workbench.report.html.tables import grid_html
from workbench.report.html.views import frontier_view, latency_view, stages_view

if TYPE_CHECKING:
    from workbench.cost.traffic import Traffic
    from workbench.progress import Progress
    from workbench.store import Store

REPORT_FILE = "report.html"
SCRIPTS = ("charts.js", "frontier.js", "latency.js", "stages.js", "report.js")
MOST_WORST = 5
"""Worst samples of each variant in the page."""


def write_html(
    runs: Sequence[Run],
    path: Path,
    *,
    traffic: Traffic | None = None,
    region: str | None = None,
    explorer: bool = True,
    store: Store | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the report; the arguments are those of :func:`report_html`.

    Raises:
        InputError: as there.
        MissingError: the file cannot be written.
    """
    content = report_html(
        runs, traffic=traffic, region=region, explorer=explorer, store=store, progress=progress
    )
    write_atomic(path, content)
    return path


def report_html(
    runs: Sequence[Run],
    *,
    traffic: Traffic | None = None,
    region: str | None = None,
    explorer: bool = True,
    store: Store | None = None,
    progress: Progress | None = None,
) -> str:
    """The report of one run, or of several in one page.

    Args:
        runs: the records, at least one.
        traffic: what the money is told for; none: each recipe's, else an assumed one.
        region: of the prices; none: us-east-1.
        explorer: whether cost is computed over volumes, objectives and regions, which takes some
            seconds a variant unless the store has it.
        store: keeps what the explorer computed; none: the default store.
        progress: is told how the explorer goes.

    Raises:
        InputError: the region is unknown, or the given traffic cannot be priced.
    """
    parts = [_Part(f"run-{i}", run, price(run, traffic, region)) for i, run in enumerate(runs, 1)]
    cost = cost_part(
        runs,
        traffic=traffic,
        region=region or REGION,
        explorer=explorer,
        store=store,
        progress=progress,
    )
    if len(parts) == 1:
        part = parts[0]
        title, body = part.run.name, _article(part, level=1, cost=cost.html)
        sections = _sections(part)
        if cost.html:
            at = next(i for i, (name, _) in enumerate(sections) if name.endswith("-plan"))
            sections.insert(at, ("cost", "Cost"))
    else:
        title = f"{len(parts)} runs"
        body = overview([(p.id, p.run, p.best, p.pricing) for p in parts])
        body += "".join(_article(part, level=2) for part in parts) + cost.html
        sections = [("overview", "Overview"), *((p.id, p.run.name) for p in parts)]
        sections += [("cost", "Cost")] if cost.html else []
    links = "".join(f'<a href="#{name}">{text(label)}</a>' for name, label in sections)
    return page(
        f"{title} · report",
        body,
        data={"runs": [part.data() for part in parts], **cost.data},
        scripts=[*(asset(name) for name in SCRIPTS), *cost.scripts],
        styles=[asset("report.css"), *cost.styles],
        navigation=links,
    )


class _Part:
    """One run on its way into the page."""

    def __init__(self, identity: str, run: Run, pricing: Pricing) -> None:
        self.id, self.run, self.pricing = identity, run, pricing
        self.answers: list[Answer] = answers(run, pricing)
        self.best = choose(self.answers)
        self.cells = cells(run)

    def data(self) -> dict[str, Any]:
        """``run.json`` with thinned samples, and what was computed from it."""
        record = self.run.model_dump(mode="json", exclude_none=True)
        for variant in record["variants"]:
            for cell in (variant.get("measurement") or {}).get("latency", ()):
                cell["samples_ms"] = thinned(cell["samples_ms"])
        scale = quality_scale(self.run)
        return {
            "id": self.id,
            "run": record,
            "best": self.best.variant if self.best else None,
            "baseline": self.run.baseline.name,
            "quality": None if scale is None else {"kind": scale.kind, "label": scale.label},
            "frontier": [[p.as_data() for p in frontier(self.run, c)] for c in self.cells],
            "stages": stages(self.run),
            "thinned": thins(self.run),
        }


def _sections(part: _Part) -> list[tuple[str, str]]:
    """Ids and names of the sections that a run has, but the answer."""
    run, own = part.run, part.id
    return [
        (f"{own}-{name}", label)
        for name, label, there in (
            ("frontier", "Frontier", bool(part.cells)),
            ("latency", "Latency", bool(part.cells)),
            ("steps", "Steps", any(v.lineage for v in run.variants)),
            ("gates", "Gates", bool(run.verdicts)),
            ("samples", "Samples", bool(worst_grid(run).rows)),
            ("footprint", "Footprint", any(v.measurement for v in run.variants)),
            ("plan", "Plan", True),
            ("provenance", "Provenance", True),
        )
        if there
    ]


def _article(part: _Part, *, level: int, cost: str = "") -> str:
    """A run; ``cost`` is a section that stands before its plan."""
    run = part.run
    bodies = {
        "frontier": lambda: frontier_view(part.id, run, part.cells),
        "latency": lambda: latency_view(part.id, run, part.cells) + latency_table(run),
        "steps": lambda: stages_view(part.id, run) + lineage_table(run) + accounts(run),
        "gates": lambda: grid_html(gates_grid(run), caption="Verdicts", quiet=True),
        "samples": lambda: grid_html(worst_grid(run, MOST_WORST), quiet=True),
        "footprint": lambda: footprint_table(run),
        "plan": lambda: plan_section(part.pricing, part.best.variant if part.best else None),
        "provenance": lambda: provenance_section(run, part.pricing, part.id),
    }
    titles = {
        "frontier": "Quality, latency and size",
        "latency": "Latency and throughput",
        "steps": "What each step bought",
        "gates": "Gates",
        "samples": "Samples that suffered most",
        "footprint": "Size and memory",
        "plan": "The plan, line by line",
        "provenance": "Provenance",
    }
    inner = "".join(
        (cost if name == "plan" else "")
        + _section(identity, titles[name], bodies[name](), level=level + 1)
        for identity, _ in _sections(part)
        for name in [identity.removeprefix(f"{part.id}-")]
    )
    top = hero(run, part.best, part.pricing, level=level)
    if level > 1:
        links = "".join(f'<a href="#{own}">{text(label)}</a>' for own, label in _sections(part))
        top += f'<nav class="inside" aria-label="Sections of {text(run.name)}">{links}</nav>'
    return (
        f'<article id="{part.id}" data-run="{part.id}">{top}'
        f"{answer_table(run, part.answers, part.best, part.pricing)}{inner}</article>"
    )


def _section(identity: str, title: str, inner: str, *, level: int) -> str:
    heading = f'<h{level} id="{identity}-title" class="title">{text(title)}</h{level}>'
    return f'<section id="{identity}" aria-labelledby="{identity}-title">{heading}{inner}</section>'


__all__ = ["REPORT_FILE", "report_html", "write_html"]
