"""The container's multi-model interface with a budget of models instead of memory."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class StubContainer(ThreadingHTTPServer):
    """Answers an invocation with the model's name; counts loads and unloads.

    Invocations wait for ``gate``; ``reloading`` are names that are taken and not loaded yet.
    """

    daemon_threads = True

    def __init__(self, budget: int, load_s: float = 0.0, invoke_s: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.budget, self.load_s, self.invoke_s = budget, load_s, invoke_s
        self.models: dict[str, str] = {}
        self.reloading: dict[str, str] = {}
        self.loads: list[str] = []
        self.unloads: list[str] = []
        self.seen: dict[str, str] = {}
        self.unload_status = 200
        self.lock = threading.Lock()
        self.asked = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, *_: object) -> None:
        """The emulator may hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: StubContainer

    def do_GET(self) -> None:
        name = self.path.removeprefix("/models/")
        self._send(200 if self.path == "/ping" or name in self.server.models else 404, {})

    def do_DELETE(self) -> None:
        name = self.path.split("/")[2]
        status = self.server.unload_status
        if status == 0:
            self.close_connection = True
            return
        with self.server.lock:
            self.server.unloads.append(name)
            known = None
            if status == 200:
                known = self.server.models.pop(name, None)
                status = 200 if known else 404
        self._send(status, {"error": "gone"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/models":
            self._load(json.loads(body))
            return
        self.server.seen = {k.lower(): v for k, v in self.headers.items()}
        self.server.asked.release()
        self.server.gate.wait(10)
        time.sleep(self.server.invoke_s)
        name = self.path.split("/")[2]
        known = name in self.server.models
        match body:
            case b"bad":
                self._send(400, {"error": "x" * 3000})
            case b"die":
                self.close_connection = True
            case b"drip":
                self._drip()
            case _:
                self._send(200 if known else 404, {"model": name if known else ""})

    def _load(self, wanted: dict[str, str]) -> None:
        time.sleep(self.server.load_s)
        name = wanted["model_name"]
        with self.server.lock:
            status = 200
            if name in self.server.models or name in self.server.reloading:
                status = 409
            elif len(self.server.models) >= self.server.budget:
                status = 507
            else:
                self.server.models[name] = wanted["url"]
                self.server.loads.append(name)
        self._send(status, {"error": "full"})

    def _drip(self) -> None:
        """Parts of an answer, each well within a limit that they exceed together."""
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        for _ in range(100):
            self.wfile.write(b"x")
            time.sleep(0.02)

    def _send(self, status: int, value: dict[str, str]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
