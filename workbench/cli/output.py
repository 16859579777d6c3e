"""How the commands print: tables, JSON, and the progress of long work."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from workbench.progress import Progress, Work
from workbench.progress.pieces import Pieces

WIDTH = 165
"""Columns to print in where the terminal's width is not known (a pipe, CI)."""


def console(*, stderr: bool = False, record: bool = False) -> Console:
    """A console; wide enough for tables when it is no terminal."""
    made = Console(stderr=stderr, highlight=False, record=record)
    if made.is_terminal:
        return made
    return Console(stderr=stderr, highlight=False, record=record, width=WIDTH)


def print_json(value: Any) -> None:
    """Print a JSON value on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of text."""
    from workbench.report.grids import Grid
    from workbench.report.terminal import print_grid

    print_grid(console(), Grid(title, tuple(columns), tuple(map(tuple, rows))))


def duration(seconds: float) -> str:
    """``45 s`` or ``2 min 05 s``."""
    whole = max(0, round(seconds))
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


class TerminalProgress(Progress):
    """A line for each finished piece of work and a bar with the time left, on standard error."""

    def __init__(self) -> None:
        self._console = console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[left]}", style="dim"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID = self._bar.add_task("", total=1.0, left="")
        self._pieces = Pieces()
        self._label = ""
        self._doing = ""

    def __enter__(self) -> TerminalProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def plan(self, works: list[Work]) -> None:
        """Remember the guessed durations."""
        self._pieces.plan(works)

    def start(self, label: str) -> None:
        """Show the piece that begins."""
        self._label, self._doing = label, ""
        self._pieces.start(label, time.monotonic())
        self._show()

    def note(self, **facts: str | int) -> None:
        """Show what the piece is at."""
        if "doing" in facts:
            self._doing = str(facts["doing"])
            self._show()

    def advance(self, done: float, total: float) -> None:
        """Move the bar and correct the guess by the pace so far."""
        self._pieces.advance(min(1.0, done / total) if total else 0.0, time.monotonic())
        self._show()

    def finish(self, label: str, seconds: float, *, reused: bool, detail: str = "") -> None:
        """Print one line about the piece that is done."""
        self._pieces.finish(label, seconds, reused=reused, detail=detail)
        how = "from the store" if reused else f"{seconds:.1f} s"
        line = f"  ✓ {label} ({how})" + (f": {detail}" if detail and not reused else "")
        self._console.print(line, markup=False, soft_wrap=True)
        self._show()

    @contextmanager
    def working(self, label: str) -> Iterator[None]:
        """A piece of work from its start to its finish."""
        self.start(label)
        began = time.monotonic()
        yield
        self.finish(label, time.monotonic() - began, reused=False)

    def _show(self) -> None:
        done, left = self._pieces.spent_s, self._pieces.left_s
        self._bar.update(
            self._task,
            description=f"{self._label} · {self._doing}" if self._doing else self._label,
            completed=done,
            total=max(done + left, 0.01),
            left=f"about {duration(left)} left" if left >= 1 else "",
        )


def warn(text: str) -> None:
    """Print a warning on standard error."""
    console(stderr=True).print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)
