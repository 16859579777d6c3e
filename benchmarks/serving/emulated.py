"""``workbench serve --platform`` as a process, and the memory of the server behind it."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from processes import Server, rollup_bytes

CALL_S = 70.0
"""The emulator answers within 60 s."""
SAMPLE_S = 0.01
TARGET = "X-Amzn-SageMaker-Target-Model"


@dataclass
class Emulator:
    """A running emulator; ``peak`` is the most that the server held since it was last reset."""

    server: Server
    host: str
    path: str
    worker: int
    peak: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def invoke(self, target: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of one InvokeEndpoint, over a new connection."""
        connection = http.client.HTTPConnection(self.host, timeout=CALL_S)
        try:
            headers = {"Content-Type": "application/json", TARGET: target}
            connection.request("POST", self.path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def metrics(self) -> dict[str, float]:
        """The platform's figures, by the name of the series without its labels."""
        connection = http.client.HTTPConnection(self.host, timeout=CALL_S)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        lines = [line.rpartition(" ") for line in text.splitlines() if line[:1] not in ("#", "")]
        return {name.partition("{")[0]: float(value) for name, _, value in lines}

    def held(self) -> int:
        """Anonymous memory of the worker: what the server itself counts against its limit."""
        return rollup_bytes(self.worker, "Anonymous")

    def crashed(self) -> bool:
        """Whether the worker that was there at the beginning is there no more."""
        return self.worker not in self.server.processes()

    def sample(self) -> None:
        """Keep the peak, every 10 ms."""
        while not self._over.wait(SAMPLE_S):
            self.peak = max(self.peak, self.held())


@contextlib.contextmanager
def emulated(archives: Path, folder: Path, limit: int | None = None) -> Iterator[Emulator]:
    """An emulator of a multi-model endpoint over a folder of archives, its log in ``folder``."""
    command = [sys.executable, "-m", "workbench", "serve", "--platform", "--json", "--port", "0"]
    command += ["--models", str(archives)]
    if limit is not None:
        command += ["--env", f"ONNX_SERVER_MEMORY_LIMIT_BYTES={limit}"]
    log = folder / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    server = Server(process, log)
    try:
        assert process.stdout is not None
        told: dict[str, Any] = json.loads(process.stdout.readline())
        place = urlsplit(told["url"])
        found = Emulator(server, place.netloc, "/endpoints/endpoint/invocations", _worker(server))
        thread = threading.Thread(target=found.sample)
        thread.start()
        try:
            yield found
        finally:
            found._over.set()
            thread.join()
    finally:
        server.stop()


def _worker(server: Server) -> int:
    """The process of the server that holds the models: of all that run it, the largest."""
    time.sleep(0.5)
    others = [pid for pid in server.processes() if pid != server.process.pid]
    running = [pid for pid in others if b"onnx_server" in _command(pid)]
    return max(running, key=lambda pid: rollup_bytes(pid, "Anonymous"))


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
