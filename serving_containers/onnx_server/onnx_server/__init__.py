"""Serves ONNX models over HTTP, one or many; needs numpy, onnxruntime, Granian, uvloop, orjson.

Knows nothing of the workbench: the two share the format of ``manifest.json`` and no code.
"""

import os

# Since 1.29 onnxruntime reports to its maker unless told otherwise before it is imported; a server
# sends nothing that nobody asked it to send. Set it to 0 to have it on.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
