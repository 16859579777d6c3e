"""What every answer must pass: the name it was asked under, and the headers it bears."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
}
"""Of every answer that sets none of its own; a page's own policy is in the page."""


class Guard:
    """Refuses names that are not this machine's, and adds :data:`HEADERS`.

    A web site can give its own name the address 127.0.0.1 and then read what answers there (DNS
    rebinding). It cannot do so under a bare address, nor under ``localhost``.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        """``names`` are taken beside addresses, ``localhost`` and this machine's name."""
        self.app = app
        own = (*names, "localhost", socket.gethostname(), socket.getfqdn())
        self.names = {name.lower().rstrip(".") for name in own}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == b"host"]
        if len(given) != 1 or not self.knows(given[0].decode("latin-1")):
            from starlette.responses import PlainTextResponse

            answer = PlainTextResponse("This name is not served here.\n", 421, headers=HEADERS)
            await answer(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                message["headers"] += [
                    (name.encode(), value.encode())
                    for name, value in HEADERS.items()
                    if name.encode() not in there
                ]
            await send(message)

        await self.app(scope, receive, sending)

    def knows(self, host: str) -> bool:
        """Whether a Host header, port included, is an address or one of the names."""
        name = host
        if host.startswith("["):
            name, closed, port = host[1:].partition("]")
            if not closed or (port and not port.startswith(":")):
                return False
        elif host.count(":") == 1:
            name = host.partition(":")[0]
        try:
            ipaddress.ip_address(name)
            return True
        except ValueError:
            return name.lower().rstrip(".") in self.names
