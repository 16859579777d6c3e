"""The OpenAPI 3.1 document of all routes, with the body of each model from its signature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from onnx_server import __version__
from onnx_server.codecs import DECODERS

Json = dict[str, Any]

EXAMPLE_VALUES = 1024
"""Largest example in values; a picture as JSON helps nobody."""
EXAMPLE_TEXTS = ("A first sentence.", "Another one, to compare.")
RAW = {
    "text": ("text/plain",),
    "image": ("image/png", "image/jpeg"),
    "bytes": ("application/octet-stream",),
}
MEDIA = tuple(media for media in DECODERS if not any(media in kinds for kinds in RAW.values()))
ERRORS = {
    400: "The body or a value of it is wrong; `field` names which.",
    401: "The bearer token is missing or wrong.",
    404: "There is no such model or route.",
    406: "No format of `Accept` can be given.",
    408: "The body did not arrive in time.",
    409: "The model is already loaded.",
    413: "The body is larger than the limit.",
    415: "The content type is not known, or does not fit the model.",
    422: "The model's files are wrong.",
    429: "The queue of the model is full; `Retry-After` says when to come again.",
    500: "The model failed while it ran.",
    503: "Not ready, or shutting down.",
    504: "The request waited longer than it may.",
    507: "The model does not fit into memory; unload another first.",
}
INFER = (400, 401, 404, 406, 408, 413, 415, 429, 500, 503, 504)
LOAD = (400, 401, 404, 408, 409, 413, 422, 503, 507)
INTEGERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


def document(models: Sequence[Mapping[str, Any]], mode: Literal["single", "multi"]) -> Json:
    """The document for the loaded models; ``mode`` says whether there is the /models API.

    An item of ``models`` has ``name``, ``inputs`` and ``outputs`` (each with name, dtype, shape),
    ``labels``, ``preprocess`` (its kind or None), ``memory_bytes`` and ``path``.
    """
    paths = _common_paths()
    if mode == "multi":
        paths |= _models_paths()
    for index, model in enumerate(models):
        paths[quoted_path(model)] = {"post": _invoke(model, f"invoke{index}")}
    if mode == "single" and not models:
        paths["/invocations"] = {"post": _invoke(None, "invoke")}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "onnx_server",
            "version": __version__,
            "summary": "Serves ONNX models.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": _error_schema(), "Model": _model_schema()},
            "responses": {str(status): _error(status) for status in ERRORS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def example(model: Mapping[str, Any]) -> Json | None:
    """A JSON body that the model takes, None when it would be too large to show.

    For text two sentences; else one sample of zeros, dynamic axes of length 1.
    """
    if model["preprocess"] == "text":
        return {"instances": list(EXAMPLE_TEXTS)}
    shapes = [[d if isinstance(d, int) else 1 for d in t["shape"][1:]] for t in model["inputs"]]
    if sum(map(_size, shapes)) > EXAMPLE_VALUES:
        return None
    samples = {
        tensor["name"]: _filled(shape, _zero(tensor["dtype"]))
        for tensor, shape in zip(model["inputs"], shapes, strict=True)
    }
    return {"instances": [next(iter(samples.values())) if len(samples) == 1 else samples]}


def body_schema(model: Mapping[str, Any]) -> Json:
    """JSON Schema of the ``application/json`` body that the model takes."""
    inputs = model["inputs"]
    if len(inputs) == 1:
        sample, whole = _nested(inputs[0], 1), _nested(inputs[0], 0)
    else:
        sample, whole = _object(inputs, 1), _object(inputs, 0)
    instances: list[Json] = [_by_key("instances", {"type": "array", "items": sample})]
    if model["preprocess"] == "text":
        texts = {"type": "array", "items": {"type": "string"}}
        instances = [_by_key("instances", texts), *instances]
    return {"anyOf": [*instances, _by_key("inputs", whole)]}


def quoted_path(model: Mapping[str, Any]) -> str:
    """The model's path as a client sends it; braces would mark a parameter in the document."""
    return quote(model["path"], safe="/%:@!$&'()*+,;=~", errors="replace")


def _common_paths() -> Json:
    health = {"200": {"description": "Ready."}, "503": _reference(503)}
    name = _name_parameter()
    return {
        "/ping": {
            "get": _operation("ping", "Whether the server is ready.", health),
            "post": _operation("pingPost", "Whether the server is ready.", health),
        },
        "/execution-parameters": {
            "get": _operation(
                "executionParameters", "How a batch job should call.", _json({"type": "object"})
            )
        },
        "/metrics": {
            "get": _operation(
                "metrics", "Metrics in the Prometheus text format.", _content("text/plain")
            )
        },
        "/": {"get": _operation("page", "A page to try the models.", _content("text/html"))},
        "/openapi.json": {
            "get": _operation("openapi", "This document.", _json({"type": "object"}))
        },
        "/v2": {"get": _operation("serverMetadata", "The server.", _json({"type": "object"}))},
        "/v2/health/live": {"get": _operation("live", "Whether the server lives.", _json({}))},
        "/v2/health/ready": {"get": _operation("ready", "Whether it is ready.", health)},
        "/v2/models/{name}": {
            "parameters": [name],
            "get": _operation("modelMetadata", "Signature of a model.", _json({}), (401, 404)),
        },
        "/v2/models/{name}/ready": {
            "parameters": [name],
            "get": _operation("modelReady", "Whether it is loaded.", _json({}), (401, 404)),
        },
        "/v2/models/{name}/infer": {"parameters": [name], "post": _infer()},
    }


