"""From a request's body to an answer's: decode, check, run, encode, and remember."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from onnx_server import codecs, records
from onnx_server.cache import Cache
from onnx_server.checks import check_feed
from onnx_server.codecs import v2
from onnx_server.engine import Engine, Line
from onnx_server.errors import BadRequest
from onnx_server.exchange import Request, Response, read_body, whole
from onnx_server.metrics import Metrics
from onnx_server.model import Feed, Model
from onnx_server.settings import Settings

LARGE_BYTES = 32_768
"""Bodies and outputs beyond it are decoded and encoded in threads: /ping must not wait for them."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Inference:
    """Answers of models, through the engine."""

    def __init__(self, settings: Settings, engine: Engine, metrics: Metrics) -> None:
        self._settings = settings
        self._engine = engine
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(settings.lanes, thread_name_prefix="codec")
        self._cache = Cache(settings.cache_bytes) if settings.cache_bytes else None

    async def invoke(self, line: Line, request: Request) -> Response:
        """The answer in the formats that the request names.

        Raises:
            ServerError: the body is refused, or the model is overloaded or fails.
        """
        headers = request.headers
        deadline = self._deadline(headers)
        body = await self._body(request)
        kind, accept = headers.get("content-type"), headers.get("accept")
        # An empty cache is false, so that "is not None" is what asks whether there is one.
        cache = self._cache
        key = None if cache is None else cache.key(line.name, kind, accept, body)
        if cache is not None and key is not None and (hit := cache.get(key)):
            self._metrics.cache_hit()
            status, cached, content = hit
            return Response(status, list(cached), content)
        media = codecs.negotiate(accept, kind, self._settings.default_accept or None)
        model = line.model
        manifest = model.manifest
        try:
            form, feed, rows = await self._decoded(body, model, _decode, body, kind, model)
        except BadRequest:
            lines = codecs.is_lines(kind) and codecs.is_lines(media)
            if not (lines and self._settings.placeholders):
                raise
            run = partial(self._engine.submit, line, deadline=deadline)
            content = await records.answer(body, manifest, model.preprocessor, run)
        else:
            outputs = await self._engine.submit(line, feed, rows, deadline)
            content = await self._encoded(outputs, codecs.encode, outputs, media, form, manifest)
        response = Response(200, [("content-type", media)], content)
        if cache is not None and key is not None:
            cache.put(key, (200, tuple(response.headers), content))
        return response

    async def infer(self, line: Line, request: Request) -> Response:
        """The answer under the Open Inference Protocol, version 2.

        Raises:
            ServerError: the body is refused, or the model is overloaded or fails.
        """
        deadline = self._deadline(request.headers)
        body = await self._body(request)
        model = line.model
        asked, feed, rows = await self._decoded(
            body, model, _decode_v2, body, request.headers, model
        )
        outputs = await self._engine.submit(line, feed, rows, deadline)
        content, headers = await self._encoded(outputs, v2.encode_v2, outputs, asked, line.name)
        return Response(200, headers, content)

    def forget(self, name: str) -> None:
        """Drop the remembered answers of a model that was unloaded."""
        if self._cache is not None:
            self._cache.drop_model(name)

    async def _body(self, request: Request) -> bytes:
        settings = self._settings
        return await read_body(request, settings.max_body_bytes, settings.body_timeout_s)

    def _deadline(self, headers: Any) -> float:
        """When the answer is no longer wanted; a client may ask for less than the setting."""
        seconds = self._settings.timeout_s
        if (text := headers.get("x-request-timeout-ms")) is not None:
            milliseconds = whole(text)
            if not milliseconds:
                raise BadRequest(
                    "X-Request-Timeout-Ms must be a positive whole number.",
                    field="X-Request-Timeout-Ms",
                )
            seconds = min(seconds, milliseconds / 1000)
        return time.monotonic() + seconds

    async def _decoded(
        self,
        body: bytes,
        model: Model,
        decode: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **names: Arguments.kwargs,
    ) -> Result:
        """A small image may unpack to a large one, so images are always large."""
        images = model.preprocessor is not None and model.preprocessor.kind == "image"
        if len(body) < LARGE_BYTES and not images:
            return decode(*arguments, **names)
        return await self._in_thread(decode, *arguments, **names)

    async def _encoded(
        self,
        outputs: Feed,
        encode: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **names: Arguments.kwargs,
    ) -> Result:
        if sum(array.nbytes for array in outputs.values()) < LARGE_BYTES:
            return encode(*arguments, **names)
        return await self._in_thread(encode, *arguments, **names)

    async def _in_thread(
        self,
        function: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **names: Arguments.kwargs,
    ) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(function, *arguments, **names))


def _decode(body: bytes, kind: str | None, model: Model) -> tuple[str, Feed, int]:
    decoded = codecs.decode(body, kind, model.manifest, model.preprocessor)
    feed, rows = check_feed(decoded.feed, model.manifest.inputs)
    return decoded.form, feed, rows


def _decode_v2(body: bytes, headers: Any, model: Model) -> tuple[v2.Asked, Feed, int]:
    decoded, asked = v2.decode_v2(body, headers, model.manifest, model.preprocessor)
    v2.check_asked(asked, model.manifest)
    feed, rows = check_feed(decoded.feed, model.manifest.inputs)
    return asked, feed, rows
