"""The platform's part for many models: load at the first call, unload the longest unasked."""

from __future__ import annotations

import http.client
import json
import threading
from collections import OrderedDict
from pathlib import Path

from load import HOST

TIMEOUT_S = 30.0
GONE = 404


class Client:
    """One kept connection; not for several threads at a time."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of the answer.

        Raises:
            OSError, http.client.HTTPException: there is none.
        """
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        return response.status, response.read()


class Residents:
    """At most ``most`` models of ``folder`` in a server's memory; thread-safe."""

    def __init__(self, port: int, folder: Path, most: int) -> None:
        self._client = Client(port)
        self._folder, self._most = folder, most
        self._loaded: OrderedDict[str, None] = OrderedDict()
        self._table, self._memory = threading.Lock(), threading.Lock()

    def names(self) -> list[str]:
        """The models in memory, by name."""
        return sorted(self._loaded)

    def ensure(self, name: str) -> bool:
        """Whether the model was in memory; after this it is.

        Raises:
            ValueError: it does not load, or another one does not unload.
        """
        if self._touch(name):
            return True
        with self._memory:  # loads come one at a time, as on the platform
            if self._touch(name):
                return False
            while len(self._loaded) >= self._most:
                with self._table:
                    oldest, _ = self._loaded.popitem(last=False)
                self._do("DELETE", f"/models/{oldest}")
            given = {"model_name": name, "url": str(self._folder / name)}
            self._do("POST", "/models", json.dumps(given).encode())
            with self._table:
                self._loaded[name] = None
        return False

    def ask(self, client: Client, name: str, body: bytes) -> tuple[bool, bytes]:
        """Whether it was in memory, and its answer; loads it again if it went meanwhile.

        Raises:
            ValueError: any answer but 200.
        """
        hit = True
        while True:
            hit = self.ensure(name) and hit
            status, content = client.call("POST", f"/models/{name}/invoke", body)
            if status == 200:
                return hit, content
            # 503: it was asked between the beginning and the end of its unloading.
            if status not in (GONE, 503):
                raise ValueError(f"status {status} of {name}: {content[:300]!r}")
            hit = False

    def _touch(self, name: str) -> bool:
        with self._table:
            if name not in self._loaded:
                return False
            self._loaded.move_to_end(name)
            return True

    def _do(self, method: str, path: str, body: bytes | None = None) -> None:
        status, content = self._client.call(method, path, body)
        if status != 200:
            raise ValueError(f"{method} {path}: status {status}: {content[:300]!r}")