def _models_paths() -> Json:
    reference = {"$ref": "#/components/schemas/Model"}
    page = {
        "type": "object",
        "required": ["models"],
        "properties": {
            "models": {"type": "array", "items": reference},
            "nextPageToken": {"type": "string"},
        },
    }
    wanted = {
        "type": "object",
        "required": ["model_name", "url"],
        "properties": {"model_name": {"type": "string"}, "url": {"type": "string"}},
    }
    listing = _operation("listModels", "The loaded models.", _json(page), (400, 401))
    listing["parameters"] = [_query("next_page_token"), _query("limit")]
    loading = _operation("loadModel", "Load a model.", _json(reference), LOAD)
    loading["requestBody"] = {"required": True, "content": {"application/json": {"schema": wanted}}}
    return {
        "/models": {"get": listing, "post": loading},
        "/models/{name}": {
            "parameters": [_name_parameter()],
            "get": _operation("describeModel", "One model.", _json(reference), (401, 404)),
            "delete": _operation("unloadModel", "Unload a model.", _json({}), (401, 404)),
        },
        "/models/{name}/invoke": {
            "parameters": [_name_parameter()],
            "post": _invoke(None, "invoke"),
        },
    }


def _invoke(model: Mapping[str, Any] | None, operation: str) -> Json:
    kind = None if model is None else model["preprocess"]
    content: Json = {media: {} for media in (*MEDIA, *RAW.get(kind or "", ()))}
    if model is not None:
        content["application/json"] = {"schema": body_schema(model)}
        if (body := example(model)) is not None:
            content["application/json"]["example"] = body
    title = "Ask a model." if model is None else f"Ask {model['name']}."
    answer = {"200": {"description": "The answer.", "content": {media: {} for media in MEDIA}}}
    made = _operation(operation, title, answer, INFER)
    made["requestBody"] = {"required": True, "content": content}
    made["parameters"] = [
        _header("X-Request-Timeout-Ms", "The answer is not wanted after this many milliseconds."),
        _header("X-Amzn-SageMaker-Custom-Attributes", "Comes back with the answer."),
        _header("X-Amzn-SageMaker-Inference-Id", "Comes back with the answer."),
    ]
    return made


def _infer() -> Json:
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "datatype": {"type": "string"},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
    }
    body = _by_key("inputs", {"type": "array", "items": tensor})
    made = _operation("infer", "Ask a model (Open Inference Protocol).", _json({}), INFER)
    made["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": body}, "application/octet-stream": {}},
    }
    return made


def _operation(name: str, summary: str, answers: Json, errors: Iterable[int] = ()) -> Json:
    failed = {str(status): _reference(status) for status in errors}
    return {"operationId": name, "summary": summary, "responses": {**answers, **failed}}


def _json(schema: Json) -> Json:
    content = {"application/json": {"schema": schema}}
    return {"200": {"description": "The answer.", "content": content}}


def _content(media: str) -> Json:
    content = {media: {"schema": {"type": "string"}}}
    return {"200": {"description": "The answer.", "content": content}}


def _reference(status: int) -> Json:
    return {"$ref": f"#/components/responses/{status}"}


def _error(status: int) -> Json:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": ERRORS[status], "content": {"application/json": {"schema": schema}}}


def _error_schema() -> Json:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["error", "request_id"],
        "properties": {"error": text, "field": text, "request_id": text},
    }


def _model_schema() -> Json:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["modelName", "modelUrl"],
        "properties": {"modelName": text, "modelUrl": text},
    }


def _name_parameter() -> Json:
    return {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}


def _query(name: str) -> Json:
    return {"name": name, "in": "query", "schema": {"type": "string", "pattern": "^[0-9]+$"}}


def _header(name: str, text: str) -> Json:
    return {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}


def _by_key(key: str, schema: Json) -> Json:
    return {"type": "object", "required": [key], "properties": {key: schema}}


def _object(tensors: Sequence[Mapping[str, Any]], skip: int) -> Json:
    properties = {tensor["name"]: _nested(tensor, skip) for tensor in tensors}
    return {"type": "object", "required": list(properties), "properties": properties}


def _nested(tensor: Mapping[str, Any], skip: int) -> Json:
    """Arrays in arrays, as the shape says without its first ``skip`` axes."""
    schema = _value(tensor["dtype"])
    for length in reversed(tensor["shape"][skip:]):
        schema = {"type": "array", "items": schema}
        if isinstance(length, int):
            schema |= {"minItems": length, "maxItems": length}
    return schema


def _value(dtype: str) -> Json:
    if dtype in INTEGERS:
        bits = int(dtype.rpartition("int")[2])
        if dtype.startswith("u"):
            return {"type": "integer", "minimum": 0, "maximum": 2**bits - 1}
        return {"type": "integer", "minimum": -(2 ** (bits - 1)), "maximum": 2 ** (bits - 1) - 1}
    if dtype.startswith(("float", "bfloat")):
        return {"type": "number"}
    return {"type": "boolean"} if dtype == "bool" else {"type": "string"}


def _zero(dtype: str) -> Any:
    return {"integer": 0, "number": 0.0, "boolean": False, "string": ""}[_value(dtype)["type"]]


def _size(shape: Sequence[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _filled(shape: Sequence[int], value: Any) -> Any:
    for length in reversed(shape):
        value = [value] * length
    return value
