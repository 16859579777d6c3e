"""The process that serves: the app on Granian's event loop, until it is told to stop."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Callable
from typing import Any

import orjson
import uvloop
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, TaskImpl
from granian.http import HTTP1Settings
from granian.server.embed import Server

from onnx_server import strays
from onnx_server.app import App
from onnx_server.engine import Engine
from onnx_server.errors import ServerError
from onnx_server.exchange import Request
from onnx_server.limits import one_heap
from onnx_server.logs import log
from onnx_server.metrics import Metrics
from onnx_server.model import share_threads
from onnx_server.repository import Repository
from onnx_server.settings import BACKLOG, Settings

CANNOT_START = 3
"""Exit code of a worker whose model does not load: starting another would not help."""
SILENCE_MS = 75_000
"""A connection that is silent for longer, or takes longer to send a request's headers, is closed.

Longer than the minute for which proxies and clients commonly keep a connection: the one that closes
first must be the one that asks, or its next request may cross the closing and be lost.
"""


class _Server(Server):
    """Granian on a socket that the parent process listens on, so that it outlives a worker."""

    def __init__(self, socket: int, **options: Any) -> None:
        super().__init__(**options)
        self._socket = socket

    def _init_shared_socket(self) -> None:
        self._ssp = None
        # Granian's own declarations of these two are narrower than what it passes itself.
        self._shd: Any = SocketHolder(self._socket, False, self.backlog)  # type: ignore[call-arg]
        self._sfd: Any = self._socket

    def _drop_shared_socket(self) -> None:
        """The parent closes it."""


def run(settings: Settings, socket: int, remember: Callable[[bytes], None], known: bytes) -> int:
    """Serve until SIGTERM; the exit code.

    ``remember`` keeps the names and folders of the loaded models for a worker that follows after a
    crash, which gets them as ``known``.
    """
    one_heap()
    strays.catch()
    _allow_connections()
    share_threads(settings.threads)
    return uvloop.run(_serve(settings, socket, remember, known))


def _allow_connections() -> None:
    """Each connection is an open file; many systems allow 1024 unless more is asked for."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(
    settings: Settings, socket: int, remember: Callable[[bytes], None], known: bytes
) -> int:
    loop = asyncio.get_running_loop()
    metrics = Metrics()
    engine = Engine(
        loop, metrics, lanes=settings.lanes, max_queue=settings.max_queue,
        max_delay_s=settings.max_delay_ms / 1000,
    )  # fmt: skip
    repository = Repository(settings, engine, lambda models: remember(orjson.dumps(models)))
    metrics.watch(queue=lambda: engine.waiting, models=lambda: len(repository))
    app = App(settings, engine, repository, metrics)
    server = _server(app, settings, socket)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    serving = asyncio.create_task(server.serve())
    code = await _start(app, known)
    if code == 0:
        await asyncio.wait([serving, stopping := asyncio.create_task(stopped.wait())],
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        if not stopping.done():  # the HTTP server failed; the parent starts another worker
            serving.result()
            return 1
        log("stopping", running=engine.running, refused=engine.waiting)
        await _drain(app)
    server.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait([serving], timeout=3)
    return code


async def _start(app: App, known: bytes) -> int:
    try:
        if not app.settings.multi_model:
            await app.load_single()
        else:
            for name, url in orjson.loads(known or b"[]"):
                await app.load_again(name, url)
    except ServerError as error:
        log("cannot_start", level="error", error=error.message)
        return CANNOT_START
    log("ready", port=app.settings.port, lanes=app.settings.lanes, threads=app.settings.threads,
        memory_limit_bytes=app.settings.memory_limit_bytes)  # fmt: skip
    return 0


async def _drain(app: App) -> None:
    """Finish what runs, refuse what waits."""
    app.draining = True
    app.engine.drain()
    end = asyncio.get_running_loop().time() + app.settings.drain_s
    while app.engine.running and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)  # the last answers are written


def _server(app: App, settings: Settings, socket: int) -> _Server:
    async def handle(scope: Any, protocol: Any) -> None:
        headers = scope.headers
        request = Request(
            scope.method, scope.path, scope.query_string, headers, protocol,
            headers.get("x-request-id") or app.next_id(),
        )  # fmt: skip
        response = await app.handle(request)
        body = b"" if scope.method == "HEAD" else response.body
        protocol.response_bytes(response.status, response.headers, body)

    return _Server(
        socket,
        target=handle,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.RSGI,
        task_impl=TaskImpl.asyncio,
        log_enabled=False,
        # Granian never closes a silent connection while it does not know which version will come.
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,  # Granian listens again, with its own
        # Far above what a queue takes: the server refuses by itself, and /ping must pass.
        backpressure=65_536,
        http1_settings=HTTP1Settings(header_read_timeout=SILENCE_MS, max_buffer_size=131_072),
        ssl_cert=settings.tls_cert,
        ssl_key=settings.tls_key,
        ssl_ca=settings.tls_client_ca,
        ssl_client_verify=settings.tls_client_ca is not None,
    )
