"""Moments as a log writes them, and the time zones they are meant in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from workbench.errors import InputError

if TYPE_CHECKING:
    import numpy as np

ZONED, NAIVE = "ISO 8601 with an offset", "ISO 8601 without an offset"
SECONDS, MILLISECONDS = "epoch seconds", "epoch milliseconds"

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)
_OFFSET = re.compile(r"([+-])([0-9]{2}):([0-9]{2})")


def time_zone(name: str) -> tzinfo:
    """A zone by its name, ``Europe/Berlin``, or offset, ``+02:00``.

    Raises:
        InputError: there is no such zone.
    """
    found = _OFFSET.fullmatch(name)
    if found and int(found[2]) < 24 and int(found[3]) < 60:
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(-offset if found[1] == "-" else offset)
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InputError(
            f"there is no time zone '{name[:60]}' on this machine.",
            hint="Write a name such as Europe/Berlin, or an offset such as +02:00.",
        ) from None


def moment(text: str) -> tuple[float, str]:
    """Seconds since 1970 and how the moment was written; without an offset they are local.

    Numbers from 10^8 to 10^11 are seconds (1973 to 5138), from 10^11 to 10^14 milliseconds.

    Raises:
        ValueError: it is neither ISO 8601 nor such a number.
    """
    try:
        number = float(text)
    except ValueError:
        return _iso(text)
    if 1e8 <= number < 1e11:
        return number, SECONDS
    if 1e11 <= number < 1e14:
        return number / 1000, MILLISECONDS
    raise ValueError(f"'{text[:60]}' are neither seconds nor milliseconds since 1970")


def _iso(text: str) -> tuple[float, str]:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text[:60]}' is no time") from None
    if not 1973 < at.year < 2200:
        raise ValueError(f"the year of '{text[:60]}' is not between 1974 and 2199")
    if at.tzinfo is None:
        return (at - _EPOCH).total_seconds(), NAIVE
    return (at - _EPOCH_UTC).total_seconds(), ZONED


def to_utc(local: np.ndarray, zone: tzinfo) -> np.ndarray:
    """Local seconds of a zone as seconds since 1970 in UTC.

    An hour that the zone has twice, in autumn, counts as the first of the two.
    """
    import numpy as np

    quarters, of = np.unique(np.floor(local / 900), return_inverse=True)
    starts = [_EPOCH + timedelta(seconds=float(quarter) * 900) for quarter in quarters]
    return np.asarray(local - np.array([_seconds(zone, start) for start in starts])[of])


def offset_at(utc: float, zone: tzinfo) -> float:
    """Seconds that the zone's clocks were ahead of UTC at a moment."""
    return _seconds(zone, (_EPOCH_UTC + timedelta(seconds=utc)).astimezone(zone))


def _seconds(zone: tzinfo, at: datetime) -> float:
    return (zone.utcoffset(at) or timedelta()).total_seconds()
