"""The application: which address shows what.

Names that are asked for are looked up in lists of what is there, never joined to a path.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

from workbench.compare import Source, compare_runs
from workbench.errors import CorruptError, WorkbenchError
from workbench.progress.log import RunProgress, progress_logs, read_open_log, read_progress
from workbench.report.comparisons import comparison_grids
from workbench.ui import pages
from workbench.ui.guard import Guard
from workbench.ui.listing import Entry, inside, list_runs

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LOOK_S = 0.5
"""How often the log of a run under way is looked at for a page that follows it."""

FILES = {
    "run.json": "application/json",
    "recipe.yaml": "text/plain; charset=utf-8",
    "report.md": "text/plain; charset=utf-8",
    "report.html": "text/html; charset=utf-8",
}
SANDBOX = (
    "sandbox allow-scripts allow-downloads allow-modals; default-src 'none'; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'none'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Of a run's own files: an origin of their own, which can read nothing here nor elsewhere."""


def create_app(folder: Path, names: Iterable[str] = ()) -> Starlette:
    """The application for a folder of runs.

    Args:
        folder: its direct subfolders with a ``run.json`` are the runs.
        names: host names to be served under, beside addresses and this machine's own.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.routing import Route

    site = _Site(folder)
    return Starlette(
        routes=[
            Route("/", site.runs),
            Route("/under-way", site.under_way),
            Route("/compare", site.compare),
            Route("/runs/{name}", site.run),
            Route("/runs/{name}/{file}", site.file),
            Route("/progress/{name}", site.progress),
            Route("/progress/{name}/events", site.events),
        ],
        middleware=[Middleware(Guard, names=tuple(names))],
        exception_handlers={HTTPException: _refused, WorkbenchError: _failed, OSError: _failed},
    )


class _Site:
    """The pages of one folder; handlers without ``async`` run in threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def runs(self, request: Request) -> Response:
        entries = list_runs(self.folder)
        return _html(pages.runs_page(str(self.folder), entries, self._under_way(), _stamp(entries)))

    def under_way(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        return JSONResponse({"html": self._under_way(), "stamp": _stamp(list_runs(self.folder))})

    def run(self, request: Request) -> Response:
        entries = list_runs(self.folder)
        entry = _named(entries, request.path_params["name"])
        if entry.run is None:
            raise CorruptError(f"{entry.name} cannot be read: {entry.error}")
        others = [other for other in entries if other.run and other is not entry]
        return _html(pages.run_page(entry, others))

    def file(self, request: Request) -> Response:
        from starlette.responses import FileResponse

        name = request.path_params["file"]
        entry = _named(list_runs(self.folder), request.path_params["name"])
        found = inside(self.folder, entry.path / name) if name in FILES else None
        if found is None:
            raise _not_found(f"{entry.name} has no {name}")
        return FileResponse(
            found,
            media_type=FILES[name],
            headers={"content-security-policy": SANDBOX},
            content_disposition_type="inline",
        )

    def compare(self, request: Request) -> Response:
        entries = list_runs(self.folder)
        chosen = [_named(entries, name) for name in request.query_params.getlist("run")]
        sources = []
        for entry in chosen:
            if entry.run is None:
                raise CorruptError(f"{entry.name} cannot be read: {entry.error}")
            sources.append(Source(entry.run, entry.name, entry.path))
        return _html(pages.compare_page(chosen, comparison_grids(compare_runs(sources))))

    def progress(self, request: Request) -> Response:
        from starlette.responses import RedirectResponse

        name = request.path_params["name"]
        path = self._log(name)
        with suppress(FileNotFoundError):  # it has just ended well
            if path is not None:
                return _html(pages.progress_page(read_progress(path), name, time.time()))
        return RedirectResponse(f"/runs/{quote(name, safe='')}", 307)

    async def events(self, request: Request) -> Response:
        from starlette.responses import StreamingResponse

        name = request.path_params["name"]
        path = await asyncio.to_thread(self._log, name)
        return StreamingResponse(_follow(path, name), media_type="text/event-stream")

    def _log(self, name: str) -> Path | None:
        """The log of a run; none where the run has ended well, which removes it."""
        found = progress_logs(self.folder).get(name)
        if found is None and all(entry.name != name for entry in list_runs(self.folder)):
            raise _not_found(f"no run '{name}' is under way")
        return found

    def _under_way(self) -> str:
        found: list[tuple[str, RunProgress | str]] = []
        for name, path in progress_logs(self.folder).items():
            try:
                progress = read_progress(path)
            except FileNotFoundError:
                continue  # it has just ended well
            except (CorruptError, OSError) as error:
                found.append((name, str(error)))
                continue
            if progress.state != "finished":
                found.append((name, progress))
        return pages.under_way_html(found)


async def _follow(path: Path | None, name: str) -> AsyncIterator[str]:
    """Server-sent events: the state whenever it has changed, to its end.

    The log stays open, so that its end is read though the run then removes it. ``gone`` says that
    it was removed before.
    """
    try:
        file = None if path is None else await asyncio.to_thread(path.open, "rb")
    except FileNotFoundError:
        file = None
    if file is None:
        yield _event("end", {"html": "", "said": "", "state": "gone"})
        return
    with file:
        async for event in _states(file, name):
            yield event


async def _states(file: BinaryIO, name: str) -> AsyncIterator[str]:
    sent = ""
    while True:
        try:
            progress = await asyncio.to_thread(read_open_log, file)
        except (CorruptError, OSError) as error:
            yield _event("end", {"html": "", "said": str(error), "state": "lost"})
            return
        html = pages.progress_html(progress, name, time.time())
        event = "state" if progress.state == "running" else "end"
        if html != sent or event == "end":
            said = f"{progress.done} of {len(progress.pieces)} done, {progress.state}"
            yield _event(event, {"html": html, "said": said, "state": progress.state})
            sent = html
        if event == "end":
            return
        await asyncio.sleep(LOOK_S)


def _event(kind: str, data: dict[str, str]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def _named(entries: Iterable[Entry], name: str) -> Entry:
    for entry in entries:
        if entry.name == name:
            return entry
    raise _not_found(f"there is no run '{name}'")


def _stamp(entries: Iterable[Entry]) -> str:
    """Changes when the list does."""
    from workbench.artifact import digest

    return digest([[e.name, e.run.created if e.run else e.error, bool(e.report)] for e in entries])


def _not_found(what: str) -> Exception:
    from starlette.exceptions import HTTPException

    return HTTPException(404, f"{what[0].upper()}{what[1:]}.")


def _refused(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    told = str(getattr(error, "detail", "")) or "There is nothing here."
    return _html(pages.message_page(_TITLES.get(status, "Not done"), told), status)


def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, WorkbenchError):
        status = 500 if isinstance(error, CorruptError) else 400
        return _html(pages.message_page("Not done", error.message, error.hint or ""), status)
    return _html(pages.message_page("Not done", str(error)), 500)


_TITLES = {404: "Not found", 405: "Only reading is possible here"}


def _html(content: str, status: int = 200) -> Response:
    from starlette.responses import HTMLResponse

    return HTMLResponse(content, status)
