"""One sample as it is: ``text/plain``, ``image/png``, ``image/jpeg``, ``application/octet-stream``.

The whole body is one sample, newlines included.
"""

from __future__ import annotations

from onnx_server.codecs import _decoded
from onnx_server.codecs._decoded import Decoded
from onnx_server.errors import UnsupportedMediaType
from onnx_server.manifest import Manifest
from onnx_server.preprocess import Preprocessor

MEDIA = ("application/octet-stream", "image/png", "image/jpeg")


def decode(body: bytes, manifest: Manifest, preprocessor: Preprocessor | None) -> Decoded:
    """The bytes of one image or file."""
    if preprocessor is None or preprocessor.kind == "text":
        raise UnsupportedMediaType("The model's manifest does not say how to read raw bytes.")
    return _decoded.from_samples([body], "instances", preprocessor)
