"""What models may take of the memory: what a load needs at its peak, and what requests need.

Everything is measured. A load is tried only where the memory has room for its peak beside what
requests took of late; all that is assumed is the need of a model that was never loaded.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass

from onnx_server import limits
from onnx_server.errors import InsufficientMemory

FIRST_GUESS = 2.0
"""Memory over file size that is kept free for a model of which nothing is known yet. Only the
decision to try a load rests on it; what a loaded model is charged is measured."""
HALF_LIFE_S = 30.0
"""What requests took counts half after so long, unless they take it again."""


@dataclass(slots=True)
class _Need:
    """Bytes that a model holds, and what its load takes beyond that for a moment."""

    held: int
    beyond: int


class Memory:
    """The memory of a process, of at most ``limit`` bytes. Loads come one at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._needs: dict[str, _Need] = {}
        self._requests, self._looked = 0, time.monotonic()
        self._rested = limits.resident_bytes()
        self._peaks = limits.reset_peak()

    def open(self, model: str, file_bytes: int, *, alone: bool = False) -> int:
        """Bytes held before a load of the model.

        For a model that is ``alone`` nothing is kept free beyond what it holds: nothing could be
        unloaded for a moment's peak or for requests, and it would never serve.

        Raises:
            InsufficientMemory: there is no room for it.
        """
        self._look()
        known = self._needs.get(model)
        needed = int(FIRST_GUESS * file_bytes)
        if known:
            needed = known.held + (0 if alone else known.beyond)
        before = limits.resident_bytes()
        kept = 0 if alone else self._requests
        room = self._limit - kept
        if before + needed > room:
            free()
            before = limits.resident_bytes()
        if before + needed > room:
            beside = f", with {kept / 1e6:.1f} MB for requests" if kept else ""
            raise InsufficientMemory(
                f"The model needs about {needed / 1e6:.1f} MB, and "
                f"{max(0, room - before) / 1e6:.1f} MB of {self._limit / 1e6:.1f} MB are free"
                f"{beside}."
            )
        if self._peaks:
            limits.reset_peak()
        return before

    def close(self, model: str, before: int) -> int:
        """Bytes that the model turned out to take.

        Raises:
            InsufficientMemory: those are more than there are; it must be dropped.
        """
        limits.trim()
        now, known = limits.resident_bytes(), self._needs.get(model)
        taken = now - before
        # Other models' requests may give memory back meanwhile: the largest measure is the truest.
        held = max(taken, known.held if known else 1)
        # They also take some: the smallest measure of the peak is the load's own, the rest theirs.
        above = max(0, limits.peak_bytes() - before - held) if self._peaks else 0
        beyond = min(above, known.beyond) if known else above
        self._requests = max(self._requests, above - beyond)
        self._needs[model] = _Need(held, beyond)
        self._rest(now)
        if now > self._limit:
            raise InsufficientMemory(
                f"The model takes {taken / 1e6:.1f} MB, and "
                f"{max(0, self._limit - before) / 1e6:.1f} MB were free."
            )
        return held

    def abandon(self) -> None:
        """Give back what a load took that failed."""
        free()
        self._rest(limits.resident_bytes())

    def forget(self) -> None:
        """Give back what a model took that is gone."""
        self._look()
        self.abandon()

    def _look(self) -> None:
        """Learn what requests took since the last load or unload."""
        if self._peaks:
            took = max(0, limits.peak_bytes() - self._rested)
            now = time.monotonic()
            old = self._requests * 0.5 ** ((now - self._looked) / HALF_LIFE_S)
            self._requests, self._looked = max(took, int(old)), now
            limits.reset_peak()

    def _rest(self, held: int) -> None:
        self._rested = held
        if self._peaks:
            limits.reset_peak()


def free() -> None:
    """Give back to the system what is no longer used."""
    gc.collect()
    limits.trim()
