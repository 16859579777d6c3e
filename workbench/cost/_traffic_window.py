"""The part of a log that is repeated to fill a month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from workbench.cost._traffic_csv import Rows
from workbench.cost._traffic_zone import offset_at
from workbench.errors import InputError

if TYPE_CHECKING:
    import numpy as np

HOUR, DAY, WEEK = 60, 1440, 10080
"""Minutes."""

_MONDAY = 4 * DAY
"""The first Monday after 1970-01-01 00:00."""

_LONGEST_DAYS = 1100


@dataclass(frozen=True)
class Window:
    """Whole weeks, whole days, or, of a log shorter than a day, all its minutes.

    ``phase`` is the window's first minute, counted from a Monday 00:00. ``minutes`` holds requests
    by minute. ``times`` are the requests' seconds since the window's start, in order, none for a
    log of counts; ``resolution`` is 60 or 1 if all were written to the minute or second, else 0.
    """

    days: float
    phase: int
    minutes: np.ndarray
    times: np.ndarray | None = None
    resolution: int = 0

    def index(self, hours: int) -> np.ndarray:
        """For each minute of a month that starts on Monday 00:00, the window's minute."""
        import numpy as np

        return (np.arange(hours * 60) - self.phase) % len(self.minutes)

    def title(self) -> str:
        """A few words: how long the log is, and what of it is repeated."""
        length = len(self.minutes)
        unit, name = next(
            (u, n) for u, n in ((WEEK, "week"), (DAY, "day"), (1, "minute")) if length % u == 0
        )
        many = f"{length // unit} {name}{'s' if length != unit else ''}"
        return f"log of {self.days:.3g} days, its last {many} repeated"


def make_window(rows: Rows, zone: tzinfo, covers: tuple[float | None, float | None]) -> Window:
    """The window of a log: its last whole weeks (five at most), else its last whole days, else all.

    The clock is the zone's at the log's end, so a change to summer time makes no hour double. What
    a log covers goes from its first to its last minute; up to an hour at either end is filled
    with no requests if that completes a day or week.

    Args:
        rows: the log.
        zone: whose Monday 00:00 it is.
        covers: what the log covers, seconds since 1970 in UTC; rows outside are left out. None:
            the first and the last row say it.

    Raises:
        InputError: under an hour, over three years, or no requests.
    """
    import numpy as np

    start, end = covers
    keep = np.ones(len(rows.seconds), bool)
    keep &= rows.seconds >= start if start is not None else keep
    keep &= rows.seconds < end if end is not None else keep
    seconds = rows.seconds[keep]
    if not len(seconds):
        raise InputError("the log has no rows between its start and end.")
    counts = None if rows.counts is None else rows.counts[keep]
    offset = offset_at(float(seconds[-1]), zone)
    widths = None if counts is None else _widths(seconds)
    local = seconds + offset
    last = local[-1] + (widths[-1] if widths is not None else 1e-6)
    begin = int(np.floor((local[0] if start is None else start + offset) / 60))
    finish = int(np.ceil((last if end is None else end + offset) / 60))
    _check_length(finish - begin, float(seconds[0]), float(seconds[-1]))
    first, length = _choose(begin, finish, start is None, end is None)
    times, by_minute = None, None
    if counts is None or widths is None:
        times = local[(local >= first * 60) & (local < (first + length) * 60)] - first * 60
        by_minute = np.bincount((times // 60).astype(np.int64), minlength=length).astype(np.float64)
    else:
        by_minute = _by_minute(local - first * 60, widths, counts, length)
    if not by_minute.sum() > 0:
        raise InputError(f"the log has no requests in its last {length / DAY:.3g} days.")
    return Window(
        days=(finish - begin) / DAY,
        phase=(first - _MONDAY) % WEEK,
        minutes=by_minute,
        times=times,
        resolution=0 if times is None else _resolution(times),
    )


def _check_length(minutes: int, first: float, last: float) -> None:
    if minutes < HOUR:
        raise InputError(
            f"the log covers {minutes} minutes: under an hour says nothing of a month."
        )
    if minutes > _LONGEST_DAYS * DAY:
        dates = " to ".join(f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}" for at in (first, last))
        raise InputError(
            f"the log covers {minutes // DAY} days, {dates}: one of its times must be wrong.",
            hint="Give the part that you mean as 'start' and 'end' of the log.",
        )


def _choose(begin: int, finish: int, pad_start: bool, pad_end: bool) -> tuple[int, int]:
    """First minute and length of the window."""
    from_hour = begin // HOUR * HOUR if pad_start else begin
    to_hour = -(-finish // HOUR) * HOUR if pad_end else finish
    for unit, most in ((WEEK, 5), (DAY, 6)):
        length = min((to_hour - from_hour) // unit, most) * unit
        if length:
            stop = finish if finish - begin >= length else to_hour
            return stop - length, length
    return begin, finish - begin


def _widths(seconds: np.ndarray) -> np.ndarray:
    """Seconds that each count is for: the log's smallest step, or up to the next row if near it.

    A gap is time without requests; a day of 25 hours among daily counts is none.
    """
    import numpy as np

    if len(seconds) < 2:
        raise InputError("one row of counts does not say how long it counted: give two or more.")
    steps = np.diff(seconds)
    if not steps.all():
        at = datetime.fromtimestamp(float(seconds[:-1][steps == 0][0]), UTC)
        raise InputError(
            f"the log counts {at:%Y-%m-%dT%H:%M:%SZ} twice.",
            hint="Give each time once; in autumn, write times with their offset.",
        )
    smallest = steps.min()
    return np.append(np.where(steps <= 1.1 * smallest, steps, smallest), smallest)


def _by_minute(
    starts: np.ndarray, widths: np.ndarray, counts: np.ndarray, length: int
) -> np.ndarray:
    """Counts, each spread evenly over its width, by minute of the window."""
    import numpy as np

    near = (starts + widths > 0) & (starts < length * 60)
    starts, widths, counts = starts[near], widths[near], counts[near]
    if not len(starts):
        return np.zeros(length)
    edges = np.column_stack([starts, starts + widths]).ravel()
    until = np.cumsum(counts)
    sums = np.column_stack([until - counts, until]).ravel()
    at_minutes = np.interp(np.arange(length + 1) * 60.0, edges, sums)
    return np.asarray(np.diff(at_minutes).clip(min=0))


def _resolution(times: np.ndarray) -> int:
    return next((step for step in (60, 1) if not (times % step).any()), 0)
