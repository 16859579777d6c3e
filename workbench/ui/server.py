"""Serving the application on a port of this machine."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

from workbench.errors import InputError, MissingError
from workbench.run_directory import RUN_FILE


def serve(folder: Path, *, host: str, port: int, started: Callable[[str], None]) -> None:
    """Serve the runs of a folder until it is interrupted.

    Args:
        folder: of run directories.
        host: the address or name to listen on.
        port: 0 takes a free one.
        started: is told the address, once it answers.

    Raises:
        InputError: no such folder, the host is none of this machine, or the port is taken.
        MissingError: the packages of the extra ``ui`` are not installed.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder} is no folder.", hint="Give a folder of runs, as of workbench run --runs DIR."
        )
    if (folder / RUN_FILE).is_file():
        raise InputError(
            f"{folder} is a run directory, not a folder of them.",
            hint=f"workbench ui {folder.resolve().parent}",
        )
    try:
        import jinja2  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn

        from workbench.ui.app import create_app
    except ImportError as error:
        raise MissingError(
            f"workbench ui lacks a package: {error.name}.", hint="pip install 'workbench[ui]'"
        ) from error

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                started(address)

    listening = _bind(host, port)
    address = _address(host, listening.getsockname()[1])
    config = uvicorn.Config(
        create_app(folder, [host]),
        log_level="warning",
        timeout_graceful_shutdown=1,  # pages that follow a run never hang up by themselves
        server_header=False,
    )
    try:
        Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # the way to end it
    finally:
        listening.close()


def is_local(host: str) -> bool:
    """Whether only this machine reaches a host's address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise InputError(
            f"--host {host} is not known here.", hint="Such as 127.0.0.1 or 0.0.0.0."
        ) from error
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
        made.listen()
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"Port {port} is taken.", hint=f"--port {port + 1}, or --port 0 for a free one."
            ) from error
        if error.errno == errno.EACCES:
            raise InputError(
                f"Port {port} is not allowed to you.", hint="Take one above 1023."
            ) from error
        raise InputError(f"Cannot listen on {host}: {error.strerror}.") from error
    return made


def _address(host: str, port: int) -> str:
    """For a browser on this machine."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    if ":" in shown and not shown.startswith("["):
        shown = f"[{shown}]"
    return f"http://{shown}:{port}/"
