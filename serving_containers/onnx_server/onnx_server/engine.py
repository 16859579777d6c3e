"""Runs inferences: queues per model, dynamic batches, lanes of threads, fairness and deadlines.

All state is touched on the event loop only; lanes run feeds and post the outputs back. A request
that finds a free lane runs at once. Those that wait together run together, as far as the model's
measured batch curve says that it pays. What takes less time than handing it to a lane and back runs
on the loop itself.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from onnx_server.errors import (
    DeadlineExceeded,
    ModelError,
    NotFound,
    Overloaded,
    ServerError,
    Unavailable,
)
from onnx_server.metrics import Metrics
from onnx_server.model import Feed, Model

SHORT_S = 0.0001
"""An inference that takes less CPU time runs on the event loop: a lane would cost as much again."""
FORGET = 0.01
"""Weight of a new count in the peak, where it is smaller."""
ENOUGH = 0.8
"""Share of the expected requests that need not wait for the rest."""
PATIENCE = 0.15
"""Longest wait for more, as a share of what the batch will take."""
AHEAD = 1
"""Batches that are handed over before a lane is free, so that none waits for the loop's turn."""


@dataclass(slots=True, eq=False)
class Work:
    """One request's rows, waiting for their turn."""

    feed: Feed
    rows: int
    bucket: Any
    future: asyncio.Future[Feed]
    queued: float
    deadline: float


@dataclass(slots=True, eq=False)
class Line:
    """The queue of one model.

    ``inside`` requests wait or run; ``peak`` is the most of late. ``closed`` once the model is
    being unloaded: nothing more may be asked of it.
    """

    name: str
    model: Model
    waiting: deque[Work] = field(default_factory=deque)
    listed: bool = False
    running: int = 0
    closed: bool = False
    inside: int = 0
    peak: float = 0.0
    held_until: float | None = None
    timer: asyncio.TimerHandle | None = None


