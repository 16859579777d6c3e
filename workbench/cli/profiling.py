"""``workbench profile`` and ``workbench explain``: any ONNX file, without a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Add this module's commands."""


_ = (Path, Annotated)
