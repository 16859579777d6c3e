"""One HTTP request and its answer: no redirects, no retries, no credentials of its own.

The standard library does: what is needed is little, and of the libraries at hand one sends the
credentials of ``~/.netrc`` unasked. Proxies come from the environment (HTTPS_PROXY, NO_PROXY) but
are never used for this machine; certificates from the system or SSL_CERT_FILE.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit

from workbench.errors import CorruptError, InputError, MissingError, StepError
from workbench.packaging.image.registry.references import is_loopback

TIMEOUT_S = 60.0
"""How long the other side may be silent."""
TEXT_LIMIT = 4 << 20
"""Bytes of a manifest, a configuration or a message; registries allow 4 MiB at most."""
BLOCK = 1 << 18
UNREACHED = (ConnectionRefusedError, socket.gaierror)
"""There is nobody; on the first request that is a mistake rather than a bad moment."""


class BrokenError(Exception):
    """The connection broke or the other side fell silent: another try may help."""


@dataclass(frozen=True)
class Body:
    """What is sent: its length in bytes, and its blocks from the start at each call."""

    length: int
    blocks: Callable[[], Iterator[bytes]]

    @classmethod
    def of(cls, content: bytes) -> Body:
        """Bytes in memory."""
        return cls(len(content), lambda: iter([content] if content else []))


@dataclass(frozen=True)
class Answer:
    """Status, headers, and a body that is read once."""

    status: int
    headers: Message
    url: str
    stream: http.client.HTTPResponse

    def header(self, name: str) -> str:
        """A header, empty where it is missing."""
        return str(self.headers.get(name, ""))

    def read(self) -> bytes:
        """The body of an answer that is text.

        Raises:
            BrokenError: it did not come whole.
            StepError: it is larger than TEXT_LIMIT.
        """
        with self.stream:
            found = b"".join(self.blocks(TEXT_LIMIT + 1))
        if len(found) > TEXT_LIMIT:
            raise StepError(f"{host_of(self.url)} answers more than {TEXT_LIMIT} bytes of text.")
        return found

    def blocks(self, limit: int) -> Iterator[bytes]:
        """The body in blocks, at most ``limit`` bytes.

        Raises:
            BrokenError: it did not come whole.
        """
        left = limit
        try:
            while left and (block := self.stream.read(min(BLOCK, left))):
                left -= len(block)
                yield block
            if left and self.stream.length:  # read(n) does not complain about an early end
                raise BrokenError("the connection ended in the middle of the answer")
        except (OSError, http.client.HTTPException) as error:
            raise BrokenError(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Drop what was not read."""
        self.stream.close()


class Transport:
    """Sends requests; ``insecure`` allows plain HTTP to other machines."""

    def __init__(self, *, insecure: bool = False) -> None:
        self._insecure = insecure
        self._reached: set[str] = set()
        tls = ssl.create_default_context()
        self._direct = _opener(tls, {})
        self._proxied = _opener(tls, None)

    def scheme(self, host: str) -> str:
        """``http`` for this machine or when insecure, else ``https``."""
        return "http" if self._insecure or is_loopback(host) else "https"

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None = None
    ) -> Answer:
        """One request; an answer of any status is an answer.

        Raises:
            BrokenError: the connection broke, or nothing came within the timeout.
            InputError: it would go in the clear over a network.
            MissingError: there is no such host, nobody listens, or the certificate is not trusted.
        """
        host = host_of(url)
        local = is_loopback(host)
        self._check_scheme(url, local)
        sent = dict(headers) | {"User-Agent": f"workbench/{version('workbench')}"}
        data: Any = None
        if body is not None:
            sent["Content-Length"] = str(body.length)
            sent.setdefault("Content-Type", "application/octet-stream")
            data = body.blocks()
        request = urllib.request.Request(url, data, sent, method=method)
        opener = self._direct if local else self._proxied
        try:
            reply = opener.open(request, timeout=TIMEOUT_S)
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise self._failed(host, reason) from error
        if reply is None:
            raise InputError(f"{host} is addressed in a way that is not understood.")
        self._reached.add(host)
        return Answer(reply.status, reply.headers, url, reply)

    def _check_scheme(self, url: str, local: bool) -> None:
        scheme = urlsplit(url).scheme
        if scheme == "https" or (scheme == "http" and (local or self._insecure)):
            return
        raise InputError(
            f"{host_of(url)} is to be spoken to over '{scheme}', which anybody on the way can read "
            "and change.",
            hint="A registry behind a TLS proxy must be told so (its setting http.host). One "
            "without TLS can be allowed where you trust the network: insecure.",
        )

    def _failed(self, host: str, reason: Any) -> Exception:
        if isinstance(reason, ssl.SSLCertVerificationError):
            return MissingError(
                f"The certificate of {host} is not trusted: {reason.verify_message}.",
                hint="Give the authority that signed it in a file: SSL_CERT_FILE=/path/to/ca.pem.",
            )
        if isinstance(reason, ssl.SSLError) and "WRONG_VERSION_NUMBER" in str(reason):
            return MissingError(
                f"{host} does not speak TLS.",
                hint="Check the port; a registry with plain HTTP must be allowed: insecure.",
            )
        if isinstance(reason, UNREACHED) and host not in self._reached:
            what = getattr(reason, "strerror", None) or reason
            return MissingError(
                f"{host} cannot be reached: {what}.",
                hint="Check the registry's name and port, the network, and HTTPS_PROXY.",
            )
        if isinstance(reason, TimeoutError):
            return BrokenError(f"nothing came within {TIMEOUT_S:g} s")
        return BrokenError(str(reason) or type(reason).__name__)


def file_blocks(path: Path, offset: int, length: int) -> Iterator[bytes]:
    """A part of a file.

    Raises:
        CorruptError: the file is gone or shorter than it was.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while length:
                block = file.read(min(BLOCK, length))
                if not block:
                    raise CorruptError(f"{path} is shorter than it was.", hint="Build it again.")
                length -= len(block)
                yield block
    except OSError as error:
        raise CorruptError(f"{path} cannot be read: {error.strerror}.") from error


def host_of(url: str) -> str:
    """Host and port, and no more: the rest of a URL may hold a signature."""
    return urlsplit(url).netloc.rpartition("@")[2]


class _Connection(http.client.HTTPConnection):
    """Reads the answer of a server that refuses a body before it has come whole."""

    def request(self, *arguments: Any, **options: Any) -> None:
        try:
            super().request(*arguments, **options)
        except (BrokenPipeError, ConnectionResetError):
            if self.sock is None:
                raise


class _TlsConnection(_Connection, http.client.HTTPSConnection):
    """The same over TLS."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, request)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(context=tls)
        self._tls = tls

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_TlsConnection, request, context=self._tls)


def _opener(tls: ssl.SSLContext, proxies: dict[str, str] | None) -> urllib.request.OpenerDirector:
    """Without the handlers that follow redirects and make exceptions of statuses."""
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler(proxies), _Http(), _Https(tls)):
        opener.add_handler(handler)
    return opener
