"""BentoML as its guide shows it: a service class with one API, one worker process per CPU."""

from __future__ import annotations

import os

import bentoml
from predictor import from_environment


@bentoml.service(workers=os.cpu_count() or 1, metrics={"enabled": True})
class Model:
    """The benchmark's model."""

    def __init__(self) -> None:
        self.predictor = from_environment()

    @bentoml.api
    def predict(self, instances: list) -> list:
        """Run the model."""
        return self.predictor(instances)
