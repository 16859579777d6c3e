"""What the comparisons of one test session share: the settings, and who is told of the results.

Nothing here imports anything of weight: pytest loads it at its start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Policy = Literal["fail", "skip", "xfail"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
"""What becomes of a test whose bound could not be decided within the budget."""

BUDGET_S = 120.0
"""Of measuring, for one comparison. The first look needs six fresh processes: some ten seconds for
a small model in one cell, a minute on a machine that is busy."""


@dataclass(eq=False)
class Session:
    """The settings of the comparisons that are made now.

    ``comparisons`` is the number that share the probability of a false failure. ``record`` is told
    of each comparison as plain JSON data. ``measured`` keeps what was measured, so that tests which
    ask for the same two models in the same cells measure once.
    """

    budget_s: float = BUDGET_S
    undecided: Policy = "fail"
    comparisons: int = 1
    record: Callable[[dict[str, Any]], None] = lambda entry: None
    measured: dict[Any, Any] = field(default_factory=dict)


_sessions: list[Session] = [Session()]
"""The last one is the one that counts; the first stands for use without the plugin."""


def current() -> Session:
    """The settings that hold now."""
    return _sessions[-1]


def begin(session: Session) -> None:
    """Let a session's settings hold, until :func:`end`; sessions may nest."""
    _sessions.append(session)


def end(session: Session) -> None:
    """End a session."""
    _sessions.remove(session)
