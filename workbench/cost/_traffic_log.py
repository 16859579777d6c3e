"""The shape of a real log: its own pattern, repeated to fill the month."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from workbench.cost._traffic_csv import read_rows
from workbench.cost._traffic_window import Window, make_window
from workbench.cost._traffic_zone import NAIVE, moment, time_zone, to_utc
from workbench.errors import InputError
from workbench.records import Record

if TYPE_CHECKING:
    import numpy as np


def _moment(value: Any) -> Any:
    if isinstance(value, datetime):
        raise ValueError("put this time in quotes, so that its offset is kept")
    text = value.isoformat() if isinstance(value, date) else value
    if not isinstance(text, str):
        raise ValueError("write a time such as '2026-01-31T08:00:00+01:00'")
    moment(text)
    return text


Moment = Annotated[str, BeforeValidator(_moment)]


class Log(Record):
    """A log of real traffic, scaled to a month that starts on a Monday at 00:00.

    Its last whole weeks (five at most) are repeated, each weekday on its weekday; of a log under
    a week its last whole days, each hour at its hour; of a log under a day all its minutes, one
    after the other. Nothing is averaged, so that peaks stay what they were.
    """

    kind: Literal["log"] = "log"
    file: str
    timezone: str = "UTC"
    start: Moment | None = None
    end: Moment | None = None

    @model_validator(mode="after")
    def _sensible(self) -> Log:
        try:
            start, end = self._covers()
        except InputError as error:
            raise ValueError(str(error)) from None
        if start is not None and end is not None and start >= end:
            raise ValueError("the log's start is not before its end")
        return self

    def _covers(self) -> tuple[float | None, float | None]:
        import numpy as np

        zone = time_zone(self.timezone)
        found: list[float | None] = []
        for text in (self.start, self.end):
            if text is None:
                found.append(None)
                continue
            seconds, how = moment(text)
            found.append(float(to_utc(np.array([seconds]), zone)[0]) if how == NAIVE else seconds)
        return found[0], found[1]

    def window(self) -> Window:
        """What of the log is repeated; read once for each state of the file.

        Raises:
            InputError: the file is missing, empty, wrong at a line, or under an hour.
        """
        try:
            state = Path(self.file).stat()
        except (OSError, ValueError):
            raise InputError(f"There is no log {self.file}.") from None
        return _window(self, (state.st_mtime_ns, state.st_size))

    def title(self) -> str:
        """A few words for one who knows the file."""
        return self.window().title()

    def spread(self, hours: int, seed: int) -> np.ndarray:
        """Requests in each minute as the log has them: float64 ``[hours * 60]``.

        Raises:
            InputError: as ``window``, or it has no requests in what fills the month.
        """
        window = self.window()
        found: np.ndarray = window.minutes[window.index(hours)]
        if not found.sum() > 0:
            raise InputError(f"{self.file}: the log has no requests in what fills {hours} hours.")
        return found


@lru_cache(maxsize=4)
def _window(log: Log, state: tuple[int, int]) -> Window:
    zone = time_zone(log.timezone)
    rows = read_rows(Path(log.file), zone)
    try:
        return make_window(rows, zone, log._covers())
    except InputError as error:
        raise InputError(f"{log.file}: {error.message}", hint=error.hint) from None
