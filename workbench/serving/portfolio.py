"""The models of a multi-model endpoint: fetched on first use, evicted when memory runs out.

Of one target there is at most one slot in the table. What changes the container's memory (load,
unload) happens under one lock, so an evicted model is gone before the same name is loaded again.
"""

from __future__ import annotations

import hashlib
import http.client
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.serving.answers import ApiError, model_error, not_ready, timed_out, validation_error
from workbench.serving.archives import Source
from workbench.serving.container import Answer, Container
from workbench.serving.metrics import Metrics

FULL = 507


@dataclass(eq=False)
class Slot:
    """One model on its way into memory, in it, or (when no longer in the table) on its way out."""

    target: str
    ready: threading.Event = field(default_factory=threading.Event)
    error: ApiError | None = None
    users: int = 0
    used: float = 0.0

    @property
    def name(self) -> str:
        """The opaque id under which the container knows the model (C9)."""
        return hashlib.sha256(self.target.encode()).hexdigest()[:32]

    @property
    def loaded(self) -> bool:
        """Whether it is in the container's memory."""
        return self.ready.is_set() and self.error is None


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
    ) -> None:
        """``folder`` is the container's models folder; not ``cached`` unloads after each call."""
        self._container, self._source, self._folder = container, source, folder
        self._invoke_s, self._load_s, self._cached = invoke_s, load_s, cached
        self._slots: dict[str, Slot] = {}
        self._changed = threading.Condition()
        self._memory = threading.Lock()
        self.metrics = Metrics(endpoint, self.loaded)

    def loaded(self) -> int:
        """How many models are in the container's memory."""
        with self._changed:
            return sum(slot.loaded for slot in self._slots.values())

    @contextmanager
    def use(self, target: str, deadline: float) -> Iterator[str]:
        """The container's name of a loaded model, which is not evicted meanwhile.

        Args:
            target: the archive.
            deadline: until when to wait for loading, on the monotonic clock.

        Raises:
            ApiError: the archive is refused, it does not load, or loads still at the deadline.
        """
        slot = self._enter(target)
        began = time.monotonic()
        try:
            if not slot.ready.wait(max(0.0, deadline - began)):
                raise not_ready(target)
            self.metrics.observe_seconds("ModelLoadingWaitTime", time.monotonic() - began)
            if slot.error is not None:
                raise slot.error
            yield slot.name
        finally:
            self._leave(slot)

    def make_room(self) -> bool:
        """Evict the least recently used model; false when there is none."""
        with self._memory:
            return self._evict()

    def forget(self, target: str) -> None:
        """Drop a model that the container says it does not have; the next call loads it."""
        with self._changed:
            slot = self._slots.get(target)
            if slot is not None and slot.loaded:
                del self._slots[target]
                self._changed.notify_all()

    def _enter(self, target: str) -> Slot:
        with self._changed:
            slot = self._slots.get(target)
            self.metrics.observe("ModelCacheHit", float(slot is not None and slot.loaded))
            if slot is None:
                slot = self._slots[target] = Slot(target)
                threading.Thread(target=self._load, args=(slot,), daemon=True).start()
            slot.users += 1
            slot.used = time.monotonic()
            return slot

    def _leave(self, slot: Slot) -> None:
        with self._changed:
            slot.users -= 1
            idle = slot.users == 0 and slot.loaded and self._slots.get(slot.target) is slot
            drop = idle and not self._cached
            if drop:
                del self._slots[slot.target]
            self._changed.notify_all()
        if drop:
            with self._memory:
                self._unload(slot)

    # --- in the loading thread -------------------------------------------------------------------

    def _load(self, slot: Slot) -> None:
        try:
            place = self._fetch(slot)
            with self._memory:
                self._post(slot, place)
        except ApiError as error:
            slot.error = error
        except WorkbenchError as error:
            slot.error = validation_error(f"Failed to get the model's data: {error}")
        except TimeoutError:
            slot.error = timed_out()
        except (OSError, http.client.HTTPException) as error:
            slot.error = model_error(0, f"The container cannot be reached: {error}")
        finally:
            with self._changed:
                if slot.error is not None:
                    self._slots.pop(slot.target, None)
                slot.ready.set()
                self._changed.notify_all()

    def _fetch(self, slot: Slot) -> Path:
        """The unpacked model; what was fetched once stays on disk."""
        place = self._folder / slot.name / "model"
        if place.is_dir():
            return place
        began = time.monotonic()
        staging = self._folder / f".{slot.name}"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        try:
            self._source.unpack(slot.target, staging)
            place.parent.mkdir(exist_ok=True)
            staging.rename(place)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        self.metrics.observe_seconds("ModelDownloadingTime", time.monotonic() - began)
        return place

    def _post(self, slot: Slot, place: Path) -> None:
        deadline = time.monotonic() + self._load_s
        while True:
            began = time.monotonic()
            left = deadline - began
            if left <= 0:
                raise timed_out()
            answer = self._container.load(slot.name, str(place), timeout=left)
            if answer.status in (200, 409):
                self.metrics.observe_seconds("ModelLoadingTime", time.monotonic() - began)
                return
            if answer.status != FULL or not self._evict():
                raise model_error(answer.status, answer.message)

    def _evict(self) -> bool:
        """Unload the least recently used model, an idle one if there is; waits for its users."""
        with self._changed:
            loaded = [slot for slot in self._slots.values() if slot.loaded]
            if not loaded:
                return False
            slot = min(loaded, key=lambda s: (s.users > 0, s.used))
            # Out of the table first: new requests for it queue as a fresh load behind this.
            del self._slots[slot.target]
            self._changed.wait_for(lambda: slot.users == 0, timeout=self._invoke_s)
        self._unload(slot)
        return True

    def _unload(self, slot: Slot) -> Answer:
        began = time.monotonic()
        answer = self._container.unload(slot.name, timeout=self._invoke_s)
        self.metrics.observe_seconds("ModelUnloadingTime", time.monotonic() - began)
        return answer
