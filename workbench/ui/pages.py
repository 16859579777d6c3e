"""The pages: templates in the report's own look. Everything a template prints is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from workbench.report.grids import Grid, bytes_text, run_grids
from workbench.report.html.page import asset, page, text
from workbench.report.html.tables import TONES, grid_html

if TYPE_CHECKING:
    from jinja2 import Environment

    from workbench.progress.log import RunProgress
    from workbench.ui.listing import Entry


def runs_page(folder: str, entries: Sequence[Entry], under_way: str, stamp: str) -> str:
    """The list of runs; ``under_way`` is what :func:`under_way_html` made."""
    body = _render(
        "runs.html",
        folder=folder,
        entries=entries,
        under_way=under_way,
        stamp=stamp,
        smokes=sum(entry.run is not None and entry.run.smoke for entry in entries),
        broken=sum(entry.run is None for entry in entries),
    )
    return _page(f"Runs in {folder}", body, "runs.js")


def run_page(entry: Entry, others: Sequence[Entry]) -> str:
    """One run: its tables, and links to its report and files."""
    assert entry.run is not None
    grids = "".join(grid_html(grid) for grid in run_grids(entry.run))
    files_there = [
        name for name in ("run.json", "recipe.yaml", "report.md") if (entry.path / name).is_file()
    ]
    body = _render(
        "run.html", entry=entry, run=entry.run, grids=grids, others=others, files=files_there
    )
    return _page(entry.name, body)


def compare_page(entries: Sequence[Entry], grids: Sequence[Grid]) -> str:
    """Runs side by side, the first being the reference."""
    made = "".join(map(grid_html, grids))
    return _page("Comparison", _render("compare.html", entries=entries, grids=made))


def progress_page(progress: RunProgress, name: str, now: float) -> str:
    """A run under way, followed until its end."""
    body = _render("progress.html", name=name, live=progress_html(progress, name, now))
    return _page(f"{progress.name}, under way", body, "progress.js")


def progress_html(progress: RunProgress, name: str, now: float) -> str:
    """The part of that page that changes; ``now`` in seconds since 1970."""
    return _render("live.html", progress=progress, name=name, now=now)


def under_way_html(found: Sequence[tuple[str, RunProgress | str]]) -> str:
    """Runs that have not ended well, by name of their log: their state, or why it is unknown."""
    return _render("under_way.html", found=found)


def message_page(title: str, message: str, hint: str = "") -> str:
    """A sentence about what went wrong, and how to mend it."""
    return _page(title, _render("message.html", title=title, message=message, hint=hint))


def _page(title: str, body: str, *scripts: str) -> str:
    return page(
        title,
        body,
        data={},
        scripts=[_own(name) for name in scripts],
        styles=[asset("report.css"), _own("ui.css")],
        navigation='<a href="/">Runs</a>',
        charts=False,
        served=True,
    )


def _render(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(**values)


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def visible(value: Any) -> Any:
        """Escapes as the report does: marks that turn the direction of what follows show."""
        return value if isinstance(value, Markup) else Markup(text(value))

    made = Environment(
        loader=PackageLoader("workbench.ui"),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "html": Markup,
        "url": lambda name: quote(name, safe=""),
        "when": _when,
        "clock": lambda seconds: datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "duration": duration,
        "bytes": bytes_text,
        "tone": lambda shown: TONES.get(shown[:1], ""),
    }
    return made


@cache
def _own(name: str) -> str:
    return files("workbench.ui").joinpath(name).read_text("utf-8")


def _when(iso: str) -> str:
    """``2026-11-25 18:52`` of ISO 8601; another text as it is."""
    try:
        return datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return iso


def duration(seconds: float) -> str:
    """``0.4 s``, ``45 s``, ``2 min 05 s`` or ``1 h 02 min``."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
