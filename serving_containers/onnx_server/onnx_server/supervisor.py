"""The parent process: listens, forks the worker, and replaces it when it dies.

It imports neither numpy nor onnxruntime, so it stays at a few megabytes. It holds the listening
socket, so that connections wait rather than fail while a worker is replaced, and a memory file with
the names of the loaded models, which a new worker loads again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from types import FrameType

from onnx_server.logs import flush
from onnx_server.settings import BACKLOG, Settings

SHORT_LIFE_S = 5.0
"""A worker that dies sooner is replaced after a pause that grows."""
LONGEST_PAUSE_S = 5.0
CANNOT_START = 3


def supervise(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit code.

    Raises:
        OSError: the address cannot be had.
    """
    listener = socket.create_server(
        (settings.host, settings.port), backlog=BACKLOG,
        family=socket.AF_INET6 if ":" in settings.host else socket.AF_INET,
    )  # fmt: skip
    listener.setblocking(False)
    memory = os.memfd_create("models")
    state = _State()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, state.stop)
    pause = 0.0
    while not state.stopping():
        started = time.monotonic()
        state.child = _fork(settings, listener, memory)
        if state.stopping():  # the signal came between the last wait and this fork
            os.kill(state.child, signal.SIGTERM)
        _, status = os.waitpid(state.child, 0)
        state.child = 0
        code = os.waitstatus_to_exitcode(status)
        if state.stopping() or code == CANNOT_START:
            return max(code, 0)
        pause = min(2 * pause + 0.1, LONGEST_PAUSE_S) if _short(started) else 0.0
        _say(f'{{"event":"worker_died","level":"error","code":{code},"again_in_s":{pause:.1f}}}\n')
        time.sleep(pause)
    return 0


class _State:
    """What the signal handler and the loop share."""

    def __init__(self) -> None:
        self._stopping = False
        self.child = 0

    def stopping(self) -> bool:
        """Whether a signal asked for the end."""
        return self._stopping

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Pass the signal on; waitpid goes on waiting."""
        self._stopping = True
        if self.child:
            with contextlib.suppress(ProcessLookupError):  # it has just died
                os.kill(self.child, signal.SIGTERM)


def _short(started: float) -> bool:
    return time.monotonic() - started < SHORT_LIFE_S


def _fork(settings: Settings, listener: socket.socket, memory: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        _die_with_parent()
        from onnx_server import worker

        known = os.pread(memory, os.fstat(memory).st_size, 0)
        code = worker.run(
            settings, listener.fileno(), lambda content: _replace(memory, content), known
        )
    except BaseException as error:
        _say(f'{{"event":"worker_failed","level":"error","error":"{type(error).__name__}"}}\n')
        if os.environ.get("ONNX_SERVER_LOG_LEVEL") == "debug":
            raise
    finally:
        flush()  # why it ends may be the last line
        os._exit(code)


def _say(line: str) -> None:
    """A line of the log; a full disk or a pipe without a reader stops nothing."""
    with contextlib.suppress(OSError):
        os.write(2, line.encode())


def _replace(memory: int, content: bytes) -> None:
    os.ftruncate(memory, 0)
    os.pwrite(memory, content, 0)


def _die_with_parent() -> None:
    """A killed parent must leave no worker behind that holds the port (Linux's PDEATHSIG)."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
