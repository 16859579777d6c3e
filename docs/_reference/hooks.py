"""What mkdocs asks while it builds the site: the reference's pages, and pieces of the README.

A line that ends with ``<!-- readme: TITLE -->`` is replaced by that section of README.md, without
its heading; what stands before the comment is for those who read the page on a code host.
Links out of ``docs/`` work on a code host; in the site they lead to the page that stands for the
file, or become plain text.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from posixpath import normpath, relpath
from typing import Any

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from mkdocs.structure.files import File, Files  # noqa: E402

from docs._reference.reference import sections  # noqa: E402

STANDS_FOR = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "serving_containers/onnx_server/README.md": "reference/server.md",
    "serving_containers/README.md": "containers.md",
    "benchmarks/serving/README.md": "benchmarks-serving.md",
    "benchmarks/cost/README.md": "benchmarks-cost.md",
}
"""Files outside of ``docs/``, and the pages of the site that they are."""
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
_README = re.compile(r"^.*<!-- readme: (.+?) -->$", re.MULTILINE)

_sections = cache(sections)


def on_config(config: Any) -> Any:
    """Put the reference into the menu."""
    menu: list[Any] = [{title: [{p.title: p.path} for p in pages]} for title, pages in _sections()]
    for position, item in enumerate(config.nav):
        if item == {"Reference": "reference/index.md"}:
            config.nav[position] = {"Reference": ["reference/index.md", *menu]}
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the reference's pages, and those of Markdown files outside of ``docs/``."""
    made = {page.path: page.text for _, pages in _sections() for page in pages}
    for file, path in STANDS_FOR.items():
        if path not in made and files.get_file_from_path(path) is None:
            made[path] = _outside(ROOT / file, path)
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in pieces of the README, and mend links that lead out of ``docs/``."""
    here = page.file.src_uri
    markdown = _README.sub(lambda found: _readme_section(found[1], here), markdown)
    return _mend(markdown, f"docs/{here}", here)


def on_post_page(output: str, **_: Any) -> str:
    """Name the theme's search dialog, which has no name for a screen reader."""
    unnamed = 'data-md-component="search" role="dialog"'
    return output.replace(unnamed, f'{unnamed} aria-label="Search"')


def _outside(file: Path, path: str) -> str:
    return _mend(file.read_text(encoding="utf-8"), file.relative_to(ROOT).as_posix(), path)


def _readme_section(title: str, here: str) -> str:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", readme, re.S | re.M)
    if found is None:
        raise ValueError(f"{here}: README.md has no section '{title}'")
    return _mend(found[1].strip(), "README.md", here)


def _mend(markdown: str, source: str, here: str) -> str:
    """Links as they are written in ``source`` (from the root), for the page ``here``."""

    def mended(found: re.Match[str]) -> str:
        text, target = found.groups()
        path, _, anchor = target.partition("#")
        if not path or "://" in target or target.startswith("mailto:"):
            return found[0]
        file = normpath(f"{source.rpartition('/')[0] or '.'}/{path}")
        if file.startswith("docs/"):
            page = file.removeprefix("docs/")
        elif file in STANDS_FOR:
            page = STANDS_FOR[file]
        elif (ROOT / file).exists():
            return text
        else:
            return found[0]
        link = relpath(page, here.rpartition("/")[0] or ".")
        return f"[{text}]({link}{'#' + anchor if anchor else ''})"

    return _LINK.sub(mended, markdown)
