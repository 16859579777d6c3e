"""What tests share."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

import pytest


def needs(package: str) -> pytest.MarkDecorator:
    """Skip a test, with the reason, where a package that ships a model or data is missing."""
    try:
        distribution(package)
        missing = False
    except PackageNotFoundError:
        missing = True
    return pytest.mark.skipif(
        missing, reason=f"{package} is not installed (models/requirements.txt)"
    )
