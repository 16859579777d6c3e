"""Serving at a desk: the model server as a process of its own, and a small hosting platform.

The server is a package of its own (``onnx_server``); it is started, never imported.
"""

from workbench.serving.artifacts import pack_artifact, resolve_artifacts
from workbench.serving.local import serve_locally
from workbench.serving.process import ServerProcess
from workbench.serving.served import Served, ServedModel
from workbench.serving.session import PlatformOptions, serve_platform

__all__ = [
    "PlatformOptions",
    "Served",
    "ServedModel",
    "ServerProcess",
    "pack_artifact",
    "resolve_artifacts",
    "serve_locally",
    "serve_platform",
]
