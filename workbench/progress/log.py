"""The progress of a run as a file that others can follow: ``<runs>/.progress/<name>.jsonl``.

One JSON object a line, only ever appended to; the file is removed when the run has ended well, or
by its user (interrupted, or refused for its input). The process that writes holds a lock
(``flock``) on it, which the system releases however the process ends: a log without an ``end``
whose lock is free belongs to a run that was killed. Nothing is flushed to the disk, so that
following a run does not disturb what it measures.
"""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, TextIO

from pydantic import Field, TypeAdapter, ValidationError

from workbench.artifact import disk_errors
from workbench.errors import CorruptError, InputError, WorkbenchError
from workbench.progress import Progress, Work
from workbench.progress.pieces import Piece, Pieces
from workbench.records import Record

FOLDER = ".progress"
SUFFIX = ".jsonl"
ADVANCE_S = 1.0
"""Advances that follow each other faster than this are not written."""


class Began(Record):
    """First line; ``at`` is the time in seconds since 1970, as in all others."""

    event: Literal["run"] = "run"
    schema_version: Literal[1] = 1
    name: str
    at: float


class Planned(Record):
    """All pieces that will come after those that are done, with guesses of their durations in s."""

    event: Literal["plan"] = "plan"
    works: tuple[tuple[str, float], ...]


class Started(Record):
    """A piece begins."""

    event: Literal["start"] = "start"
    label: str
    at: float


class Advanced(Record):
    """The part, 0 to 1, of the piece under way that is done."""

    event: Literal["advance"] = "advance"
    part: float
    at: float


class Finished(Record):
    """A piece is done."""

    event: Literal["finish"] = "finish"
    label: str
    seconds: float
    reused: bool
    detail: str = ""
    at: float


class Ended(Record):
    """Last line of a run that ended by itself; ``error`` says what stopped it."""

    event: Literal["end"] = "end"
    error: str | None = None
    hint: str | None = None
    at: float


Event = Began | Planned | Started | Advanced | Finished | Ended
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


class ProgressLog(Progress):
    """Writes the log while it is entered; leaving it writes how the run ended."""

    def __init__(self, runs: Path, name: str) -> None:
        """A log for a run of that name in a folder of runs; an ended one is replaced.

        A second run of one name at the same time writes ``<name>~<n>.jsonl``.
        """
        self.folder, self.name = runs / FOLDER, name
        self.path = self.folder / f"{name}{SUFFIX}"
        self._part_at = 0.0
        self._made_runs = not runs.exists()

    def __enter__(self) -> ProgressLog:
        """Begin the log.

        Raises:
            MissingError: the folder cannot be written.
        """
        with disk_errors(self.folder):
            number = 1
            while not self._open():
                number += 1
                self.path = self.folder / f"{self.name}~{number}{SUFFIX}"
            self._file.truncate(0)
        self._write(Began(name=self.name, at=time.time()))
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        message, hint = None, None
        if isinstance(error, WorkbenchError):
            message, hint = error.message, error.hint
        elif isinstance(error, KeyboardInterrupt):
            message, hint = "Interrupted.", "Run it again: what was finished is kept."
        elif error is not None:
            message = f"{type(error).__name__}: {error}"
        self._write(Ended(error=message, hint=hint, at=time.time()))
        # The run directory tells the rest, or the user knows; who has the file open reads the end.
        if error is None or isinstance(error, InputError | KeyboardInterrupt):
            with contextlib.suppress(OSError):
                self.path.unlink()
                self.folder.rmdir()
                if error is not None and self._made_runs:
                    self.folder.parent.rmdir()
        self._file.close()

    def _open(self) -> bool:
        """Open and lock the file; false where another run has it."""
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                self._file = self.path.open("a", encoding="utf-8")
            except FileNotFoundError:
                continue  # a run that ended has just removed the folder
            if not _lock(self._file.fileno()):
                self._file.close()
                return False
            if os.fstat(self._file.fileno()).st_nlink:
                return True
            self._file.close()  # a run that ended has just removed this file

    def plan(self, works: list[Work]) -> None:
        """Write the plan."""
        self._write(Planned(works=tuple((work.label, work.seconds) for work in works)))

    def start(self, label: str) -> None:
        """Write that a piece begins."""
        self._part_at = 0.0
        self._write(Started(label=label, at=time.time()))

    def advance(self, done: float, total: float) -> None:
        """Write the part that is done, at most once a second."""
        now = time.time()
        if total > 0 and now - self._part_at >= ADVANCE_S:
            self._part_at = now
            self._write(Advanced(part=min(1.0, max(0.0, done / total)), at=now))

    def finish(self, label: str, seconds: float, *, reused: bool, detail: str = "") -> None:
        """Write that a piece is done."""
        self._write(
            Finished(label=label, seconds=seconds, reused=reused, detail=detail, at=time.time())
        )

    def _write(self, event: Event) -> None:
        if self._file.closed:
            return
        try:
            self._file.write(event.model_dump_json(exclude_none=True) + "\n")
            self._file.flush()
        except OSError as error:
            # A run of hours is not lost for its progress; what it makes has errors of its own.
            warnings.warn(
                f"{self.path} is no longer written: {error}", RuntimeWarning, stacklevel=3
            )
            _abandon(self._file)


