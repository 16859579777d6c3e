"""An idiomatic FastAPI app: a typed body, a plain ``def`` route (so it runs in the thread pool)."""

from __future__ import annotations

from fastapi import FastAPI
from predictor import from_environment
from pydantic import BaseModel

predict = from_environment()
app = FastAPI()


class Request(BaseModel):
    """Rows of numbers, or texts."""

    instances: list[str] | list[list[float]]


class Response(BaseModel):
    """One row of the output for each instance."""

    predictions: list[list[float]]


@app.get("/ping")
async def ping() -> dict[str, str]:
    """Alive."""
    return {"status": "healthy"}


@app.post("/invocations")
def invocations(request: Request) -> Response:
    """Run the model."""
    return Response(predictions=predict(request.instances))
