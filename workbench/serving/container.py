"""A client of the container's HTTP interface (hosting contract C11 to C22)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

PING_S = 2.0
"""What the contract allows for one answer of ``/ping``."""


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

    All calls but ``ping`` raise OSError or http.client.HTTPException when the container cannot be
    reached, TimeoutError (an OSError) when it does not answer in time.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://{self._host}:{self._port}"

    def ping(self) -> bool:
        """Whether ``/ping`` answers 200 within two seconds."""
        try:
            return self.call("GET", "/ping", timeout=PING_S).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def load(self, name: str, url: str, *, timeout: float) -> Answer:
        """``POST /models``: load the model that lies in the folder ``url``."""
        body = json.dumps({"model_name": name, "url": url}).encode()
        headers = {"Content-Type": "application/json"}
        return self.call("POST", "/models", body, headers, timeout=timeout)

    def unload(self, name: str, *, timeout: float) -> Answer:
        """``DELETE /models/{name}``: answered when the memory is free."""
        return self.call("DELETE", f"/models/{quote(name, safe='')}", timeout=timeout)

    def invoke(
        self, name: str | None, body: bytes, headers: Mapping[str, str], *, timeout: float
    ) -> Answer:
        """Ask a model, or the only one when ``name`` is none."""
        path = "/invocations" if name is None else f"/models/{quote(name, safe='')}/invoke"
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
        """One request; ``timeout`` in seconds, for connecting and for every wait on the socket."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        try:
            connection.request(method, path, body, dict(headers or {}))
            reply = connection.getresponse()
            received = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, reply.read(), received)
        finally:
            connection.close()
