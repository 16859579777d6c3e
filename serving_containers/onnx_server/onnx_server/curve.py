"""How many rows to run at once, learned from how long batches really took.

Batching gains much on short inputs and can lose on long ones; which, depends on the model and the
machine, so it is measured while serving rather than assumed.
"""

from __future__ import annotations

GAIN = 0.97
"""A doubled batch must cost at most this share per row of the batch half its size."""
FORGET = 0.2
"""Weight of a new observation in the running mean."""
EXPLORE = 32
"""A size that was rejected is tried again after so many decisions: machines change."""


class BatchCurve:
    """Seconds per row by batch size, for inputs of one shape bucket."""

    __slots__ = ("_cost", "_decisions", "_max")

    def __init__(self, max_rows: int) -> None:
        self._max = max_rows
        self._cost: dict[int, float] = {}
        self._decisions = 0

    def best(self, waiting: int) -> int:
        """Rows to run now, of ``waiting``: as many as doubling the batch still pays for.

        An unknown size is tried once the half of it is known, so that a model which loses by
        batches is never far from its best.
        """
        waiting = min(waiting, self._max)
        if waiting < 2:
            return 1
        self._decisions += 1
        size, costs = 1, self._cost
        explore = self._decisions % EXPLORE == 0
        while size * 2 <= _bucket(waiting):
            now, double = costs.get(size), costs.get(size * 2)
            if now is None:
                break
            if double is None or double > now * GAIN:
                size *= 2 if double is None or explore else 1
                break
            size *= 2
        return waiting if size == _bucket(waiting) else size

    def observe(self, rows: int, seconds: float) -> None:
        """Note that a batch of ``rows`` took ``seconds``."""
        size, cost = _bucket(rows), seconds / rows
        known = self._cost.get(size)
        self._cost[size] = cost if known is None else known + FORGET * (cost - known)

    def seconds(self, rows: int) -> float | None:
        """Expected seconds of a batch of ``rows``; none while nothing like it was seen."""
        cost = self._cost.get(_bucket(rows))
        return None if cost is None else cost * rows


def _bucket(rows: int) -> int:
    """The largest power of two that is not above ``rows``."""
    return 1 << (rows.bit_length() - 1)
