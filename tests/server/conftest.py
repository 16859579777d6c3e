from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest


class Running:
    """A server process and a way to ask it."""

    def __init__(self, process: subprocess.Popen, port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def ask(self, method: str, path: str, body: bytes | None = None, timeout=30, **headers: str):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            names = {k.replace("_", "-"): v for k, v in headers.items()}
            connection.request(method, path, body, names)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, value=None, **headers: str):
        body = None if value is None else json.dumps(value).encode()
        status, _, content = self.ask(
            method, path, body, content_type="application/json", **headers
        )
        return status, json.loads(content) if content else None

    def worker(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def events(self) -> list[dict]:
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if not line.startswith('time="')]  # podman's

    def wait(self, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if self.ask("GET", "/ping", timeout=2)[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"no /ping within {seconds} s:\n{self.log.read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(tmp: Path, *arguments: str, wait: bool = True, **settings: str):
    port, log = free_port(), tmp / f"server-{time.time_ns()}.log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ONNX_SERVER_")}
    environment |= {f"ONNX_SERVER_{k.upper()}": v for k, v in settings.items()}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "onnx_server", *arguments, "--port", str(port)],
            stderr=file,
            env=environment,
        )
    server = Running(process, port, log)
    try:
        if wait:
            server.wait()
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def serve(tmp_path):
    """Start servers that end with the test: ``serve("--model", folder, max_queue="4")``."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda *a, **s: stack.enter_context(running(tmp_path, *map(str, a), **s))
