"""The command line: ``onnx-server`` at a desk, ``serve`` in a container."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from onnx_server import __version__
from onnx_server.settings import Settings, SettingsError, read_settings

EPILOG = """examples:
  onnx-server --model runs/minilm-int8/variants/int8
  onnx-server --model model.onnx --port 9000
  onnx-server --multi-model --models-dir models

Every setting can be given as ONNX_SERVER_<NAME> in the environment; README.md lists them."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """``onnx-server``: exit codes 0 ok, 2 wrong options or settings, 3 the model does not load."""
    parser = argparse.ArgumentParser(
        "onnx-server", description="Serve ONNX models over HTTP.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--model", type=Path, help="folder of the model, or an .onnx file")
    parser.add_argument("--multi-model", action="store_true", help="serve many: POST /models")
    parser.add_argument("--models-dir", type=Path, help="folder in which the many models lie")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default 8080)")
    parser.add_argument("--version", action="version", version=f"onnx-server {__version__}")
    options = parser.parse_args(arguments)
    if options.multi_model == (options.model is not None):
        parser.error("give either --model DIR or --multi-model")
    given = {name: value for name, value in vars(options).items() if value not in (None, False)}
    host = os.environ.get("ONNX_SERVER_HOST", "127.0.0.1")
    _run(lambda s: dataclasses.replace(s, **{"host": host, "multi_model": False, **given}))


def serve() -> NoReturn:
    """``serve``: the entry point of a container; further arguments are ignored."""
    _run(lambda settings: settings)


def _run(adjust: object) -> NoReturn:
    try:
        settings: Settings = adjust(read_settings())  # type: ignore[operator]
    except SettingsError as error:
        sys.exit(_fail(str(error)))
    from onnx_server.supervisor import supervise

    try:
        sys.exit(supervise(settings))
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        sys.exit(_fail(f"{where} cannot be listened on: {error.strerror or error}."))


def _fail(message: str) -> int:
    print(f"onnx-server: {message}", file=sys.stderr)
    return 2
