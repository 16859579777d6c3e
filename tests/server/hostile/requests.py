"""Requests as a whole: a body of a kind, and methods, paths, queries and headers that are odd."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

MEDIA = (
    "application/json", "application/jsonlines", "application/x-ndjson", "text/csv", "text/plain",
    "application/x-npy", "application/x-npz", "application/octet-stream", "image/png", "image/jpeg",
    "application/x-recordio-protobuf", "application/vnd.apache.arrow.stream",
    "application/vnd.apache.parquet",
)  # fmt: skip
ACCEPTED = (
    "*/*", "application/json", "text/csv", "application/jsonlines", "application/x-npy",
    "application/x-npz", "application/vnd.apache.arrow.stream",
)  # fmt: skip
ODD = (
    "text/*", "image/png", "x", ";", "text/csv;q=0, */*;q=0.1", "application/json;q=nan",
    "a" * 5000, ",".join(["a/b"] * 500), "*/*;q=1e999, text/csv;q=-1", "",
)  # fmt: skip
METHODS = (
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW", "get", "M-SEARCH",
)  # fmt: skip
SEGMENTS = (
    "ping", "invocations", "models", "v2", "infer", "invoke", "ready", "health", "live", "metrics",
    "execution-parameters", "openapi.json", "m", "numbers", "", ".", "..", "%2e%2e", "%2F", "%00",
    "%ff", "%ed%a0%80", "%zz", "%", "%25", "a" * 3000, "%F0%9F%98%80", "\xe9", "{name}",
    "%0d%0aSet-Cookie:x", ";a=b", "~", "'", "<script>", "%3Cscript%3E", "*", "//", "\\",
)  # fmt: skip
DIGITS = (
    "0", "1", "-1", "2", "1.5", "", "x", "nan", "9" * 30, "9" * 5000, "1e3", "+1", "%D9%A1", "0x1",
    "%00", "1%0a", " 1", "%20", "1_0", "²",
)  # fmt: skip
NAMES = (
    "Content-Type", "Accept", "X-Request-Id", "X-Request-Timeout-Ms",
    "Inference-Header-Content-Length", "X-Amzn-SageMaker-Custom-Attributes",
    "X-Amzn-SageMaker-Inference-Id", "X-Amzn-SageMaker-Target-Model", "Authorization",
    "Content-Encoding", "Accept-Encoding", "Expect", "Range", "If-None-Match", "Cookie", "Upgrade",
    "Connection", "X-Forwarded-For", "Transfer-Encoding", "TE", "Trailer", "Host", "Origin",
    "Content-Disposition", "X-HTTP-Method-Override", "traceparent", "Sec-WebSocket-Key",
    "Forwarded", "x",
)  # fmt: skip
VALUES = (
    "", " ", "\t", "a", "0", "1", "-1", "9" * 5000, "a" * 8000, "\xe9", "\x80\xff", "a\tb", "\"",
    "\\", "%00", "application/json; charset=latin-1", "application/json;", ";", ",", "/",
    "text/csv;" * 200, "gzip", "br", "identity", "100-continue", "bytes=0-1", "*", "websocket",
    "h2c", "keep-alive", "chunked", "Bearer x", "Bearer \xff", "<script>alert(1)</script>",
    "${jndi:ldap://x}", "'; drop table x", "../../etc/passwd", "127.0.0.1", "1, 2, 3",
    "APPLICATION/JSON", "application/x-npy", "text/csv, text/csv;q=1e999",
)  # fmt: skip


@dataclass
class Shot:
    """One request."""

    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    method: str = "POST"
    path: str = "/invocations"

    def has(self, name: str) -> bool:
        """Whether a header is sent."""
        return any(given.lower() == name.lower() for given, _ in self.headers)


def typed(draw: random.Random, body: bytes, media: str, path: str = "/invocations") -> Shot:
    """A body under its media type, seldom under another; the answer's format is often named."""
    headers = [("Content-Type", media if draw.random() < 0.95 else draw.choice(MEDIA))]
    if draw.random() < 0.5:
        headers.append(("Accept", draw.choice(ACCEPTED if draw.random() < 0.9 else ODD)))
    return Shot(body, headers, path=path)


def routed(draw: random.Random, body: bytes, known: tuple[str, ...]) -> Shot:
    """A path that is known or made up, with a query, by any method."""
    path = draw.choice(known)
    if draw.random() < 0.6:
        parts = [draw.choice(SEGMENTS) for _ in range(draw.randint(1, 6))]
        path = "/" + "/".join(parts)
        if draw.random() < 0.3:
            path = draw.choice(known) + path
    if draw.random() < 0.6:
        path += "?" + queried(draw)
    return Shot(body, [("Content-Type", "application/json")], draw.choice(METHODS), path)


def queried(draw: random.Random) -> str:
    """A query, of the names that mean something among others."""
    names = ("limit", "next_page_token", "limit", "next_page_token", "a", "", "%00", "l%69mit")
    pairs = [f"{draw.choice(names)}{draw.choice(('=', '=', '=', ''))}{draw.choice(DIGITS)}"
             for _ in range(draw.randint(0, 4))]  # fmt: skip
    return draw.choice(("&", "&", ";", "&&")).join(pairs)


def adorned(draw: random.Random, body: bytes, path: str = "/invocations") -> Shot:
    """A right body with headers that are odd, doubled or far too many."""
    headers = [("Content-Type", "application/json")]
    for _ in range(draw.choice((1, 1, 2, 3, 60, 200))):
        name, value = draw.choice(NAMES), draw.choice(VALUES)
        if draw.random() < 0.1:
            name = draw.choice(("X-" + "a" * 2000, "a", "Content-Length-", "!#$%&'*+-.^_`|~"))
        headers.append((name, value))
    # Its meaning is the body's length: what follows would be read as the next request.
    headers = [pair for pair in headers if pair[0] != "Transfer-Encoding" or pair[1] != "chunked"]
    return Shot(body, headers, path=path)
