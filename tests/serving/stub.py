"""The container's multi-model interface with a budget of models instead of memory."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class StubContainer(ThreadingHTTPServer):
    """Answers an invocation with the model's name; counts loads and unloads."""

    daemon_threads = True

    def __init__(self, budget: int, load_s: float = 0.0, invoke_s: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.budget, self.load_s, self.invoke_s = budget, load_s, invoke_s
        self.models: dict[str, str] = {}
        self.loads: list[str] = []
        self.unloads: list[str] = []
        self.seen: dict[str, str] = {}
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: StubContainer

    def do_GET(self) -> None:
        self._send(200, {})

    def do_DELETE(self) -> None:
        name = self.path.split("/")[2]
        with self.server.lock:
            known = self.server.models.pop(name, None)
            self.server.unloads.append(name)
        self._send(200 if known else 404, {"error": "gone"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/models":
            self._load(json.loads(body))
            return
        self.server.seen = {k.lower(): v for k, v in self.headers.items()}
        time.sleep(self.server.invoke_s)
        name = self.path.split("/")[2]
        known = name in self.server.models
        if body == b"bad":
            self._send(400, {"error": "x" * 3000})
            return
        self._send(200 if known else 404, {"model": name} if known else {"error": "unknown"})

    def _load(self, wanted: dict[str, str]) -> None:
        time.sleep(self.server.load_s)
        with self.server.lock:
            full = len(self.server.models) >= self.server.budget
            if not full:
                self.server.models[wanted["model_name"]] = wanted["url"]
                self.server.loads.append(wanted["model_name"])
        self._send(507 if full else 200, {"error": "full"})

    def _send(self, status: int, value: dict[str, str]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
