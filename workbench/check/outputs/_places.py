"""Where a gate is written, as code hosts want to be told it."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = "GITHUB_WORKSPACE"
"""The folder of the checkout in GitHub Actions: its marks and alerts name files from there, while a
check may run in a folder below (``working-directory``)."""


def in_repository(file: str) -> str:
    """A file's path from the root of the checkout, where there is one that holds it."""
    root, path = os.environ.get(CHECKOUT), Path(os.path.abspath(file))
    return path.relative_to(root).as_posix() if root and path.is_relative_to(root) else file
