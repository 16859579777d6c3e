"""Load on one URL: closed loop (wrk), open loop (openloop.c), single requests, pings."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers.base import ENVIRONMENTS, HERE, Peer

OPENLOOP = ENVIRONMENTS / "openloop"
HOST = "127.0.0.1"
PING_TIMEOUT_S = 2.0
"""The hosting platform gives a ping two seconds."""


@dataclass(frozen=True)
class Target:
    """A running peer and the sample it is asked for; ``folder`` holds the request's files."""

    peer: Peer
    port: int
    body: bytes
    folder: Path

    def ask(self, timeout_s: float = 30.0) -> list[float]:
        """The answer to the sample, over a new connection.

        Raises:
            OSError, http.client.HTTPException, ValueError: no answer, or not status 200.
        """
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout_s)
        try:
            headers = {"Content-Type": self.peer.content_type}
            connection.request("POST", self.peer.path, self.body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(f"status {response.status}: {content[:300]!r}")
        return self.peer.answer(content)

    def ping(self) -> float | None:
        """Seconds to a ping's 200 over a new connection; none if it took over two, or failed."""
        began = time.perf_counter()
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PING_TIMEOUT_S)
        try:
            connection.request("GET", self.peer.ping)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        spent = time.perf_counter() - began
        return spent if response.status == 200 and spent < PING_TIMEOUT_S else None


def closed_loop(target: Target, connections: int, seconds: float) -> dict[str, Any]:
    """wrk's figures: requests, seconds, refused (not 2xx/3xx), broken, p50/p99/max in ms."""
    body = target.folder / "body"
    body.write_bytes(target.body)
    script = str(HERE / "post.lua")
    url = f"http://{HOST}:{target.port}{target.peer.path}"
    flags = ["-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s"]
    done = subprocess.run(
        ["wrk", *flags, "-s", script, url, "--", target.peer.content_type, str(body)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def open_loop(target: Target, rate: float, seconds: float, connections: int = 64) -> dict[str, Any]:
    """Figures of requests that are due at ``rate`` per second; latency counts from when due."""
    request = target.folder / "request"
    request.write_bytes(
        f"POST {target.peer.path} HTTP/1.1\r\nHost: {HOST}:{target.port}\r\n"
        f"Content-Type: {target.peer.content_type}\r\nContent-Length: {len(target.body)}\r\n"
        "\r\n".encode()
        + target.body
    )
    given = [HOST, str(target.port), f"{rate:.3f}", f"{seconds:.3f}", str(connections)]
    done = subprocess.run(
        [str(OPENLOOP), *given, str(request)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def pings_under_load(target: Target, connections: int, seconds: float) -> dict[str, Any]:
    """Ping every 20 ms while wrk keeps ``connections`` requests waiting; times in ms."""
    times: list[float | None] = []
    over = threading.Event()

    def keep_pinging() -> None:
        time.sleep(0.3)  # until the queue is full
        while not over.is_set():
            times.append(target.ping())
            over.wait(0.02)

    thread = threading.Thread(target=keep_pinging)
    thread.start()
    try:
        load = closed_loop(target, connections, seconds)
    finally:
        over.set()
        thread.join()
    good = [t * 1e3 for t in times if t is not None]
    return {
        "pings": len(times),
        "failed": len(times) - len(good),
        "p50_ms": statistics.median(good) if good else None,
        "max_ms": max(good) if good else None,
        "load": load,
    }


def compile_openloop() -> None:
    """Build the generator with the C compiler."""
    OPENLOOP.parent.mkdir(exist_ok=True)
    source = str(HERE / "openloop.c")
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", str(OPENLOOP), source], check=True)
