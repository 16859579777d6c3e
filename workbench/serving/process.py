"""The model server as a process of its own: start, wait until it answers, stop."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from workbench.errors import InputError, MissingError, StepError
from workbench.serving.container import Container

STOP_S = 30.0
"""Between SIGTERM and SIGKILL, as the platform waits."""
WATCH_S = 0.5
REFUSED = 2
"""The server's exit code where its options or settings are wrong."""


class ServerProcess:
    """``python -m onnx_server`` with its log on this process's standard error.

    The process has a session of its own, so that Ctrl-C reaches only the parent, which then stops
    it in order. On Linux it is stopped as well when the thread that started it ends, even by
    SIGKILL to its process.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        environment: Mapping[str, str] | None = None,
        log: IO[bytes] | None = None,
    ) -> None:
        """Start it.

        Args:
            arguments: what follows ``python -m onnx_server``, without host and port.
            host: address to listen on.
            port: port to listen on.
            environment: added to this process's environment.
            log: where its log goes; none: this process's standard error.

        Raises:
            MissingError: the package ``onnx_server`` is not installed.
            InputError: the port cannot be had.
        """
        if importlib.util.find_spec("onnx_server") is None:
            raise MissingError(
                "The model server (package onnx_server) is not installed.",
                hint="pip install 'serving_containers/onnx_server[text,image]'",
            )
        # Else another server on that port would be taken for this one.
        check_port(host, port)
        self.container = Container(host, port)
        command = [sys.executable, "-m", "onnx_server", *arguments]
        self._process = subprocess.Popen(
            [*_tether(), *command, "--host", host, "--port", str(port)],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Base URL."""
        return self.container.url

    def check_alive(self) -> None:
        """Refuse a process that has ended.

        Raises:
            InputError: it refused its settings.
            StepError: it has ended otherwise.
        """
        code = self._process.poll()
        if code == REFUSED:
            raise InputError(
                "The model server refused its settings.", hint="Its message above says why."
            )
        if code is not None:
            how = f"ended with exit code {code}" if code >= 0 else f"was killed by signal {-code}"
            why = "Its log above may say why."
            if code == -signal.SIGKILL:
                why = "The system does so when memory runs out."
            raise StepError(f"The model server {how}.", hint=why)

    def wait_ready(self, seconds: float = 480.0, *, stopped: threading.Event | None = None) -> None:
        """Wait until ``/ping`` answers 200; the default is the platform's start-up limit.

        Returns early when ``stopped`` is set.

        Raises:
            InputError: the process refused its settings.
            StepError: the process ended, or did not answer in time.
        """
        deadline = time.monotonic() + seconds
        while stopped is None or not stopped.is_set():
            self.check_alive()
            if self.container.ping():
                return
            if time.monotonic() > deadline:
                raise StepError(f"The model server did not answer /ping within {seconds:.0f} s.")
            time.sleep(0.05)

    def watch(self, stopped: threading.Event) -> None:
        """Wait until ``stopped`` is set.

        Raises:
            StepError: the process ends before. A worker of it that ends is replaced by itself.
        """
        while not stopped.wait(WATCH_S):
            self.check_alive()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to its group when it has not ended 30 s later."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def check_port(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on now.

    Raises:
        InputError: so it is.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise cannot_listen(host, port, error) from error


def cannot_listen(host: str, port: int, error: OSError) -> InputError:
    """The error for an address that is taken, not of this machine, or not allowed."""
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return InputError(
        f"{host}:{port} cannot be listened on: {reason}.",
        hint="Choose another --port (0 takes a free one) or --host.",
    )


def _tether() -> list[str]:
    """The words before a command that is to end with this process; only Linux can."""
    if sys.platform != "linux":
        return []
    # Isolated (-I): else this folder's modules would hide those of the standard library.
    script = Path(__file__).with_name("tether.py")
    return [sys.executable, "-IS", str(script), str(os.getpid())]
