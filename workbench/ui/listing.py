"""The runs of a folder as a list: what is read, what cannot be, and nothing outside the folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.gates import WORST_FIRST
from workbench.records import Outcome, Run
from workbench.report.html.answer import SIGNS, Answer, answers, choose
from workbench.report.html.pricing import Pricing
from workbench.report.html.report import REPORT_FILE
from workbench.run_directory import RUN_FILE, load_run

UNPRICED = Pricing(None, "The list prices nothing.")


@dataclass(frozen=True)
class Entry:
    """A run directory; ``run`` is none where it cannot be read, and ``error`` says why.

    ``pick`` is the variant that the report would take.
    """

    name: str
    path: Path
    run: Run | None
    error: str = ""
    pick: Answer | None = None
    report: Path | None = None

    @property
    def gates(self) -> str:
        """``✓ 3 of 4 pass``, led by the sign of the worst."""
        found = Counter(v.outcome for v in self.run.verdicts) if self.run else Counter()
        total = sum(found.values())
        worst = next((outcome for outcome in WORST_FIRST if found[outcome]), None)
        if worst is None:
            return ""
        if found[Outcome.NOT_JUDGED] == total:
            return f"{SIGNS[worst]} not judged"
        return f"{SIGNS[worst]} {found[Outcome.PASS]} of {total} pass"


def list_runs(folder: Path) -> list[Entry]:
    """The run directories right in a folder, the newest first, then those that cannot be read.

    A link that leads out of the folder is no run of it.

    Raises:
        OSError: the folder cannot be read.
    """
    found = list(_entries(folder))
    found.sort(key=lambda entry: (entry.run.created if entry.run else "", entry.name), reverse=True)
    return found


def inside(folder: Path, path: Path) -> Path | None:
    """The regular file behind a path, if it lies in the folder, links followed."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):  # gone, or links in a circle
        return None
    return real if real.is_file() and real.is_relative_to(folder.resolve()) else None


def _entries(folder: Path) -> Iterator[Entry]:
    for place in folder.iterdir():
        if place.name.startswith("."):
            continue
        file = inside(folder, place / RUN_FILE)
        if file is None:
            continue
        if (shown := place.name.encode("utf-8", "replace").decode()) != place.name:
            yield Entry(shown, place, None, "the folder's name is no UTF-8")
            continue
        report = inside(folder, place / REPORT_FILE)
        try:
            stat = file.stat()
            run, error, pick = _read(file, stat.st_mtime_ns, stat.st_size)
        except OSError as failure:
            run, error, pick = None, str(failure.strerror), None
        yield Entry(place.name, place, run, error, pick, report)


@lru_cache(maxsize=2048)
def _read(file: Path, changed: int, size: int) -> tuple[Run | None, str, Answer | None]:
    """A run, or why it cannot be read; kept until the file changes."""
    try:
        run = load_run(file)
    except WorkbenchError as error:
        return None, error.message.partition(" [type=")[0], None
    if not any(variant.baseline for variant in run.variants):
        return None, f"{RUN_FILE} names no baseline", None
    try:
        return run, "", choose(answers(run, UNPRICED))
    except (ArithmeticError, ValueError) as error:  # such as of a size of 0, which no run has
        return None, f"its figures make no sense: {error}", None
