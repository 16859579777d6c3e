"""A client of the container's HTTP interface (hosting contract C11 to C22)."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

PING_S = 2.0
"""What the contract allows for one answer of ``/ping``."""
UNREACHABLE = (OSError, http.client.HTTPException)
"""What every call but ``ping`` raises when there is no answer; TimeoutError is an OSError."""


@dataclass(frozen=True)
class Answer:
    """Status, headers (lower case) and body of one reply."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """The ``error`` of a JSON error body, else the body as text."""
        try:
            return str(json.loads(self.body)["error"])
        except (ValueError, KeyError, TypeError):
            return self.body.decode("utf-8", "replace")


class Container:
    """A running container; every call opens a connection of its own, so it is thread-safe.

    A call raises one of ``UNREACHABLE`` when the container does not answer, TimeoutError among them
    when its answer is not whole within ``timeout`` seconds.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port

    @property
    def url(self) -> str:
        """Base URL."""
        return base_url(self._host, self._port)

    def ping(self) -> bool:
        """Whether ``/ping`` answers 200 within two seconds."""
        try:
            return self.call("GET", "/ping", timeout=PING_S).status == 200
        except UNREACHABLE:
            return False

    def load(self, name: str, url: str, *, timeout: float) -> Answer:
        """``POST /models``: load the model that lies in the folder ``url``."""
        body = json.dumps({"model_name": name, "url": url}).encode()
        headers = {"Content-Type": "application/json"}
        return self.call("POST", "/models", body, headers, timeout=timeout)

    def describe(self, name: str, *, timeout: float) -> Answer:
        """``GET /models/{name}``: 404 as long as it is not loaded."""
        return self.call("GET", _model_path(name), timeout=timeout)

    def unload(self, name: str, *, timeout: float) -> Answer:
        """``DELETE /models/{name}``: answered when the memory is free."""
        return self.call("DELETE", _model_path(name), timeout=timeout)

    def invoke(
        self, name: str | None, body: bytes, headers: Mapping[str, str], *, timeout: float
    ) -> Answer:
        """Ask a model, or the only one when ``name`` is none."""
        path = "/invocations" if name is None else f"{_model_path(name)}/invoke"
        return self.call("POST", path, body, headers, timeout=timeout)

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float,
    ) -> Answer:
        """One request; the answer must be whole within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        if timeout <= 0:
            raise TimeoutError("no time is left")
        connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        try:
            connection.request(method, path, body, dict(headers or {}))
            # The connection lets go of its socket when the answer is to be its last.
            wire = connection.sock
            reply = connection.getresponse()
            received = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, _read(reply, wire, deadline), received)
        finally:
            connection.close()


def base_url(host: str, port: int) -> str:
    """``http://HOST:PORT`` as this machine reaches it; an IPv6 address in brackets."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _model_path(name: str) -> str:
    return f"/models/{quote(name, safe='')}"


def _read(reply: http.client.HTTPResponse, wire: socket.socket, deadline: float) -> bytes:
    """The body; the socket's own limit would begin anew with every part of it."""
    parts = []
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer was not whole in time")
        wire.settimeout(left)
        part = reply.read1(1 << 20)
        if not part:
            break
        parts.append(part)
    if reply.length:
        raise http.client.IncompleteRead(b"".join(parts), reply.length)
    return b"".join(parts)
