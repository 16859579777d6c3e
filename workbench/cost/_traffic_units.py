"""What people write with a unit: requests, sizes, latencies, shares.

Every function takes what YAML or the command line gives, a number or a text, and raises InputError
with an example for whatever could be read in two ways.
"""

from __future__ import annotations

import re
from typing import NoReturn

from workbench.errors import InputError

MONTH_HOURS = 730
"""The month where none is given: 365 days by 24 hours by 12 months."""

MOST_REQUESTS = 1e12
"""A month; more is a slip of the unit."""

MOST_BYTES = 10**12
"""Of one payload; more is a slip of the unit."""

_NUMBER = r"(?P<number>[+-]?[0-9][0-9_]*(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|[0-9]{1,3}(?:,[0-9]{3}){2,})"
_MANY = {
    "k": 1e3,
    "K": 1e3,
    "thousand": 1e3,
    "M": 1e6,
    "million": 1e6,
    "B": 1e9,
    "G": 1e9,
    "billion": 1e9,
}
_EVERY = {
    **dict.fromkeys(("s", "sec", "second"), 1),
    **dict.fromkeys(("min", "minute"), 60),
    **dict.fromkeys(("h", "hour"), 3600),
    **dict.fromkeys(("d", "day"), 86400),
    **dict.fromkeys(("w", "week"), 7 * 86400),
}
_REQUESTS = re.compile(
    rf"{_NUMBER}\s*(?P<many>{'|'.join(_MANY)})?\s*(?:requests?|req)?"
    rf"\s*(?:(?:/|\bper\b|\ban?\b)\s*(?P<every>{'|'.join(_EVERY)}|month)|(?P<rps>rps))?"
)
_BYTES = {
    **dict.fromkeys(("B", "byte", "bytes"), 1),
    **dict.fromkeys(("kB", "KB"), 10**3),
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_SIZE = re.compile(rf"{_NUMBER}\s*(?P<unit>{'|'.join(_BYTES)})?")
_MS = {
    **dict.fromkeys(("us", "µs"), 1e-3),
    "ms": 1.0,
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1e3),
    **dict.fromkeys(("min", "minute", "minutes"), 6e4),
}
_LATENCY = re.compile(rf"{_NUMBER}\s*(?P<unit>{'|'.join(_MS)})?")
_SHARE = re.compile(rf"{_NUMBER}\s*(?P<unit>%)?")

REQUESTS_HINT = "Write 1500000 or 1.5M (a month), 20/s, or 3 per minute."
SIZE_HINT = "Write 25 MB (10^6 bytes each), 4 KiB (1024 bytes each), or a number of bytes."
LATENCY_HINT = "Write 150 ms, 2 s, or a number of milliseconds."
SHARE_HINT = "Write a share such as 0.05 or 5 %."


def parse_requests(value: object, *, hours: int = MONTH_HOURS) -> float:
    """Requests a month: ``1500000``, ``1.5M``, ``20/s``, ``3 per minute``, ``2M a day``.

    A number without a unit of time is a month's. ``k``, ``M`` and ``B`` multiply; a small ``m`` is
    refused, as is ``/m``, which may be minutes or months.

    Args:
        value: a number or a text.
        hours: the length of the month, for rates.

    Raises:
        InputError: it cannot be read, is not above 0, or is above 1e12 a month.
    """
    found = _match(_REQUESTS, value, "requests", REQUESTS_HINT)
    number = _number(found)
    every = 1 if found["rps"] else _EVERY.get(found["every"] or "")
    number *= _MANY.get(found["many"] or "", 1)
    requests = number * hours * 3600 / every if every else number
    return check_requests(requests, _short(value))


def check_requests(requests: float, shown: str | None = None) -> float:
    """The same number, if it is a month's traffic.

    Raises:
        InputError: it is not above 0, or above 1e12.
    """
    shown = f"{requests:g}" if shown is None else shown
    if not requests > 0:
        raise InputError(f"requests '{shown}': there must be more than 0 a month.")
    if requests > MOST_REQUESTS:
        raise InputError(f"requests '{shown}': more than 1e12 a month.", hint=REQUESTS_HINT)
    return requests


def parse_size(value: object) -> int:
    """A size in bytes: ``25 MB``, ``4 KiB``, ``512``. MB are 10^6 bytes, MiB 2^20.

    Raises:
        InputError: it cannot be read (``25 M`` and ``25 Mb`` are refused: bytes or bits?), is
            below 0, or above 10^12.
    """
    found = _match(_SIZE, value, "size", SIZE_HINT)
    size = _number(found) * _BYTES[found["unit"] or "B"]
    if size < 0:
        raise InputError(f"size '{_short(value)}' is below 0.")
    if size > MOST_BYTES:
        raise InputError(f"size '{_short(value)}' is above 10^12 bytes.", hint=SIZE_HINT)
    return round(size)


def parse_latency(value: object) -> float:
    """A latency in milliseconds: ``150 ms``, ``2 s``, ``150``.

    Raises:
        InputError: it cannot be read, is not above 0, or is above a day.
    """
    found = _match(_LATENCY, value, "latency", LATENCY_HINT)
    latency = _number(found) * _MS[found["unit"] or "ms"]
    if not 0 < latency <= 86_400_000:
        raise InputError(
            f"latency '{_short(value)}' is not between 0 and a day.", hint=LATENCY_HINT
        )
    return latency


def parse_share(value: object) -> float:
    """A share from 0 to 1: ``0.05``, ``5 %``.

    Raises:
        InputError: it cannot be read, or is outside 0 to 1.
    """
    found = _match(_SHARE, value, "share", SHARE_HINT)
    share = _number(found) / (100 if found["unit"] else 1)
    if not 0 <= share <= 1:
        raise InputError(f"share '{_short(value)}' is outside 0 to 1.", hint=SHARE_HINT)
    return share


def _match(pattern: re.Pattern[str], value: object, what: str, hint: str) -> re.Match[str]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number or isinstance(value, str)):
        _refuse(value, what, hint)
    found = pattern.fullmatch(_plain(value) if number else str(value).strip())
    return found if found else _refuse(value, what, hint)


def _plain(value: object) -> str:
    try:
        return repr(value)
    except ValueError:  # an int of thousands of digits
        return "1e999"


def _number(found: re.Match[str]) -> float:
    return float(found["number"].replace("_", "").replace(",", ""))


def _refuse(value: object, what: str, hint: str) -> NoReturn:
    raise InputError(f"{what} '{_short(value)}' cannot be read.", hint=hint)


def _short(value: object) -> str:
    try:
        text = str(value)
    except ValueError:
        return "a very large number"
    return text if len(text) <= 60 else f"{text[:57]}..."
