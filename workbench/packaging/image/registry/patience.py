"""How often and how long: waits between tries, as a busy or restarting registry wants it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from workbench.errors import StepError
from workbench.packaging.image.registry.transport import Answer, BrokenError

TRIES = 6
FIRST_S = 0.5
"""Doubled at each wait: six tries take a quarter of a minute."""
LONGEST_S = 60.0
"""The longest Retry-After that is waited for."""
BUSY = frozenset({429, 500, 502, 503, 504})
"""Statuses that may be others in a moment."""

sleep = time.sleep


class Patience:
    """Counts the tries of one piece of work."""

    def __init__(self) -> None:
        self._tried = 0

    def again(self, answer: Answer | None = None) -> bool:
        """Wait, as long as the answer's Retry-After says; false when it was the last try."""
        self._tried += 1
        if self._tried >= TRIES:
            return False
        wait = FIRST_S * 2 ** (self._tried - 1) * random.uniform(0.75, 1.25)
        asked = retry_after(answer.header("Retry-After")) if answer else None
        if asked is not None and asked > LONGEST_S:
            return False
        sleep(wait if asked is None else asked)
        return True

    def renew(self) -> None:
        """Forget the tries: the work has moved on since."""
        self._tried = 0


def ask(send: Callable[[], Answer]) -> Answer:
    """The answer to a request that may be repeated; a busy registry is asked again.

    Raises:
        StepError: the connection broke at every try.
    """
    patience = Patience()
    while True:
        try:
            answer = send()
        except BrokenError as error:
            if not patience.again():
                raise gave_up(error) from error
            continue
        if answer.status not in BUSY or not patience.again(answer):
            return answer
        answer.close()


def gave_up(error: BrokenError) -> StepError:
    """The error after the last try."""
    return StepError(
        f"The connection to the registry broke {TRIES} times; lastly: {error}.",
        hint="Run the command again: what has arrived whole is not moved again.",
    )


def retry_after(text: str) -> float | None:
    """Seconds of a Retry-After header (RFC 9110: seconds or a date); none if it says nothing."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
