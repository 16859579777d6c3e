"""The routes: what each path and method does."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Literal
from urllib.parse import parse_qs

import orjson

from onnx_server import __version__, openapi, page
from onnx_server.codecs import v2
from onnx_server.engine import Engine, Line
from onnx_server.errors import (
    BadRequest,
    InvalidModel,
    MethodNotAllowed,
    ModelError,
    NotFound,
    ServerError,
    Unauthorized,
    Unavailable,
)
from onnx_server.exchange import (
    Request,
    Response,
    error_response,
    json_response,
    read_body,
    whole,
)
from onnx_server.inference import Inference
from onnx_server.logs import log
from onnx_server.metrics import Metrics
from onnx_server.repository import Entry, Repository
from onnx_server.settings import Settings

Handler = Callable[[Request], Awaitable[Response]]

ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
INFERENCE_ID = "x-amzn-sagemaker-inference-id"
PAGE = 100
"""Models on one page of ``GET /models``, at most."""


class App:
    """All routes over one repository and engine; ``handle`` never raises for a client's mistake."""

    def __init__(
        self, settings: Settings, engine: Engine, repository: Repository, metrics: Metrics
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.repository = repository
        self.metrics = metrics
        self.single: str | None = None
        """Name of the one model that /invocations asks, once it is loaded."""
        self.draining = False
        self.inference = Inference(settings, engine, metrics)
        self._ids = count(1)
        self._prefix = f"{time.time_ns() // 1_000_000:x}-"
        self._routes: dict[str, dict[str, Handler]] = {
            "/ping": {"GET": self._ping, "POST": self._ping},
            "/invocations": {"POST": self._invocations},
            "/execution-parameters": {"GET": self._execution_parameters},
            "/metrics": {"GET": self._metrics},
            "/": {"GET": self._page},
            "/openapi.json": {"GET": self._openapi},
            "/v2": {"GET": self._server_metadata},
            "/v2/health/live": {"GET": self._live},
            "/v2/health/ready": {"GET": self._ready},
        }
        if settings.multi_model:
            self._routes["/models"] = {"GET": self._list, "POST": self._load}

    async def handle(self, request: Request) -> Response:
        """The response to a request."""
        start = time.perf_counter()
        try:
            self._authorize(request)
            response = await self._handler(request)(request)
        except ServerError as error:
            response = error_response(error, request.id)
            if error.status >= 500:
                log("request_failed", level="error", request_id=request.id, path=request.path,
                    status=error.status, error=error.message)  # fmt: skip
        except asyncio.CancelledError:
            raise
        except Exception as error:
            response = error_response(ModelError("The server failed."), request.id)
            log("fault", level="error", request_id=request.id, path=request.path,
                error=f"{type(error).__name__}: {error}")  # fmt: skip
        for name in (ATTRIBUTES, INFERENCE_ID):
            if (value := request.headers.get(name)) is not None:
                response.headers.append((name, value))
        response.headers.append(("x-request-id", request.id))
        self.metrics.responded(request.path, response.status, time.perf_counter() - start)
        return response

    def next_id(self) -> str:
        """An id for a request that brought none."""
        return f"{self._prefix}{next(self._ids)}"

    # --- routing ---------------------------------------------------------------------------------

    def _handler(self, request: Request) -> Handler:
        methods = self._routes.get(request.path) or self._nested(request.path)
        if methods is None:
            raise NotFound("There is no such route.")
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            raise MethodNotAllowed(f"This route takes {', '.join(methods)}.")
        return handler

    def _nested(self, path: str) -> dict[str, Handler] | None:
        """Methods of a route that names a model; the path is decoded, so names may hold slashes."""
        if self.settings.multi_model and (rest := path.removeprefix("/models/")) not in ("", path):
            return self._of_model(rest)
        match path.split("/"):
            case ["", "v2", "models", name]:
                return {"GET": lambda _: self._metadata(name)}
            case ["", "v2", "models", name, "ready"]:
                return {"GET": lambda _: self._model_ready(name)}
            case ["", "v2", "models", name, "infer"]:
                return {"POST": lambda request: self._infer(name, request)}
        return None

    def _of_model(self, rest: str) -> dict[str, Handler]:
        if rest.endswith("/invoke"):
            return {"POST": lambda request: self._invoke(rest.removesuffix("/invoke"), request)}
        return {"GET": lambda _: self._describe(rest), "DELETE": lambda _: self._unload(rest)}

    def _authorize(self, request: Request) -> None:
        token = self.settings.token
        if token and request.path != "/ping":
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
                raise Unauthorized("A bearer token is wanted.")

    # --- health ----------------------------------------------------------------------------------

    async def _ping(self, _: Request) -> Response:
        if self.draining or not (self.settings.multi_model or self.single):
            return Response(503)
        return Response(200)

    async def _live(self, _: Request) -> Response:
        return json_response({"live": True})

    async def _ready(self, request: Request) -> Response:
        status = (await self._ping(request)).status
        return json_response({"ready": status == 200}, status)

    # --- inference -------------------------------------------------------------------------------

    async def _invocations(self, request: Request) -> Response:
        if self.settings.multi_model:
            raise NotFound("This server holds many models: POST /models/{name}/invoke.")
        if self.single is None:
            raise Unavailable("The model is still loading.", retry_after_s=1)
        return await self._invoke(self.single, request)

    async def _invoke(self, name: str, request: Request) -> Response:
        return await self.inference.invoke(self.repository.line(name), request)

    async def _infer(self, name: str, request: Request) -> Response:
        return await self.inference.infer(self.repository.line(name), request)

    # --- many models -----------------------------------------------------------------------------

    async def _list(self, request: Request) -> Response:
        query = parse_qs(request.query)
        first = whole(query.get("next_page_token", ["0"])[0])
        limit = whole(query.get("limit", [str(PAGE)])[0])
        if first is None or not limit:
            raise BadRequest("limit and next_page_token must be whole numbers.")
        entries = self.repository.entries()
        last = first + min(limit, PAGE)
        answer: dict[str, Any] = {"models": [_platform_entry(e) for e in entries[first:last]]}
        if last < len(entries):
            answer["nextPageToken"] = str(last)
        return json_response(answer)

    async def _load(self, request: Request) -> Response:
        if self.draining:
            raise Unavailable("The server is shutting down.", retry_after_s=1)
        body = await read_body(request, 65_536, self.settings.body_timeout_s)
        try:
            raw = orjson.loads(body)
            name, url = raw["model_name"], raw["url"]
        except (ValueError, KeyError, TypeError):
            raise BadRequest('The body must be {"model_name": ..., "url": ...}.') from None
        if not isinstance(name, str) or not isinstance(url, str) or not name or len(name) > 1024:
            raise BadRequest("model_name and url must be texts.", field="model_name")
        entry = await self.repository.load(name, url)
        self._loaded(entry)
        return json_response(_platform_entry(entry))

    def _loaded(self, entry: Entry) -> None:
        """Count and log a model that was loaded."""
        assert entry.line is not None
        model = entry.line.model
        self.metrics.loaded(entry.name, model.load_s, model.memory_bytes)
        log(
            "model_loaded",
            model=entry.name,
            seconds=round(model.load_s, 3),
            memory_bytes=model.memory_bytes,
            batches=model.batches,
            why_not=model.why_not,
        )

    async def load_single(self) -> None:
        """Load the one model, after which /ping answers 200.

        Raises:
            InvalidModel: it cannot be loaded.
        """
        folder = self.settings.model
        if folder is None or not folder.exists():
            raise InvalidModel(f"There is no model folder at {folder}.")
        name = folder.stem if folder.is_file() else folder.name
        entry = await self.repository.load(name or "model", str(folder), anywhere=True)
        self._loaded(entry)
        self.single = entry.name

    async def load_again(self, name: str, url: str) -> None:
        """Load a model that the worker before this one had; after a crash it may not load."""
        try:
            self._loaded(await self.repository.load(name, url))
        except ServerError as error:
            log("not_loaded_again", level="error", model=name, error=error.message)

    async def _describe(self, name: str) -> Response:
        return json_response(_platform_entry(self.repository.entry(name)))

    async def _unload(self, name: str) -> Response:
        await self.repository.unload(name)
        self.inference.forget(name)
        self.metrics.unloaded(name)
        log("model_unloaded", model=name)
        return json_response({"status": f"The model '{name[:100]}' is unloaded."})

    # --- descriptions ----------------------------------------------------------------------------

    async def _execution_parameters(self, _: Request) -> Response:
        megabytes = max(1, self.settings.max_body_bytes // 1_048_576)
        return json_response(
            {
                "MaxConcurrentTransforms": max(1, min(self.settings.lanes, 100 // megabytes)),
                "BatchStrategy": "MULTI_RECORD",
                "MaxPayloadInMB": min(megabytes, 100),
            }
        )

    async def _metrics(self, _: Request) -> Response:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(200, [("content-type", kind)], self.metrics.render())

    async def _page(self, _: Request) -> Response:
        mode: Literal["single", "multi"] = "multi" if self.settings.multi_model else "single"
        return Response(200, page.headers(), page.render(self._models(), mode))

    async def _openapi(self, _: Request) -> Response:
        mode: Literal["single", "multi"] = "multi" if self.settings.multi_model else "single"
        return json_response(openapi.document(self._models(), mode))

    async def _server_metadata(self, _: Request) -> Response:
        return json_response(
            {"name": "onnx_server", "version": __version__, "extensions": ["binary_tensor_data"]}
        )

    async def _metadata(self, name: str) -> Response:
        line = self.repository.line(name)
        model = line.model
        return json_response(
            {
                "name": name,
                "versions": ["1"],
                "platform": "onnxruntime_onnx",
                "inputs": [v2.tensor_metadata(t) for t in model.manifest.inputs],
                "outputs": [v2.tensor_metadata(t) for t in model.manifest.outputs],
                "properties": {
                    "batches": model.batches,
                    "why_not": model.why_not,
                    "memory_bytes": model.memory_bytes,
                },
            }
        )

    async def _model_ready(self, name: str) -> Response:
        self.repository.line(name)
        return json_response({"name": name, "ready": True})

    def _models(self) -> list[dict[str, Any]]:
        return [_description(entry.line, self.settings.multi_model)
                for entry in self.repository.entries() if entry.line is not None]  # fmt: skip


def _platform_entry(entry: Entry) -> dict[str, str]:
    return {"modelName": entry.name, "modelUrl": entry.url}


def _description(line: Line, multi_model: bool) -> dict[str, Any]:
    manifest = line.model.manifest
    preprocess = manifest.preprocess
    return {
        "name": line.name,
        "inputs": [_tensor(t) for t in manifest.inputs],
        "outputs": [_tensor(t) for t in manifest.outputs],
        "labels": manifest.labels,
        "preprocess": None if preprocess is None else preprocess.kind,
        "memory_bytes": line.model.memory_bytes,
        "path": f"/models/{line.name}/invoke" if multi_model else "/invocations",
    }


def _tensor(tensor: Any) -> dict[str, Any]:
    return {"name": tensor.name, "dtype": str(tensor.dtype), "shape": list(tensor.shape)}
