"""The runtime API over HTTP, as boto3's ``sagemaker-runtime`` client speaks it."""

from __future__ import annotations

import json
import socket
import sys
import time
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from workbench.serving.answers import ApiError, validation_error
from workbench.serving.bodies import read_body
from workbench.serving.container import base_url
from workbench.serving.platform import Endpoint

IDLE_S = 75.0
DISCARD_S = 5.0
"""How long the rest of a refused body is read and thrown away."""


class Front(ThreadingHTTPServer):
    """``POST /endpoints/{name}/invocations``, ``GET /ping`` and ``GET /metrics``."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, address: tuple[str, int], endpoint: Endpoint) -> None:
        """Listen on ``address`` (host, port; port 0 takes a free one)."""
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Handler)
        self.endpoint = endpoint

    @property
    def url(self) -> str:
        """Base URL: boto3's ``endpoint_url``."""
        host, port = self.server_address[:2]
        return base_url(str(host), port)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about a client that went away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = IDLE_S
    server: Front

    def do_GET(self) -> None:
        """``/ping`` and ``/metrics``."""
        match urlsplit(self.path).path:
            case "/ping":
                self._send(200 if self.server.endpoint.health.good else 503, b"", {})
            case "/metrics":
                text = self.server.endpoint.metrics.render().encode()
                self._send(200, text, {"Content-Type": "text/plain; version=0.0.4"})
            case _:
                self._send(404, b"", {})

    def do_POST(self) -> None:
        """InvokeEndpoint."""
        # Until the body is read, what the connection holds next is no request.
        close, self.close_connection = self.close_connection, True
        unread = True
        try:
            limit = self.server.endpoint.limits.payload_bytes
            body = read_body(self.rfile, self.headers, limit)
            self.close_connection, unread = close, False
            self._check_path()
            headers = {key.lower(): value for key, value in self.headers.items()}
            answer = self.server.endpoint.invoke(body, headers)
            extra = {"x-Amzn-Invoked-Production-Variant": "AllTraffic"}
            self._send(answer.status, answer.body, {**answer.headers, **extra})
        except ApiError as error:
            kind = {"Content-Type": "application/json", "x-amzn-ErrorType": error.kind}
            self._send(error.status, json.dumps(error.body).encode(), kind)
        if unread:
            self._discard()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the container logs each request."""

    def _check_path(self) -> None:
        match urlsplit(self.path).path.split("/"):
            case ["", "endpoints", name, "invocations"]:
                if unquote(name) != self.server.endpoint.name:
                    raise validation_error(f"Endpoint {unquote(name)} not found.")
            case _:
                raise ApiError(404, "UnknownOperationException", f"No {self.path[:200]} here.")

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _discard(self) -> None:
        """Read on: closing now would reset the connection before the client reads its answer."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        end = time.monotonic() + DISCARD_S
        self.connection.settimeout(DISCARD_S)
        while time.monotonic() < end and self.rfile.read1(1 << 16):
            pass
