"""Load on one URL: closed loop (wrk), open loop (openloop.c), single requests, pings."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers.base import ENVIRONMENTS, HERE, JSON

OPENLOOP = ENVIRONMENTS / "openloop"
HOST = "127.0.0.1"
PING_TIMEOUT_S = 2.0
"""The hosting platform gives a ping two seconds."""
PING_EVERY_S = 0.02


@dataclass(frozen=True)
class Target:
    """A path of a running server and the body to post; ``folder`` takes the generators' files."""

    port: int
    path: str
    body: bytes
    folder: Path
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, timeout_s: float = 30.0) -> bytes:
        """The body of the answer, over a new connection.

        Raises:
            OSError, http.client.HTTPException, ValueError: no answer, or not status 200.
        """
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout_s)
        try:
            headers = {"Content-Type": self.content_type, **self.headers}
            connection.request("POST", self.path, self.body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(f"status {response.status}: {content[:300]!r}")
        return content


def closed_loop(
    target: Target, connections: int, seconds: float, paths: Sequence[str] = ()
) -> dict[str, Any]:
    """wrk's figures: requests, seconds, refused (not 2xx/3xx), broken, p50/p99/max in ms.

    ``paths`` are asked in their order, again and again; without them the target's is asked.
    """
    body = target.folder / "body"
    body.write_bytes(target.body)
    given = [target.content_type, str(body)]
    if paths:
        listed = target.folder / "paths"
        listed.write_text("\n".join(paths) + "\n")
        given.append(str(listed))
    url = f"http://{HOST}:{target.port}{target.path}"
    flags = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    done = subprocess.run(
        ["wrk", *flags, "-s", str(HERE / "post.lua"), url, "--", *given],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def open_loop(
    target: Target, rate: float, seconds: float, seed: int, connections: int = 64
) -> dict[str, Any]:
    """Figures of requests that are due at random, ``rate`` a second; see openloop.c."""
    request = target.folder / "request"
    request.write_bytes(
        f"POST {target.path} HTTP/1.1\r\nHost: {HOST}:{target.port}\r\n"
        f"Content-Type: {target.content_type}\r\nContent-Length: {len(target.body)}\r\n"
        "\r\n".encode()
        + target.body
    )
    given = [HOST, str(target.port), f"{rate:.3f}", f"{seconds:.3f}", str(connections)]
    done = subprocess.run(
        [str(OPENLOOP), *given, str(request), str(seed)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def ping(port: int, path: str) -> float | None:
    """Seconds to a ping's 200 over a new connection; none if it took over two, or failed."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection(HOST, port, timeout=PING_TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    spent = time.perf_counter() - began
    return spent if response.status == 200 and spent < PING_TIMEOUT_S else None


def pings_under_load(target: Target, path: str, connections: int, seconds: float) -> dict[str, Any]:
    """Ping every 20 ms while wrk keeps ``connections`` requests waiting; times in ms."""
    times: list[float | None] = []
    over = threading.Event()

    def keep_pinging() -> None:
        time.sleep(0.5)  # until the queue is full
        while not over.is_set():
            times.append(ping(target.port, path))
            over.wait(PING_EVERY_S)

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
    flags = ["-O2", "-Wall", "-Wextra"]
    subprocess.run(["cc", *flags, "-o", str(OPENLOOP), source, "-lm"], check=True)
