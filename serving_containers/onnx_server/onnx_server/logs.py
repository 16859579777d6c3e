"""Log lines on stderr, one JSON object each, written by a thread of their own.

A full pipe must not stop the server: what does not fit into the bounded queue is dropped, and a
line tells how many. ``ONNX_SERVER_LOG_LEVEL`` (debug, info, warning, error) says what is written;
the platform's numeric ``SAGEMAKER_CONTAINER_LOG_LEVEL`` (10 … 40) counts when it is not set.
At the default level, info, a request is written only when it failed or was slow.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
SLOW_S = 1.0
"""A request that takes longer is written at level warning."""
QUEUE = 4096
CHARACTERS = 1024
"""Longest text in a line, save that of an exception."""
EXCEPTION_CHARACTERS = 16_384
FAILURES_A_SECOND = 20
"""Failed requests written in a second: a client that sends nonsense must not fill the disk."""


class Log:
    """Lines to a file descriptor; safe to call from any thread, never waits."""

    def __init__(self, descriptor: int, level: str) -> None:
        self.level = LEVELS[level]
        self._descriptor = descriptor
        self._second = 0
        self._failures = 0
        self._start()

    def reset(self) -> None:
        """Begin anew in a forked process, which has no thread yet and owes no lines."""
        self._start()

    def _start(self) -> None:
        self.dropped = 0
        """Lines that did not fit into the queue, told of or not yet."""
        self._dropping = threading.Lock()
        self._told = 0
        self._lines: queue.SimpleQueue[bytes | threading.Event] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def write(self, event: str, level: str, fields: Mapping[str, Any]) -> None:
        """Queue a line, if its level is written."""
        if LEVELS[level] < self.level:
            return
        if self._lines.qsize() >= QUEUE:
            with self._dropping:
                self.dropped += 1
            return
        self._lines.put(_line(event, level, fields))
        if self._thread is None:
            self._run()

    def may_write_failure(self) -> bool:
        """Whether one more failed request may be written in this second."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._failures = second, 0
        self._failures += 1
        return self._failures <= FAILURES_A_SECOND

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was queued is written; False when that took too long."""
        if self._thread is None:
            return True
        written = threading.Event()
        self._lines.put(written)
        return written.wait(timeout_s)

    def _run(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_all, name="logs", daemon=True)
                self._thread.start()

    def _write_all(self) -> None:
        while True:
            item = self._lines.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            if lost := self.dropped - self._told:
                self._told += lost
                item += _line("log_lines_dropped", "warning", {"count": lost})
            self._write(item)

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # somebody who shares the pipe made it non-blocking
                time.sleep(0.01)
            except OSError:  # closed or broken: there is nobody to tell
                return


def log(event: str, *, level: str = "info", **fields: Any) -> None:
    """Write a line: ``event`` is a fixed word, ``fields`` what there is to know.

    Texts from clients may hold anything, they cannot forge a line; bytes are only counted, so that
    no body gets into a log.
    """
    _log.write(event, level, fields)


def log_request(
    *, method: str, path: str, status: int, seconds: float, request_id: str, **fields: Any
) -> None:
    """Write that a request was answered.

    At level warning when it failed (4xx, 5xx; at most 20 lines a second) or took longer than a
    second, else at debug. ``fields`` may hold ``model``, ``custom_attributes``, ``inference_id``.
    """
    failed = status >= 400
    level = "warning" if failed or seconds > SLOW_S else "debug"
    if LEVELS[level] < _log.level or (failed and not _log.may_write_failure()):
        return
    _log.write("request", level, {
        "request_id": request_id, "method": method, "path": path, "status": status,
        "ms": round(seconds * 1000, 3), **fields,
    })  # fmt: skip


def flush(timeout_s: float = 1.0) -> bool:
    """Wait until all lines are written, as before ``os._exit``; False when that took too long."""
    return _log.flush(timeout_s)


def level_of(environment: Mapping[str, str]) -> str:
    """The level that the environment asks for.

    Raises:
        ValueError: ``ONNX_SERVER_LOG_LEVEL`` or ``SAGEMAKER_CONTAINER_LOG_LEVEL`` is no level.
    """
    if (name := environment.get("ONNX_SERVER_LOG_LEVEL", "")) != "":
        if name.lower() not in LEVELS:
            raise ValueError(f"ONNX_SERVER_LOG_LEVEL is '{name}'; it may be {', '.join(LEVELS)}.")
        return name.lower()
    if (number := environment.get("SAGEMAKER_CONTAINER_LOG_LEVEL", "")) != "":
        if not number.isdecimal():
            raise ValueError(f"SAGEMAKER_CONTAINER_LOG_LEVEL is '{number}'; it must be a number.")
        return next((n for n, least in LEVELS.items() if int(number) <= least), "error")
    return "info"


def configure(environment: Mapping[str, str] = os.environ) -> None:
    """Take the level from the environment.

    Raises:
        ValueError: it names no level.
    """
    _log.level = LEVELS[level_of(environment)]


def _line(event: str, level: str, fields: Mapping[str, Any]) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"time": now, "level": level, "event": event}
    for name, value in fields.items():
        most = EXCEPTION_CHARACTERS if name == "exception" else CHARACTERS
        line[_text(name, CHARACTERS)] = _plain(value, most)
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _plain(value: Any, most: int) -> Any:
    """A value that orjson takes, its texts short and without invisible characters."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else str(value)[:most]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if isinstance(value, list | tuple):
        return [_plain(item, most) for item in value[:100]]
    if isinstance(value, Mapping):
        return {_text(str(key), most): _plain(item, most) for key, item in value.items()}
    return _text(str(value), most)


def _text(text: str, most: int) -> str:
    """Cut, and with escapes for what JSON leaves as it is but terminals and readers of lines obey.

    That is DEL, C1 controls, line separators, changes of direction and halves of surrogate pairs.
    """
    text = text[:most]
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c < " " else c.encode("unicode_escape").decode() for c in text
    )


_log = Log(2, "info")
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_log.reset)
atexit.register(flush)
