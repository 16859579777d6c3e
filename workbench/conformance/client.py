"""A small HTTP/1.1 client that can also misbehave: it says what it saw and when."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 70.0
"""The platform's clients are told to wait at least this long."""


@dataclass(frozen=True)
class Answer:
    """A response; ``headers`` have lower-case names, ``seconds`` counts from before connecting."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        """The body as text; what is not UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")

    @property
    def content_type(self) -> str:
        """The content type without its parameters, lower case; empty when there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """The body as JSON, or none where it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Client:
    """Requests to one base URL, each on a connection of its own."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.secure = parts.scheme == "https"
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or (443 if self.secure else 80)
        self.prefix = parts.path.rstrip("/")

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> Answer:
        """One request and its whole response.

        Raises:
            OSError: no connection, or no answer in time.
            http.client.HTTPException: what came back is not HTTP.
        """
        began = time.perf_counter()
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=timeout_s)
        try:
            connection.connect()
            # A server may answer and close before it has read the whole body.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, self.prefix + path, body, dict(headers or {}))
            response = connection.getresponse()
            content = response.read()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, content, time.perf_counter() - began)
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET a path."""
        return self.request("GET", path, headers=headers)

    def post(
        self, path: str, body: bytes, content_type: str, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """POST a body of a content type."""
        return self.request("POST", path, body, {"Content-Type": content_type, **(headers or {})})

    def post_json(self, path: str, value: Any) -> Answer:
        """POST a JSON value."""
        return self.post(path, json.dumps(value).encode(), "application/json")

    def connect(self, timeout_s: float = 10.0) -> socket.socket:
        """A bare connection (with TLS where the URL says so)."""
        raw = socket.create_connection((self.host, self.port), timeout=timeout_s)
        if self.secure:
            return ssl.create_default_context().wrap_socket(raw, server_hostname=self.host)
        return raw

    def start_request(
        self, method: str, path: str, headers: Mapping[str, str], timeout_s: float = 10.0
    ) -> socket.socket:
        """Send only the head of a request; the caller closes the connection."""
        connection = self.connect(timeout_s)
        lines = [f"{method} {self.prefix}{path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        return connection


def status_of(connection: socket.socket) -> int | None:
    """The status of the answer on a bare connection; none when it closes or times out first."""
    try:
        head = connection.recv(4096)
    except OSError:
        return None
    words = head.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1][:3].isdigit() else None
