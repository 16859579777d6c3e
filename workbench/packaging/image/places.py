"""Where things lie in the image, as paths from its root."""

from __future__ import annotations

MULTIARCH = "usr/lib/x86_64-linux-gnu"
LOADER = f"{MULTIARCH}/ld-linux-x86-64.so.2"
PYTHON = "usr/bin/python3.11"
STDLIB = "usr/lib/python3.11"
SITE = "usr/local/lib/python3.11/dist-packages"
"""Where Debian's Python looks for packages that are not Debian's."""
MODEL = "opt/ml/model"
MODELS = "opt/ml/models"