class Engine:
    """``lanes`` threads that run batches of the models' queues in turn."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        metrics: Metrics,
        *,
        lanes: int,
        max_queue: int,
        max_delay_s: float,
    ) -> None:
        self._loop = loop
        self._metrics = metrics
        self._max_queue = max_queue
        self._max_delay_s = max_delay_s
        self._lanes = self._free = lanes
        self._ready: deque[Line] = deque()
        self._jobs: queue.SimpleQueue[tuple[Line, list[Work]] | None] = queue.SimpleQueue()
        self._draining = False
        self.waiting = 0
        self.running = 0
        for number in range(lanes):
            threading.Thread(target=self._lane, name=f"lane-{number}", daemon=True).start()

    async def submit(self, line: Line, feed: Feed, rows: int, deadline: float) -> Feed:
        """Outputs by name for a checked feed, once it has had its turn.

        Raises:
            Overloaded: the model's queue is full.
            NotFound: the model was unloaded.
            Unavailable: the server is shutting down, or the model is being unloaded.
            DeadlineExceeded: its turn did not come by ``deadline`` (``time.monotonic``).
            ModelError: the model failed.
        """
        if self._draining:
            raise Unavailable("The server is shutting down.", retry_after_s=1)
        if line.closed:
            raise NotFound(f"The model '{line.name[:100]}' is no longer loaded.")
        bucket = line.model.bucket(feed)
        if not line.waiting and self._is_short(line.model, bucket, rows):
            return self._run_here(line, feed, rows, bucket)
        if len(line.waiting) >= self._max_queue:
            self._metrics.rejected("queue_full")
            wait = self._patience(line)
            raise Overloaded("The queue of this model is full.", retry_after_s=wait)
        future: asyncio.Future[Feed] = self._loop.create_future()
        line.waiting.append(Work(feed, rows, bucket, future, time.monotonic(), deadline))
        self.waiting += 1
        if not line.listed:
            line.listed = True
            self._ready.append(line)
        line.inside += 1
        line.peak = max(line.inside, line.peak + FORGET * (line.inside - line.peak))
        self._dispatch()
        try:
            return await future
        finally:
            line.inside -= 1

    def drain(self) -> None:
        """Refuse what waits and what comes; what runs goes on."""
        self._draining = True
        while self._ready:
            self._clear(self._ready.popleft())

    def shut(self, line: Line) -> None:
        """Refuse what waits for a model and what comes."""
        line.closed = True
        self._clear(line)

    def _clear(self, line: Line) -> None:
        while line.waiting:
            work = line.waiting.popleft()
            self.waiting -= 1
            _fail(work, Unavailable("The model is being unloaded or the server is stopping.",
                                    retry_after_s=1))  # fmt: skip

    def close(self) -> None:
        """Let the lanes end."""
        for _ in range(16):
            self._jobs.put(None)

    # --- on the loop -----------------------------------------------------------------------------

    def _is_short(self, model: Model, bucket: Any, rows: int) -> bool:
        expected = model.curve(bucket).seconds(rows)
        return expected is not None and expected < SHORT_S

    def _run_here(self, line: Line, feed: Feed, rows: int, bucket: Any) -> Feed:
        result, took, cost = _timed(line.model, [feed])
        line.model.curve(bucket).observe(rows, cost)
        if isinstance(result, ServerError):
            raise result
        self._metrics.queued(line.name, 0.0)
        self._metrics.inferred(line.name, took, rows)
        return result

    def _dispatch(self) -> None:
        held: list[Line] = []
        while self._free > -AHEAD and self._ready:
            line = self._ready.popleft()
            if self._holds(line) if self._free > 0 else self._gathers(line):
                held.append(line)
                continue
            batch = self._take(line)
            if line.waiting:
                self._ready.append(line)  # the next model's turn comes first
            else:
                line.listed = False
            if batch:
                self._free -= 1
                self.running += 1
                line.running += 1
                self._jobs.put((line, batch))
        self._ready.extendleft(reversed(held))

    def _holds(self, line: Line) -> bool:
        """Whether to wait a moment for more: only while requests have been coming together.

        Clients that were just answered come back with their next request, for which the loop needs
        a moment. An idle model's request never waits: its peak is one.
        """
        if not self._max_delay_s or not line.model.batches or not line.waiting:
            return False
        share, count = self._share(line), len(line.waiting)
        if share < 2 or count >= ENOUGH * share:
            line.held_until = None
            return False
        now = time.monotonic()
        if line.held_until is None:
            curve = line.model.curve(line.waiting[0].bucket)
            wanted = curve.best(share)
            expected = curve.seconds(wanted)
            if expected is None or wanted < 2 or count >= ENOUGH * wanted:
                return False
            line.held_until = now + min(self._max_delay_s, PATIENCE * expected)
        if line.held_until <= now:
            line.held_until = None
            return False
        if line.timer is None:
            line.timer = self._loop.call_later(line.held_until - now, self._released, line)
        return True

    def _gathers(self, line: Line) -> bool:
        """Whether a batch that no lane is free for yet may still grow."""
        if not line.model.batches or not line.waiting:
            return False
        return len(line.waiting) < ENOUGH * self._share(line)

    def _share(self, line: Line) -> int:
        """Requests of a batch when those that come at a time are dealt out evenly."""
        return math.ceil(line.peak / (self._lanes + AHEAD))

    def _released(self, line: Line) -> None:
        line.timer = None
        self._dispatch()

    def _take(self, line: Line) -> list[Work]:
        """The next batch: the oldest request and those that fit beside it."""
        now = time.monotonic()
        waiting, model = line.waiting, line.model
        while waiting and (waiting[0].deadline < now or waiting[0].future.done()):
            self._expire(waiting.popleft())
        if not waiting:
            return []
        first = waiting.popleft()
        batch = [first]
        if model.batches and waiting:
            rows = first.rows + sum(w.rows for w in waiting if w.bucket == first.bucket)
            room = model.curve(first.bucket).best(rows) - first.rows
            left: list[Work] = []
            share = self._share(line)
            while waiting and room > 0 and len(batch) < share:
                work = waiting.popleft()
                if work.deadline < now or work.future.done():
                    self._expire(work)
                elif work.bucket == first.bucket and work.rows <= room:
                    batch.append(work)
                    room -= work.rows
                else:
                    left.append(work)
            waiting.extendleft(reversed(left))
        self.waiting -= len(batch)
        for work in batch:
            self._metrics.queued(line.name, now - work.queued)
        return batch

    def _expire(self, work: Work) -> None:
        self.waiting -= 1
        self._too_late(work)

    def _too_late(self, work: Work) -> None:
        if not work.future.done():
            self._metrics.rejected("deadline")
            _fail(work, DeadlineExceeded("The request waited longer than it may."))

    def _done(
        self,
        line: Line,
        batch: list[Work],
        late: list[Work],
        result: Feed | ServerError,
        took: float,
        cost: float,
    ) -> None:
        for work in late:
            self._too_late(work)
        self._free += 1
        self.running -= 1
        line.running -= 1
        if isinstance(result, ServerError):
            self._failed(line, batch, result)
        elif batch:
            rows = sum(work.rows for work in batch)
            line.model.curve(batch[0].bucket).observe(rows, cost)
            self._metrics.inferred(line.name, took, rows)
            self._deliver(batch, result)
        self._dispatch()

    def _deliver(self, batch: list[Work], outputs: Feed) -> None:
        if len(batch) == 1:
            _give(batch[0], outputs)
            return
        start = 0
        for work in batch:
            end = start + work.rows
            _give(work, {name: array[start:end] for name, array in outputs.items()})
            start = end

    def _failed(self, line: Line, batch: list[Work], error: ServerError) -> None:
        """One bad request must not fail its neighbours: they run again, each alone."""
        if len(batch) == 1:
            _fail(batch[0], error)
            return
        for work in reversed(batch):
            line.waiting.appendleft(work)
            work.bucket = object()  # equal to no other
        self.waiting += len(batch)
        if not line.listed:
            line.listed = True
            self._ready.append(line)

    def _patience(self, line: Line) -> float:
        first = line.waiting[0] if line.waiting else None
        cost = line.model.curve(first.bucket).seconds(1) if first else None
        return max(1.0, round((cost or 0.01) * len(line.waiting)))

    # --- in a lane -------------------------------------------------------------------------------

    def _lane(self) -> None:
        while (job := self._jobs.get()) is not None:
            line, batch = job
            now, late = time.monotonic(), []
            if any(work.deadline < now for work in batch):  # while it was ahead of its lane
                late = [work for work in batch if work.deadline < now]
                batch = [work for work in batch if work.deadline >= now]
            result, took, cost = _timed(line.model, [work.feed for work in batch])
            self._loop.call_soon_threadsafe(self._done, line, batch, late, result, took, cost)
            del job, line, batch, late, result  # an idle lane keeps no model alive


def _timed(model: Model, feeds: list[Feed]) -> tuple[Feed | ServerError, float, float]:
    """The outputs or what went wrong, the seconds that took, and those of the model's clock."""
    if not feeds:
        return {}, 0.0, 0.0
    start, begun = time.perf_counter(), model.clock()
    result: Feed | ServerError
    try:
        result = model.run(feeds[0] if len(feeds) == 1 else model.join(feeds))
    except ServerError as error:
        result = error
    except Exception as error:
        result = ModelError(f"The model failed: {type(error).__name__}.")
    return result, time.perf_counter() - start, model.clock() - begun


def _give(work: Work, outputs: Feed) -> None:
    if not work.future.done():
        work.future.set_result(outputs)


def _fail(work: Work, error: ServerError) -> None:
    if not work.future.done():
        work.future.set_exception(error)
