"""``python -m onnx_server`` is ``onnx-server``."""

from onnx_server.cli import main

main()
