"""The pages of a built site: their links, their anchors, and what they load."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "use": ("href",),
}
"""Elements that make a browser fetch something, by the attribute that names it."""
QUIET = {"canonical", "next", "prev", "alternate"}
"""Links of the head that nothing is fetched for."""
_CSS = re.compile(r"""url\(\s*['"]?([^'")]+)|@import\s+['"]([^'"]+)""")


@dataclass
class Page(HTMLParser):
    """What one HTML file refers to, and what can be referred to in it."""

    file: Path
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self._style = False
        self.feed(self.file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag in ("a", "area") and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and not set(given.get("rel", "").split()) & QUIET:
            self.loads.append(given["href"])
        for name in LOADS.get(tag, ()):
            if name in given:
                self.loads += [part.split()[0] for part in given[name].split(",") if part.strip()]
        self.loads += in_css(given.get("style", ""))
        self._style = tag == "style"

    def handle_data(self, data: str) -> None:
        if self._style:
            self.loads += in_css(data)


def in_css(text: str) -> list[str]:
    """What a style sheet loads."""
    return [one or other for one, other in _CSS.findall(text)]


def elsewhere(target: str) -> bool:
    """Whether a reference leads to another machine."""
    parts = urlsplit(target)
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def pages_of(site: Path) -> dict[Path, Page]:
    """All pages of a site; the 404 page is left out: its links are absolute."""
    return {f: Page(f) for f in sorted(site.rglob("*.html")) if f.name != "404.html"}


def broken(page: Page, pages: dict[Path, Page]) -> list[str]:
    """The references of a page that lead to no file, or to no place within one."""
    found = []
    for target in [*page.links, *page.loads]:
        if elsewhere(target) or target.startswith("data:"):
            continue
        parts = urlsplit(target)
        file = (page.file.parent / unquote(parts.path)).resolve() if parts.path else page.file
        file = file / "index.html" if file.is_dir() else file
        anchor = unquote(parts.fragment)
        if not file.is_file() or (
            anchor
            and not anchor.startswith("__")
            and file in pages
            and anchor not in pages[file].anchors
        ):
            found.append(target)
    return found
