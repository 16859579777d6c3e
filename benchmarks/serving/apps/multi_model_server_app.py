"""A custom service of multi-model-server: a module with ``handle(data, context)``."""

from __future__ import annotations

import json

from predictor import Predictor, from_environment

PREDICTOR: list[Predictor] = []


def handle(data: list[dict] | None, context: object) -> list[str] | None:
    """Called once without data when the worker starts, then with one request at a time."""
    if not PREDICTOR:
        PREDICTOR.append(from_environment())
    if data is None:
        return None
    body = data[0]["body"]
    value = body if isinstance(body, dict) else json.loads(body)
    return [json.dumps({"predictions": PREDICTOR[0](value["instances"])})]
