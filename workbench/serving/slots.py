"""Which models are in the container's memory, who uses them, and which one goes next.

Of one target there is at most one slot, and it stays in the table as long as the model may be in
the container's memory: a call that comes while its model leaves waits, and then loads it anew.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from workbench.serving.answers import ApiError, not_ready


class State(Enum):
    """Where a model is on its way through the container's memory."""

    LOADING = auto()
    LOADED = auto()
    DRAINING = auto()
    """Loaded, and takes no new calls, so that it becomes idle and can be evicted."""
    LEAVING = auto()
    """Being unloaded."""
    GONE = auto()


@dataclass(eq=False)
class Slot:
    """One model; ``error`` says why it did not load, ``used`` when it was last asked for."""

    target: str
    state: State = State.LOADING
    error: ApiError | None = None
    users: int = 0
    used: float = 0.0

    @property
    def name(self) -> str:
        """The opaque id under which the container knows the model (C9)."""
        return hashlib.sha256(self.target.encode()).hexdigest()[:32]


class Slots:
    """The table of slots; thread-safe. Deadlines are on the monotonic clock."""

    def __init__(self) -> None:
        self._by_target: dict[str, Slot] = {}
        self._changed = threading.Condition()
        """Guards the table and every slot; notified of every change."""
        self._unloads = 0

    def loaded(self) -> int:
        """How many models are in the container's memory."""
        with self._changed:
            return sum(slot.state is not State.LOADING for slot in self._by_target.values())

    @property
    def unloads(self) -> int:
        """How many models were unloaded so far."""
        with self._changed:
            return self._unloads

    def enter(
        self, target: str, deadline: float, load: Callable[[Slot], None]
    ) -> tuple[Slot, bool]:
        """Count a user of a model, and whether the model is loaded; until ``leave`` it stays.

        ``load`` is called, without waiting for it, with the slot of a model that is not there.

        Raises:
            ApiError: the model is on its way out still at the deadline.
        """
        with self._changed:
            if not self._wait(lambda: self._takes_calls(target), deadline):
                raise not_ready(target)
            slot = self._by_target.get(target)
            if slot is None:
                slot = Slot(target)
                threading.Thread(target=load, args=(slot,), daemon=True).start()
                self._by_target[target] = slot
            slot.users += 1
            slot.used = time.monotonic()
            return slot, slot.state is State.LOADED

    def await_loaded(self, slot: Slot, deadline: float) -> None:
        """Wait until a model is loaded.

        Raises:
            ApiError: it did not load, or loads still at the deadline.
        """
        with self._changed:
            if not self._wait(lambda: slot.state is not State.LOADING, deadline):
                raise not_ready(slot.target)
            if slot.error is not None:
                raise slot.error

    def leave(self, slot: Slot, *, keep: bool) -> bool:
        """One user less; true when it is not to be kept and idle: the caller has to unload it."""
        with self._changed:
            slot.users -= 1
            drop = not keep and slot.users == 0 and slot.state is State.LOADED
            if drop:
                slot.state = State.LEAVING
            self._changed.notify_all()
            return drop

    def settle(self, slot: Slot, error: ApiError | None = None) -> None:
        """The model is loaded, or did not load and is out of the table."""
        with self._changed:
            slot.error = error
            if error is None:
                slot.state = State.LOADED
                self._changed.notify_all()
            else:
                self._remove(slot)

    def forget(self, slot: Slot) -> None:
        """Take out a loaded model that the container does not have; the next call loads it."""
        with self._changed:
            if slot.state in (State.LOADED, State.DRAINING):
                self._remove(slot)

    def unloaded(self, slot: Slot) -> None:
        """The model that was to be unloaded is."""
        with self._changed:
            self._unloads += 1
            self._remove(slot)

    def claim_victim(self, slot: Slot, unloads: int, deadline: float) -> Slot | None:
        """The least recently used other model, once it is idle; the caller has to unload it.

        While none is idle, the least recently used one takes no new calls, so that it becomes so.
        None when another was unloaded meanwhile (there were ``unloads`` before), when there is no
        other in memory, or none is idle at the deadline. Only one thread at a time may ask.
        """
        with self._changed:
            draining = self._oldest_but(slot)
            if draining is not None:
                draining.state = State.DRAINING
            self._wait(lambda: self._unloads > unloads or not self._waiting_helps(slot), deadline)
            victim = self._oldest_but(slot)
            if draining is not None and draining.state is State.DRAINING:
                draining.state = State.LOADED
                self._changed.notify_all()
            if self._unloads > unloads or victim is None or victim.users:
                return None
            victim.state = State.LEAVING
            return victim

    # --- the caller holds ``_changed`` -----------------------------------------------------------

    def _wait(self, condition: Callable[[], bool], deadline: float) -> bool:
        return self._changed.wait_for(condition, max(0.0, deadline - time.monotonic()))

    def _takes_calls(self, target: str) -> bool:
        slot = self._by_target.get(target)
        return slot is None or slot.state in (State.LOADING, State.LOADED)

    def _oldest_but(self, slot: Slot) -> Slot | None:
        """The other loaded model to evict first: an idle one, or the least recently used."""
        held = (State.LOADED, State.DRAINING)
        others = [s for s in self._by_target.values() if s is not slot and s.state in held]
        return min(others, key=lambda s: (s.users > 0, s.used), default=None)

    def _waiting_helps(self, slot: Slot) -> bool:
        oldest = self._oldest_but(slot)
        if oldest is not None:
            return oldest.users > 0
        return any(s.state is State.LEAVING for s in self._by_target.values())

    def _remove(self, slot: Slot) -> None:
        slot.state = State.GONE
        del self._by_target[slot.target]
        self._changed.notify_all()
