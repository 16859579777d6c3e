"""The models of a multi-model endpoint: loaded at first use, evicted when memory runs out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.serving.answers import (
    ApiError,
    internal_failure,
    model_error,
    no_answer,
    timed_out,
    validation_error,
)
from workbench.serving.archives import Source
from workbench.serving.container import UNREACHABLE, Container
from workbench.serving.fetching import Fetched
from workbench.serving.metrics import Metrics
from workbench.serving.slots import Slot, Slots
from workbench.serving.unpacking import ArchiveError

NOT_FOUND, CONFLICT, FULL = 404, 409, 507
AGAIN_S = 0.05


class Portfolio:
    """Thread-safe; ``load_s`` and ``invoke_s`` are the platform's limits in seconds."""

    def __init__(
        self,
        container: Container,
        source: Source,
        folder: Path,
        *,
        invoke_s: float = 60.0,
        load_s: float = 360.0,
        cached: bool = True,
        endpoint: str = "endpoint",
        say: Callable[[str], None] = print,
    ) -> None:
        """``folder`` is the container's models folder; not ``cached`` unloads after each call."""
        self._slots = Slots()
        self.metrics = Metrics(endpoint, self._slots.loaded)
        self._container, self._say = container, say
        self._fetched = Fetched(source, folder, self.metrics)
        self._invoke_s, self._load_s, self._cached = invoke_s, load_s, cached
        # One load at a time: two that both wait for room would wait for each other.
        self._loading = threading.Lock()

    @contextmanager
    def use(self, target: str, deadline: float) -> Iterator[Slot]:
        """A loaded model, which is not evicted meanwhile.

        Args:
            target: the archive.
            deadline: until when to wait for loading, on the monotonic clock.

        Raises:
            ApiError: the archive is refused, it does not load, or loads still at the deadline.
        """
        began = time.monotonic()
        slot, hit = self._slots.enter(target, deadline, self._load)
        try:
            self.metrics.observe("ModelCacheHit", float(hit))
            self._slots.await_loaded(slot, deadline)
            self.metrics.observe_seconds("ModelLoadingWaitTime", time.monotonic() - began)
            yield slot
        finally:
            if self._slots.leave(slot, keep=self._cached):
                # The caller gets its answer at once; the model's next call waits for this.
                threading.Thread(target=self._unload, args=(slot,), daemon=True).start()

    def make_room(self, slot: Slot, deadline: float) -> bool:
        """Evict another model than ``slot``; false when there is none, or none becomes idle."""
        if not self._loading.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return False
        try:
            return self._evict(slot, self._slots.unloads, deadline)
        finally:
            self._loading.release()

    def forget(self, slot: Slot) -> None:
        """Drop a model that the container says it does not have; the next call loads it."""
        self._slots.forget(slot)

    def _load(self, slot: Slot) -> None:
        """Fetch and load a model, in a thread of its own; the slot takes the outcome."""
        try:
            place = self._fetched.fetch(slot.target, slot.name)
            with self._loading:
                self._post(slot, place)
                self._slots.settle(slot)
        except Exception as error:
            self._slots.settle(slot, _as_api_error(error))

    def _post(self, slot: Slot, place: Path) -> None:
        """Load it; when the container is full, evict another model and try again."""
        deadline = time.monotonic() + self._load_s
        while True:
            unloads, began = self._slots.unloads, time.monotonic()
            answer = self._container.load(slot.name, str(place), timeout=deadline - began)
            if answer.status == CONFLICT:
                self._await_listed(slot, deadline)
            if answer.status in (200, CONFLICT):
                self.metrics.observe_seconds("ModelLoadingTime", time.monotonic() - began)
                return
            # A call ends within its limit: a model that takes no new ones is idle by then.
            patience = time.monotonic() + self._invoke_s
            if answer.status != FULL or not self._evict(slot, unloads, patience):
                raise model_error(answer.status, answer.message)

    def _await_listed(self, slot: Slot, deadline: float) -> None:
        """The name is taken: by a loaded model, or one that a replaced worker loads again."""
        while True:
            left = deadline - time.monotonic()
            if self._container.describe(slot.name, timeout=left).status != NOT_FOUND:
                return
            time.sleep(AGAIN_S)

    def _evict(self, slot: Slot, unloads: int, deadline: float) -> bool:
        """Whether a model was unloaded since there were ``unloads``, by this call or another."""
        victim = self._slots.claim_victim(slot, unloads, deadline)
        if victim is not None:
            self._unload(victim)
        return self._slots.unloads > unloads

    def _unload(self, slot: Slot) -> None:
        """Unload a model; where that fails, say so and forget it all the same.

        The container answers 409 to its next load if it is still there.
        """
        began = time.monotonic()
        failure = "the emulator failed"
        try:
            answer = self._container.unload(slot.name, timeout=self._invoke_s)
            good = answer.status in (200, NOT_FOUND)
            failure = "" if good else f"{answer.status} {answer.message}"
        except UNREACHABLE as error:
            failure = str(error) or type(error).__name__
        finally:
            self._slots.unloaded(slot)
        if failure:
            self._say(f"The container did not unload {slot.target}: {failure[:200]}")
        else:
            self.metrics.observe_seconds("ModelUnloadingTime", time.monotonic() - began)


def _as_api_error(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case ArchiveError():
            return validation_error(f"Failed to get the model's data: {error}")
        case TimeoutError():
            return timed_out()
        case _ if isinstance(error, UNREACHABLE):
            return no_answer(error)
        case _:
            return internal_failure(f"{type(error).__name__}: {error}")
