"""A registry in this process that fails on demand."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from workbench.packaging.image.parts import digest_of


@dataclass
class Asked:
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def authorization(self) -> str:
        return self.headers.get("authorization", "")


@dataclass
class Fault:
    """What happens instead to the next ``times`` requests of a method and path."""

    method: str
    path: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_after: int | None = None
    """Bytes of the request's body after which the connection is cut; they are kept."""
    cut_answer_after: int | None = None
    """Bytes of the answer's body after which the connection is cut."""
    lose_answer: bool = False
    """Whether the request is heeded, but the connection cut before the answer."""
    wait_s: float = 0.0
    times: int = 1


class FakeRegistry:
    """A registry after the OCI distribution-spec 1.1, as far as the client uses it."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.authorize: Callable[[str], bool] | None = None
        self.challenge = 'Basic realm="test"'
        self.other: Callable[[Asked], tuple[int, dict[str, str], bytes] | None] = lambda asked: None
        self.largest_body: int | None = None
        self.manifest_digest: str | None = None
        """What is said instead of a pushed manifest's own digest."""
        self.blob_location = ""
        """Where GET of blobs is redirected to."""
        self.host = ""
        self._server: ThreadingHTTPServer | None = None

    def start(self, tls: ssl.SSLContext | None = None) -> FakeRegistry:
        registry = self

        class Handler(_Handler):
            fake = registry

        self._server = _Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __enter__(self) -> FakeRegistry:
        return self if self._server else self.start()

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def count(self, method: str, path: str = "") -> int:
        """Requests of a method with ``path`` in their path."""
        return sum(a.method == method and path in a.path for a in self.asked)

    def fault_for(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.method == method and fault.path in path:
                fault.times -= 1
                return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Cut connections are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    fake: FakeRegistry
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self._serve()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def _serve(self) -> None:
        fake, length = self.fake, int(self.headers.get("Content-Length", 0))
        fault = fake.fault_for(self.command, self.path)
        if fault is not None and fault.cut_after is not None:
            part = self.rfile.read(min(length, fault.cut_after))
            self._note(part)
            if self.command == "PATCH":
                fake.uploads[self.path.split("/")[-1]] += part
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if fake.largest_body is not None and length > fake.largest_body:
            self._note(b"")
            self._answer(413, {}, b"<html>too large</html>")
            return
        body = self.rfile.read(length)
        asked = self._note(body)
        if fault is not None:
            time.sleep(fault.wait_s)
            if fault.status:
                cut = fault.cut_answer_after
                self._answer(fault.status, fault.headers, fault.body, cut=cut)
                return
        if (found := fake.other(asked)) is not None:
            self._answer(*found)
        elif fake.authorize is not None and not fake.authorize(asked.authorization):
            body = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
            self._answer(401, {"WWW-Authenticate": fake.challenge}, body)
        else:
            answer = self._spec(asked)
            if fault is not None and fault.lose_answer:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._answer(*answer, cut=fault.cut_answer_after if fault else None)

    def _note(self, body: bytes) -> Asked:
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body)
        self.fake.asked.append(asked)
        return asked

    def _answer(
        self, status: int, headers: dict[str, str], body: bytes, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
            self.wfile.flush()
        if cut is not None:
            self.connection.shutdown(socket.SHUT_RDWR)

    def _spec(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(asked.path)
        match = re.fullmatch(r"/v2/(.+)/(blobs/uploads|blobs|manifests)/([^/]*)", parts.path)
        assert match is not None, asked.path
        name, kind, last = match.groups()
        if kind == "manifests":
            return self._manifest(asked, last)
        if kind == "blobs":
            return self._blob(asked, last)
        return self._upload(asked, name, last, parse_qs(parts.query))

    def _manifest(self, asked: Asked, target: str) -> tuple[int, dict[str, str], bytes]:
        fake = self.fake
        if asked.method == "PUT":
            digest = digest_of(asked.body)
            stored = asked.headers["content-type"], asked.body
            fake.manifests[target] = fake.manifests[digest] = stored
            return 201, {"Docker-Content-Digest": fake.manifest_digest or digest}, b""
        if target not in fake.manifests:
            return 404, {}, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown tag"}]}'
        kind, body = fake.manifests[target]
        return 200, {"Content-Type": kind, "Docker-Content-Digest": digest_of(body)}, body

    def _blob(self, asked: Asked, digest: str) -> tuple[int, dict[str, str], bytes]:
        if asked.method == "GET" and self.fake.blob_location:
            return 307, {"Location": f"{self.fake.blob_location}/{digest}"}, b""
        body = self.fake.blobs.get(digest)
        if body is None:
            return 404, {}, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}'
        wanted = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        if wanted:
            start = int(wanted[1])
            if start >= len(body):
                return 416, {}, b""
            where = f"bytes {start}-{len(body) - 1}/{len(body)}"
            return 206, {"Content-Range": where}, body[start:]
        return 200, {}, body

    def _upload(
        self, asked: Asked, name: str, session: str, query: dict[str, list[str]]
    ) -> tuple[int, dict[str, str], bytes]:
        fake = self.fake
        if asked.method == "POST":
            session = hashlib.sha256(os.urandom(8)).hexdigest()[:12]
            fake.uploads[session] = bytearray()
        if session not in fake.uploads:
            return 404, {}, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"unknown"}]}'
        held = fake.uploads[session]
        if asked.method in ("PATCH", "PUT"):
            start = asked.headers.get("content-range", f"{len(held)}-").partition("-")[0]
            if int(start) != len(held):
                return 416, {}, b""
            held += asked.body
        where = {"Location": f"/v2/{name}/blobs/uploads/{session}"}
        where["Range"] = f"0-{max(0, len(held) - 1)}"
        if asked.method != "PUT":
            return {"GET": 204}.get(asked.method, 202), where, b""
        digest = query["digest"][0]
        del fake.uploads[session]
        if digest_of(bytes(held)) != digest:
            return 400, {}, b'{"errors":[{"code":"DIGEST_INVALID","message":"digest"}]}'
        fake.blobs[digest] = bytes(held)
        return 201, {"Docker-Content-Digest": digest}, b""
