"""Contents of files become the ids of their first and last bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnx_server.checks import Feed
from onnx_server.errors import BadRequest, InvalidModel
from onnx_server.manifest import Manifest


class ContentPreprocessor:
    """Blocks of ``block`` bytes at either end, stripped of white space, then cut and padded."""

    kind = "bytes"

    def __init__(self, manifest: Manifest) -> None:
        if len(manifest.inputs) != 1:
            raise InvalidModel("A model that reads contents of files has one input.")
        options = manifest.preprocess.options if manifest.preprocess else {}
        self._input = manifest.inputs[0].name
        self._begin, self._end = int(options["begin"]), int(options["end"])
        self._block, self._padding = int(options["block"]), int(options["padding"])
        if min(self._begin, self._end, self._block) < 1:
            raise ValueError("begin, end and block must be at least 1")

    def __call__(self, samples: Sequence[Any]) -> Feed:
        """Int32 ids ``[samples, begin + end]``; a text counts as its UTF-8 bytes."""
        width = self._begin + self._end
        tokens = np.full((len(samples), width), self._padding, np.int32)
        for row, sample in zip(tokens, samples, strict=True):
            content = sample.encode("utf-8", "replace") if isinstance(sample, str) else sample
            if not isinstance(content, bytes):
                raise BadRequest(
                    "The model reads contents of files, but got "
                    f"{type(sample).__name__} in row {samples.index(sample)}."
                )
            begin = content[: self._block].lstrip()[: self._begin]
            end = content[-self._block :].rstrip()[-self._end :]
            row[: len(begin)] = np.frombuffer(begin, np.uint8)
            row[width - len(end) :] = np.frombuffer(end, np.uint8)
        return {self._input: tokens}
