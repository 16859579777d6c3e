"""A tiny server of one model, y = 2 x, that keeps the contract unless it is told to break it."""

from __future__ import annotations

import http.server
import json
import pickle
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
LIMIT = 26_214_400
CSV, JSON, LINES, NPY = "text/csv", "application/json", "application/jsonlines", "application/x-npy"


class RefusedError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def decode(body: bytes, kind: str) -> list[list[float]]:
    try:
        if kind == JSON:
            rows = json.loads(body)["instances"]
        elif kind == LINES:
            rows = [json.loads(line) for line in body.splitlines()]
        elif kind == CSV:
            rows = [[float(cell) for cell in line.split(b",")] for line in body.splitlines()]
        else:
            raise RefusedError(415)
        if not rows:
            raise RefusedError(400)
        return [[float(x) for x in row] for row in rows]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise RefusedError(400) from None


def encode(rows: list[list[float]], kind: str) -> bytes:
    if kind == CSV:
        return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()
    if kind == LINES:
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    return json.dumps({"predictions": rows}).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faults: frozenset[str] = frozenset()
    lock = threading.Lock()

    def do_GET(self) -> None:
        if self.path == "/ping":
            if "ping waits for inference" in self.faults:
                with self.lock:
                    pass
            self._send(200, b"pong" if "ping has a body" in self.faults else b"")
        elif self.path == "/execution-parameters":
            megabytes = 60 if "too large transforms" in self.faults else 20
            value = {"MaxConcurrentTransforms": 2, "MaxPayloadInMB": megabytes}
            self._send(200, json.dumps(value).encode(), JSON)
        elif self.path == "/metrics":
            text = b"<html>" if "metrics are a page" in self.faults else b"# HELP a b\na_total 1\n"
            self._send(200, text, "text/plain")
        elif self.path == "/v2/models/model":
            inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
            self._send(200, json.dumps({"name": "model", "inputs": inputs}).encode(), JSON)
        else:
            self._refuse(405 if self.path == "/invocations" else 404)

    def do_POST(self) -> None:
        if self.path == "/ping":
            if "no POST on ping" in self.faults:
                self._refuse(405)
            else:
                self.do_GET()
        elif self.path != "/invocations":
            self._refuse(404)
        else:
            try:
                self._invoke()
            except RefusedError as refused:
                self._refuse(refused.status)

    def _invoke(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if length > (1_000_000 if "6 MB" in self.faults else LIMIT):
            self.close_connection = True
            raise RefusedError(413)
        body = self.rfile.read(length)
        kind = self.headers.get("Content-Type", "").partition(";")[0]
        accept = self.headers.get("Accept", "*/*").partition(",")[0].partition(";")[0]
        if accept not in ("*/*", CSV, JSON, LINES) and "accepts all" not in self.faults:
            raise RefusedError(406)
        if kind == NPY:
            self._npy(body)
            return
        if "ping waits for inference" in self.faults:
            with self.lock:
                time.sleep(0.2)
        rows = [[2 * x for x in row] for row in decode(body, kind)]
        if "records out of order" in self.faults:
            rows.reverse()
        if "one record is lost" in self.faults and len(rows) > 1:
            rows.pop()
        media = kind if accept == "*/*" else accept
        self._send(200, encode(rows, media), media)

    def _npy(self, body: bytes) -> None:
        if b"|O" in body[:128]:
            if "unpickles" in self.faults:
                pickle.loads(body[body.index(b"\n") + 1 :])
            raise RefusedError(400)
        self._send(200, body, NPY)

    def _refuse(self, status: int) -> None:
        self.close_connection = True
        text = json.dumps({"error": "refused"})
        if "shows tracebacks" in self.faults:
            text = "Traceback (most recent call last):\n  ..."
        if "all errors are 500" in self.faults and status == 400:
            status = 500
        self._send(status, text.encode())

    def _send(self, status: int, body: bytes = b"", kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        attributes = self.headers.get(ATTRIBUTES)
        if attributes and "attributes are lost" not in self.faults:
            self.send_header(ATTRIBUTES, attributes)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The tests read no log."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Clients that misbehave on purpose are no news."""


@contextmanager
def serving(*faults: str, handler: type[Handler] = Handler) -> Iterator[str]:
    """The URL of a server with these faults."""
    state = {"faults": frozenset(faults), "lock": threading.Lock(), "models": {}}
    handler = type("Faulty", (handler,), state)
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
