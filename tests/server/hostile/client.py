"""A client that sends shots over one connection, and holds the answers to the rules."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections import Counter
from typing import Any

from tests.server.conftest import Running
from tests.server.hostile.kinds import Good
from tests.server.hostile.requests import Shot

LONGEST_S = 10
"""No answer may take longer."""
NEVER = {408, 429, 500, 501, 502, 503, 507}
"""408, 429 and 503 are right answers, but not to these requests, which come one by one."""
BY_HTTP = {400, 414, 431}
"""What the HTTP layer answers, with no body, to what is no request."""


class _Connection(http.client.HTTPConnection):
    """Sends paths and methods as they are."""

    def _validate_path(self, url: str) -> None:
        pass

    def _encode_request(self, request: str) -> bytes:
        return request.encode("latin-1")


class Client:
    """Asks one server."""

    def __init__(self, server: Running, good: Good, path: str = "/invocations") -> None:
        self.server, self.good, self.path = server, good, path
        self.worker = server.worker()
        self.counts: dict[str, Counter[int]] = {}
        self._connection: http.client.HTTPConnection | None = None

    def fire(self, surface: str, shot: Shot) -> int:
        """Send it; the status of the answer, which must follow the rules.

        Raises:
            AssertionError: it does not, or there is none.
        """
        status, headers, body = self._ask(shot)
        self.counts.setdefault(surface, Counter())[status] += 1
        assert status not in NEVER, f"{_shown(shot)} is answered {status}: {body[:500]!r}"
        late = status == 504 and shot.has("X-Request-Timeout-Ms")
        assert status < 500 or late, f"{_shown(shot)} is answered {status}: {body[:500]!r}"
        if status >= 400 and shot.method != "HEAD":
            by_http = status in BY_HTTP and not body and "x-request-id" not in headers
            assert by_http or json.loads(body)["error"], f"{_shown(shot)}: no reason for {status}"
        return status

    def check_alive(self) -> None:
        """The same worker as before gives a right answer, and has not failed meanwhile."""
        shot = Shot(self.good.body, [("Content-Type", self.good.media)], path=self.path)
        status, _, body = self._ask(shot)
        assert (status, json.loads(body)) == (200, self.good.answer), f"{status}: {body[:500]!r}"
        assert self.server.worker() == self.worker, "another worker answers"
        events = self.server.events()  # every line of standard error is JSON
        bad = [e for e in events if e["event"] in ("fault", "worker_died", "library_message")]
        assert not bad, bad[:3]

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def _ask(self, shot: Shot) -> tuple[int, Any, bytes]:
        """The answer; a connection that the server closed after the last one is made anew."""
        if self._connection is not None:
            with contextlib.suppress(ConnectionError, http.client.BadStatusLine):
                return self._exchange(self._connection, shot)
        self._connection = _Connection("127.0.0.1", self.server.port, timeout=LONGEST_S)
        return self._exchange(self._connection, shot)

    def _exchange(
        self, connection: http.client.HTTPConnection, shot: Shot
    ) -> tuple[int, Any, bytes]:
        connection.putrequest(shot.method, shot.path, skip_accept_encoding=True)
        for name, value in shot.headers:
            connection.putheader(name, value.encode("latin-1"))
        connection.putheader("Content-Length", str(len(shot.body)))
        try:
            with contextlib.suppress(BrokenPipeError):  # refused before it was read
                connection.endheaders(shot.body)
            response = connection.getresponse()
            body = response.read()
        except BaseException:
            connection.close()
            self._connection = None
            raise
        return response.status, {k.lower(): v for k, v in response.getheaders()}, body


def table(clients: dict[str, Client]) -> str:
    """Inputs and statuses by surface."""
    rows = [(surface, c) for client in clients.values() for surface, c in client.counts.items()]
    statuses = sorted({status for _, counts in rows for status in counts})
    lines = [f"{'surface':<22}{'inputs':>8}" + "".join(f"{s:>7}" for s in statuses)]
    total = sum((counts for _, counts in rows), Counter[int]())
    for surface, counts in [*rows, ("all", total)]:
        cells = "".join(f"{counts[s] or '':>7}" for s in statuses)
        lines.append(f"{surface:<22}{counts.total():>8}{cells}")
    return "\n".join(lines)


def _shown(shot: Shot) -> str:
    body = shot.body if len(shot.body) < 2000 else shot.body[:1000] + b"..." + shot.body[-200:]
    headers = f"{shot.headers!r:.2000}"
    return f"{shot.method} {shot.path[:300]} {headers} {len(shot.body)} bytes {body!r}"
