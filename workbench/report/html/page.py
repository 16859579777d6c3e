"""One self-contained HTML document: nothing in it asks the network for anything.

The page carries the charting library, its styles, its scripts and its data. A content security
policy lets exactly these scripts run, by their digests, and nothing be fetched; a name that looks
like markup is escaped, and would run nothing if it were not.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

LIBRARIES = ("d3.min.js", "plot.umd.min.js")
"""In the order in which they load; versions and digests stand in ``vendor/lock.json``."""

FAVICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect x='2' y='2' width='3' height='12' rx='1' fill='%23888'/%3E"
    "%3Crect x='7' y='9' width='3' height='5' rx='1' fill='%23d55e00'/%3E%3C/svg%3E"
)

_BIDI = {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
"""Marks that turn the direction of what follows: shown as what they are, never obeyed."""
_CONTROLS = {code: f"\\x{code:02x}" for code in range(32) if chr(code) not in "\t\n\r"}


def page(
    title: str,
    body: str,
    *,
    data: Mapping[str, Any],
    scripts: Sequence[str] = (),
    styles: Sequence[str] = (),
    navigation: str = "",
    charts: bool = True,
    served: bool = False,
) -> str:
    """A whole HTML document.

    Args:
        title: plain text; it is escaped here.
        body: HTML for ``<main>``. Whoever builds it escapes with :func:`text`.
        data: what scripts read as ``workbench.data``, plain JSON values.
        scripts: JavaScript sources (not names) that run after the page's own, in order;
            :func:`asset` reads those beside this file.
        styles: CSS sources that follow the page's own.
        navigation: HTML for the bar at the top, links as a rule.
        charts: whether d3 and Observable Plot are in the page (490 kB).
        served: a page that a server gives: its scripts may fetch from that server.

    Returns:
        The document. A source in ``scripts`` or ``styles`` must not hold its own end tag.

    Raises:
        ValueError: the data is no JSON (a NaN, say), or a source would end its element.
    """
    early = asset("theme.js")
    late = [
        *(vendored(name) for name in LIBRARIES if charts),
        asset("core.js"),
        asset("tables.js"),
        *scripts,
    ]
    css = [asset("page.css"), *styles]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta http-equiv="Content-Security-Policy" '
            f'content="{_policy([early, *late], served)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{text(title)}</title>",
            f'<link rel="icon" href="{FAVICON}">',
            *(f"<style>{_whole(source, 'style')}</style>" for source in css),
            f"<script>{_whole(early, 'script')}</script>",
            "</head>",
            "<body>",
            '<a class="skip" href="#main">Skip to the content</a>',
            '<header class="bar">',
            f'<nav aria-label="Sections">{navigation}</nav>',
            '<button type="button" class="plain" id="theme" aria-label="Theme: as the system">'
            "Theme</button>",
            "</header>",
            f'<main id="main" tabindex="-1">{body}</main>',
            '<p class="visually-hidden" role="status" id="status"></p>',
            f'<script type="application/json" id="data">{json_for_script(data)}</script>',
            *(f"<script>{_whole(source, 'script')}</script>" for source in late),
            "</body>",
            "</html>",
            "",
        ]
    )


def text(value: object) -> str:
    """A value as HTML text or attribute: markup escaped, direction overrides made visible."""
    return escape(str(value).translate(_BIDI | _CONTROLS), quote=True)


def json_for_script(data: Mapping[str, Any]) -> str:
    """JSON that cannot end its ``<script>``, open a comment, break a line or turn its direction.

    Raises:
        ValueError: a value is no JSON, such as NaN.
    """
    found = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in ("<", ">", "&", "\u2028", "\u2029", *map(chr, _BIDI)):
        found = found.replace(sign, f"\\u{ord(sign):04x}")
    return found


@cache
def asset(name: str) -> str:
    """A script or style beside this file, by its file name."""
    return files("workbench.report.html").joinpath(name).read_text("utf-8")


@cache
def vendored(name: str) -> str:
    """A third party's script from ``workbench/report/vendor``."""
    return files("workbench.report.vendor").joinpath(name).read_text("utf-8")


def _whole(source: str, element: str) -> str:
    if f"</{element}" in source.lower() or "<!--" in source:
        raise ValueError(f"a source would end its <{element}> element")
    return source


def _policy(sources: Iterable[str], served: bool) -> str:
    """Only these scripts run; styles may stand inline, as charts set them on their marks."""
    digests = (hashlib.sha256(source.encode()).digest() for source in sources)
    allowed = " ".join(f"'sha256-{base64.b64encode(each).decode()}'" for each in digests)
    fetches = "connect-src 'self'; form-action 'self'" if served else "form-action 'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        f"base-uri 'none'; {fetches}"
    )
