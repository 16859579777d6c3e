"""The pieces of long work as it goes on: which are done, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from workbench.progress import Work

TRUSTED = 0.1
"""Part of a piece from which on its pace so far says more than the guess that was made before."""


@dataclass(frozen=True)
class Piece:
    """One piece of work; ``seconds`` is what it took, or the guess while it is not done."""

    label: str
    state: Literal["waiting", "running", "done"] = "waiting"
    seconds: float = 0.0
    reused: bool = False
    detail: str = ""


@dataclass
class Pieces:
    """All pieces, told of by the events of :class:`workbench.progress.Progress`.

    Times are in seconds, on any one clock; ``part`` is the share, 0 to 1, of the piece under way.
    """

    all: list[Piece] = field(default_factory=list)
    part: float = 0.0
    _current: int | None = None
    _since: float = 0.0

    def plan(self, works: Iterable[Work]) -> None:
        """All pieces that will come after those that are done."""
        self.all = [piece for piece in self.all if piece.state == "done"]
        self.all += [Piece(label=work.label, seconds=work.seconds) for work in works]
        self._current, self.part = None, 0.0

    def start(self, label: str, at: float) -> None:
        """A piece begins."""
        self._current, self.part, self._since = self._place(label, "waiting"), 0.0, at
        self.all[self._current] = replace(self.all[self._current], state="running")

    def advance(self, part: float, at: float) -> None:
        """So much of the piece under way is done; its guess follows the pace so far."""
        if self._current is None:
            return
        self.part = part
        if part > TRUSTED:
            pace = (at - self._since) / part
            self.all[self._current] = replace(self.all[self._current], seconds=pace)

    def finish(self, label: str, seconds: float, *, reused: bool, detail: str) -> None:
        """A piece is done."""
        place = self._place(label, "running")
        self.all[place] = Piece(label, "done", seconds, reused, detail)
        self._current, self.part = None, 0.0

    @property
    def spent_s(self) -> float:
        """Seconds of what is done, the part of the piece under way included."""
        done = sum(piece.seconds for piece in self.all if piece.state == "done")
        return done + self.part * self._under_way_s

    @property
    def left_s(self) -> float:
        """A guess of the seconds that are left."""
        waiting = sum(piece.seconds for piece in self.all if piece.state == "waiting")
        return waiting + (1 - self.part) * self._under_way_s

    @property
    def _under_way_s(self) -> float:
        return 0.0 if self._current is None else self.all[self._current].seconds

    def _place(self, label: str, state: str) -> int:
        """The first piece of a label in a state; one that was not planned is put at the end."""
        for place, piece in enumerate(self.all):
            if piece.label == label and piece.state == state:
                return place
        self.all.append(Piece(label=label))
        return len(self.all) - 1
