"""A custom MLServer runtime, through the Open Inference Protocol v2 that MLServer speaks."""

from __future__ import annotations

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from predictor import from_environment


class Runtime(MLModel):
    """The benchmark's model."""

    async def load(self) -> bool:
        """Load the model in the worker."""
        self.predictor = from_environment()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Run the model."""
        first = payload.inputs[0]
        codec = StringCodec if first.datatype == "BYTES" else NumpyCodec
        rows = np.asarray(self.predictor(codec.decode_input(first)), np.float32)
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("predictions", rows)]
        )
