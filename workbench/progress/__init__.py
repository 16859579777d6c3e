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

    def note(self, **facts: str | int) -> None:
        """What is found out about the piece under way, such as its ``key`` and its ``bytes``."""

    def advance(self, done: float, total: float) -> None:
        """The piece under way has done this part of its work."""

    def finish(self, label: str, seconds: float, *, reused: bool, detail: str = "") -> None:
        """A piece is done; ``reused`` when it came from the store."""


class Several(Progress):
    """Tells several watchers, in the given order."""

    def __init__(self, *watchers: Progress) -> None:
        self.watchers = watchers

    def plan(self, works: list[Work]) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.plan(works)

    def start(self, label: str) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.start(label)

    def note(self, **facts: str | int) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.note(**facts)

    def advance(self, done: float, total: float) -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.advance(done, total)

    def finish(self, label: str, seconds: float, *, reused: bool, detail: str = "") -> None:
        """Pass it on."""
        for watcher in self.watchers:
            watcher.finish(label, seconds, reused=reused, detail=detail)
