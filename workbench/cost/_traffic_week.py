"""Days of the week and hours of the day as people write them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK = r"([0-9]{1,2})(?::([0-9]{2}))?"
_HOURS = re.compile(rf"{_CLOCK}\s*(?:-|–|to)\s*{_CLOCK}")


def _days(value: Any) -> tuple[Day, ...]:
    """``mon-fri``, ``sat, sun`` or a list of days, as days in their order.

    Raises:
        ValueError: a day is unknown, or there is none.
    """
    parts = re.split(r"\s*,\s*|\s+", value.strip()) if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise ValueError("write days as mon-fri or [mon, wed]")
    found: set[int] = set()
    for part in parts:
        first, dash, last = str(part).strip().replace("–", "-").partition("-")
        start = _day(first)
        end = _day(last) if dash else start
        found.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return tuple(DAYS[index] for index in sorted(found))


def _day(text: str) -> int:
    word = text.strip().lower()
    for index, name in enumerate(_NAMES):
        if len(word) >= 3 and name.startswith(word):
            return index
    raise ValueError(f"'{text[:60]}' is no day: write days as mon-fri or [mon, wed]")


def _hours(value: Any) -> tuple[float, float]:
    """``9-17``, ``8:30-18:00`` or ``[9, 17]`` as hours of the day, from and to.

    Raises:
        ValueError: it cannot be read, or does not lie within a day.
    """
    hint = "write hours as 9-17 or 8:30-18:00, within one day"
    if isinstance(value, str) and (found := _HOURS.fullmatch(value.strip())):
        start, end = (int(found[index]) + _minutes(found[index + 1]) / 60 for index in (1, 3))
    elif isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value)):
        start, end = value
    else:
        raise ValueError(hint)
    if not 0 <= start < end <= 24:
        raise ValueError(hint)
    return float(start), float(end)


def _minutes(text: str | None) -> int:
    minutes = int(text or 0)
    if minutes > 59:
        raise ValueError(f"'{text}' are no minutes of an hour")
    return minutes


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


Days = Annotated[tuple[Day, ...], BeforeValidator(_days)]
Hours = Annotated[tuple[float, float], BeforeValidator(_hours)]
