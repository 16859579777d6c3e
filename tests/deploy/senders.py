"""Tests with the SageMaker SDK where it is installed, and as if it were not."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

import pytest


def _installed() -> bool:
    try:
        version("sagemaker-core")
    except PackageNotFoundError:
        return False
    return True


needs_sdk = pytest.mark.skipif(
    not _installed(), reason="sagemaker-core is not installed (the extra 'sagemaker')"
)


def without_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing it fails as where it is not installed."""
    for name in ("sagemaker", "sagemaker.core", "sagemaker.core.resources"):
        monkeypatch.setitem(sys.modules, name, None)
