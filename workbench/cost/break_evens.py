"""The volumes of a traffic at which the cheapest option changes."""

from __future__ import annotations

from collections.abc import Callable, Collection

from workbench.cost.plan import BreakEven

VOLUMES = tuple(10 ** (exponent / 4) for exponent in range(12, 33))
"""Requests a month between which they are looked for: a thousand to a hundred million."""
PRECISION = 0.001
"""Relative width to which one is narrowed down."""
Winner = Callable[[float, Collection[str] | None], str]
"""The cheapest option at so many requests a month, of all or of the named ones."""


def break_evens(variant: str, winner: Winner) -> list[BreakEven]:
    """Where the winner changes, each option on its best place."""
    found: list[BreakEven] = []
    low = VOLUMES[0]
    before = winner(low, None)
    for high in VOLUMES[1:]:
        after = winner(high, None)
        if after != before:
            at = _narrowed(winner, (before, after), low, high, before)
            if winner(at / (1 + 2 * PRECISION), None) != before:
                # A third one lies between the two.
                at = _narrowed(winner, None, low, high, before)
            found.append(BreakEven(variant=variant, requests=at, before=before, after=after))
        low, before = high, after
    return found


def _narrowed(
    winner: Winner, among: Collection[str] | None, low: float, high: float, before: str
) -> float:
    while high / low > 1 + PRECISION:
        middle = (low * high) ** 0.5
        if winner(middle, among) == before:
            low = middle
        else:
            high = middle
    return high
