"""What tests share."""

from __future__ import annotations

import os
import signal
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from hypothesis import HealthCheck, settings

# As the command line does it: threads that spin while they wait are slow where much runs at once.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How long an example takes says something of the machine, not of the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts something in the background has it ignore Ctrl-C, which tests press.
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
