"""What the interval of a difference or a ratio says: better, worse, or not apart."""

from __future__ import annotations

from workbench.compare.records import Told
from workbench.gates import CONFIDENCE
from workbench.records import Interval


def told(interval: Interval | None, nothing: float, *, more_is_better: bool = True) -> Told:
    """What an interval says; ``nothing`` is the value of no difference: 1 of a ratio, else 0.

    An interval of less than 90 % confidence tells nothing apart, as in gates.
    """
    if interval is None:
        return Told.NOTHING
    if interval.low <= nothing <= interval.high or interval.confidence < CONFIDENCE:
        return Told.NOT_APART
    return Told.BETTER if (interval.low > nothing) == more_is_better else Told.WORSE
