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
from typing import IO

from workbench.errors import MissingError, StepError
from workbench.serving.container import Container

STOP_S = 30.0
"""Between SIGTERM and SIGKILL, as the platform waits."""


class ServerProcess:
    """``python -m onnx_server`` with its log on this process's standard error.

    The process has a session of its own, so that Ctrl-C reaches only the parent, which then stops
    it in order.
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
        """
        if importlib.util.find_spec("onnx_server") is None:
            raise MissingError(
                "The model server (package onnx_server) is not installed.",
                hint="pip install 'serving_containers/onnx_server[text,image]'",
            )
        reachable = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        self.container = Container(reachable, port)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "onnx_server", *arguments, "--host", host, "--port", str(port)],
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
            StepError: it has ended.
        """
        code = self._process.poll()
        if code is not None:
            raise StepError(
                f"The model server ended with exit code {code}.",
                hint="Its log above says why.",
            )

    def wait_ready(self, seconds: float = 480.0, *, stopped: threading.Event | None = None) -> None:
        """Wait until ``/ping`` answers 200; the default is the platform's start-up limit.

        Returns early when ``stopped`` is set.

        Raises:
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

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to its group when it has not ended 30 s later."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