class RunProgress(Record):
    """How far a run is, as its log says.

    ``stopped``: the process is gone and did not say why, as when it is killed. Times in seconds;
    ``part`` is the share, 0 to 1, of the whole time that is over, ``left_s`` a guess.
    """

    name: str
    state: Literal["running", "finished", "failed", "stopped"]
    pieces: tuple[Piece, ...]
    began: float = Field(description="Seconds since 1970.")
    told: float = Field(description="When the last line was written: seconds since 1970.")
    part: float
    left_s: float
    error: str | None = None
    hint: str | None = None

    @property
    def done(self) -> int:
        """Pieces that are done."""
        return sum(piece.state == "done" for piece in self.pieces)


def progress_logs(runs: Path) -> dict[str, Path]:
    """The logs in a folder of runs by name, regular files only; empty where there are none."""
    folder = runs / FOLDER
    if folder.is_symlink() or not folder.is_dir():
        return {}
    return {
        path.name.removesuffix(SUFFIX): path
        for path in sorted(folder.glob(f"*{SUFFIX}"))
        if path.is_file() and not path.is_symlink()
    }


def read_progress(path: Path) -> RunProgress:
    """Read a log.

    Raises:
        CorruptError: it is no log of a run.
        OSError: it is gone or cannot be read.
    """
    with path.open("rb") as file:
        return read_open_log(file)


def read_open_log(file: BinaryIO) -> RunProgress:
    """Read a log that is open; it may have been removed since, by a run that ended well.

    Raises:
        CorruptError: it is no log of a run.
    """
    # The lock first: a run that ends in between is then read with its end.
    alive = _is_locked(file)
    file.seek(0)
    events = list(_events(file.read(), file.name))
    if not events or not isinstance(events[0], Began):
        raise CorruptError(f"{file.name} is no log of a run's progress.", hint="Delete it.")
    return _state(events[0], events[1:], alive)


def _events(content: bytes, path: str) -> Iterator[Event]:
    # What follows the last line end is a line that is being written, or was when it was killed.
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            yield _EVENT.validate_json(line)
        except ValidationError as error:
            raise CorruptError(
                f"{path}:{number} is no line of a run's progress.", hint="Delete the file."
            ) from error


def _state(began: Began, events: list[Event], alive: bool) -> RunProgress:
    pieces, told = Pieces(), began.at
    end: Ended | None = None
    for event in events:
        told = getattr(event, "at", told)
        match event:
            case Planned():
                pieces.plan(Work(label, guess) for label, guess in event.works)
            case Started():
                pieces.start(event.label, event.at)
            case Advanced():
                pieces.advance(event.part, event.at)
            case Finished():
                pieces.finish(event.label, event.seconds, reused=event.reused, detail=event.detail)
            case Ended():
                end = event
            case _:
                pass
    spent, left = pieces.spent_s, pieces.left_s
    finished = end is not None and end.error is None
    return RunProgress(
        name=began.name,
        state=(
            ("finished" if finished else "failed") if end else "running" if alive else "stopped"
        ),
        pieces=tuple(pieces.all),
        began=began.at,
        told=told,
        part=1.0 if finished else spent / (spent + left) if spent + left > 0 else 0.0,
        left_s=0.0 if end else left,
        error=end.error if end else None,
        hint=end.hint if end else None,
    )


def _lock(descriptor: int) -> bool:
    """Take the lock; false where another run holds it. A reader holds it for an instant only."""
    import fcntl

    for _ in range(20):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.02)
    return False


def _is_locked(file: BinaryIO) -> bool:
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file.fileno(), fcntl.LOCK_UN)
    return False


def _abandon(file: TextIO) -> None:
    """Close a file whose buffer can no longer be written."""
    with contextlib.suppress(OSError):
        file.close()
