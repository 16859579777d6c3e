"""A log of real traffic as it lies on disk: a CSV file of timestamps, or of counts."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cost._traffic_zone import NAIVE, moment, to_utc
from workbench.errors import InputError, RecipeError

if TYPE_CHECKING:
    import numpy as np

TIMES = ("time", "timestamp", "timestamps", "@timestamp", "date", "datetime", "ts")
COUNTS = ("count", "counts", "requests", "hits", "invocations")

HINT = "Write one timestamp a row, or the columns time,count under that header."


@dataclass(frozen=True)
class Rows:
    """What a log says, in order of time.

    ``seconds`` since 1970 in UTC, float64. ``counts``: requests from each row's time on; none where
    each row is one request.
    """

    seconds: np.ndarray
    counts: np.ndarray | None


@dataclass(frozen=True)
class _Columns:
    time: int
    count: int | None
    header: bool


def read_rows(file: Path, zone: tzinfo) -> Rows:
    """Read a log.

    One column: timestamps, with or without a header of any name. Several: under a header that
    names the time (``time``, ``timestamp``, ``date``, ...) and, for counts, the ``count``
    (``requests``, ``invocations``, ...); other columns are ignored. Commas, semicolons or tabs.
    Times without an offset are those of the zone. The order of the rows is of no matter.

    Raises:
        InputError: the file cannot be read, is empty, or a line of it is wrong: file and line.
    """
    import numpy as np

    columns: _Columns | None = None
    seconds, counts = array("d"), array("d")
    written = ""
    for line, row in _lines(file):
        if columns is None:
            columns = _columns(row, file, line)
            if columns.header:
                continue
        try:
            at, how = moment(row[columns.time].strip())
            if columns.count is not None:
                counts.append(_count(row[columns.count].strip()))
        except IndexError:
            raise _error(file, line, "this row has too few columns.") from None
        except ValueError as error:
            raise _error(file, line, f"{error}.", HINT) from None
        if written and how != written:
            raise _error(file, line, f"this time is {how}, but the first is {written}.")
        written = how
        seconds.append(at)
    if not seconds or columns is None:
        raise InputError(f"{file} has no rows: there is no traffic to learn from.", hint=HINT)
    utc = np.frombuffer(seconds, np.float64)
    if written == NAIVE:
        utc = to_utc(utc, zone)
    order = np.argsort(utc, kind="stable")
    if columns.count is None:
        return Rows(utc[order], None)
    return Rows(utc[order], np.frombuffer(counts, np.float64)[order])


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with its line number."""
    line = 0
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline(10_000)
            stream.seek(0)
            delimiter = next((sign for sign in "\t;" if sign in first), ",")
            reader = csv.reader(stream, delimiter=delimiter)
            for row in reader:
                line = reader.line_num
                if any(map(str.strip, row)):
                    yield line, row
    except FileNotFoundError:
        raise InputError(f"There is no log {file}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise _error(file, line + 1, f"this is no CSV text ({error}).", HINT) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"The log {file} cannot be read: {reason}.") from None


def _columns(row: list[str], file: Path, line: int) -> _Columns:
    """Which column is what, by the first row."""
    names = [cell.strip().lower() for cell in row]
    while not names[-1]:
        names.pop()
    header = not any(name[:1].isdigit() or name[:1] in ("-", "+") for name in names)
    if len(names) == 1:
        return _Columns(0, None, header)
    if not header:
        raise _error(file, line, "several columns need a header that names them.", HINT)
    times = [index for index, name in enumerate(names) if name in TIMES]
    counts = [index for index, name in enumerate(names) if name in COUNTS]
    if len(times) != 1 or len(counts) > 1:
        wrong = "no column is named time" if not times else "several columns could be meant"
        raise _error(file, line, f"{wrong}: the header is {', '.join(names)[:80]}.", HINT)
    return _Columns(times[0], counts[0] if counts else None, True)


def _count(text: str) -> float:
    try:
        count = float(text)
    except ValueError:
        raise ValueError(f"'{text[:60]}' is no count") from None
    if not 0 <= count <= 1e15:
        raise ValueError(f"the count '{text[:60]}' is below 0 or absurd")
    return count


def _error(file: Path, line: int, message: str, hint: str | None = None) -> InputError:
    return RecipeError(message, file=file, line=line, hint=hint)
