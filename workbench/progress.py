"""What long work tells whoever watches it. The base does nothing, so watching is optional."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """One piece of work: what is shown, and a guess of its duration in seconds."""

    label: str
    seconds: float


class Progress:
    """Receives the plan, then a start, any number of advances and a finish for each piece."""

    def plan(self, works: list[Work]) -> None:
        """All pieces that will come, in order."""

    def start(self, label: str) -> None:
        """A piece begins."""

    def advance(self, done: float, total: float) -> None:
        """The piece under way has done this part of its work."""

    def finish(self, label: str, seconds: float, *, reused: bool, detail: str = "") -> None:
        """A piece is done; ``reused`` when it came from the store."""
