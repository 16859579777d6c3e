"""The runtime API over HTTP, as boto3's ``sagemaker-runtime`` client speaks it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from workbench.serving.answers import ApiError, validation_error
from workbench.serving.platform import Endpoint

IDLE_S = 75.0


class Front(ThreadingHTTPServer):
    """``POST /endpoints/{name}/invocations``, ``GET /ping`` and ``GET /metrics``."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, address: tuple[str, int], endpoint: Endpoint) -> None:
        """Listen on ``address`` (host, port; port 0 takes a free one)."""
        super().__init__(address, Handler)
        self.endpoint = endpoint

    @property
    def url(self) -> str:
        """Base URL: boto3's ``endpoint_url``."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"


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
                self._send(200 if self.server.endpoint.healthy else 503, b"", {})
            case "/metrics":
                text = self.server.endpoint.metrics.render().encode()
                self._send(200, text, {"Content-Type": "text/plain; version=0.0.4"})
            case _:
                self._send(404, b"", {})

    def do_POST(self) -> None:
        """InvokeEndpoint."""
        try:
            body = self._body()
            name = self._endpoint_name()
            if name != self.server.endpoint.name:
                raise validation_error(f"Endpoint {name} not found.")
            headers = {key.lower(): value for key, value in self.headers.items()}
            answer = self.server.endpoint.invoke(body, headers)
            extra = {"x-Amzn-Invoked-Production-Variant": "AllTraffic"}
            self._send(answer.status, answer.body, {**answer.headers, **extra})
        except ApiError as error:
            kind = {"Content-Type": "application/json", "x-amzn-ErrorType": error.kind}
            self._send(error.status, json.dumps(error.body).encode(), kind)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the container logs each request."""

    def _endpoint_name(self) -> str:
        parts = urlsplit(self.path).path.split("/")
        match parts:
            case ["", "endpoints", name, "invocations"]:
                return unquote(name)
        self.close_connection = True
        raise ApiError(404, "UnknownOperationException", f"There is no {self.path[:200]}.")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        # Without a length, or with a refused one, what follows is not read: the connection ends.
        if not length.isdecimal():
            self.close_connection = True
            raise validation_error("Content-Length is missing.", status=411)
        if int(length) > self.server.endpoint.limits.payload_bytes:
            self.close_connection = True
            limit = self.server.endpoint.limits.payload_bytes
            raise validation_error(f"The payload is larger than {limit} bytes.", status=413)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            raise validation_error("The payload is shorter than its Content-Length.")
        return body

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
