"""LitServe as its guide shows it: setup, decode, predict, encode; one worker process per CPU."""

from __future__ import annotations

import os

import litserve
from predictor import Predictor, from_environment


class Api(litserve.LitAPI):
    """The benchmark's model."""

    predictor: Predictor

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        self.predictor = from_environment()

    def decode_request(self, request: dict, **kwargs: object) -> list:
        """The instances of the body."""
        return request["instances"]

    def predict(self, x: list, **kwargs: object) -> list[list[float]]:
        """Run the model."""
        return self.predictor(x)

    def encode_response(self, output: list[list[float]], **kwargs: object) -> dict:
        """The body of the answer."""
        return {"predictions": output}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=os.cpu_count() or 1)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCHMARK_PORT"]),
        generate_client_file=False,
        log_level="warning",
    )
