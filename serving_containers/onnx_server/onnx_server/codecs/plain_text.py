"""``text/plain``: the whole body is one text, or the content of one file."""

from __future__ import annotations

from onnx_server.codecs import _decoded
from onnx_server.codecs._decoded import Decoded
from onnx_server.errors import UnsupportedMediaType
from onnx_server.manifest import Manifest
from onnx_server.preprocess import Preprocessor

MEDIA = ("text/plain",)


def decode(body: bytes, manifest: Manifest, preprocessor: Preprocessor | None) -> Decoded:
    """One sample, newlines included."""
    if preprocessor is None or preprocessor.kind == "image":
        raise UnsupportedMediaType("The model does not read texts.")
    sample = _decoded.utf8(body) if preprocessor.kind == "text" else body
    return _decoded.from_samples([sample], "instances", preprocessor)
