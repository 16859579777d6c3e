"""Serves ONNX models over HTTP, one or many; needs numpy, onnxruntime, orjson and Granian.

Knows nothing of the workbench: the two share the format of ``manifest.json`` and no code.
"""

__version__ = "0.1.0"
