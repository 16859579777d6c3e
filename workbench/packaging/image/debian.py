"""The Debian packages of an image's base: a lock, and fetching what it names.

``serving_containers/single_model/debian.lock`` names each package by version and SHA-256.
A mirror has only the newest versions; https://snapshot.debian.org has all that ever were.
Source: repository format of wiki.debian.org/DebianRepository/Format; snapshot's machine interface,
salsa.debian.org/snapshot-team/snapshot, file API.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field, ValidationError

from workbench.errors import CorruptError, MissingError
from workbench.packaging.image.download import AbsentError, fetch, get
from workbench.records import Record
from workbench.shipped import shipped

MIRROR = "https://deb.debian.org/debian"
MIRROR_VARIABLE = "WORKBENCH_DEBIAN_MIRROR"
SNAPSHOT = "https://snapshot.debian.org"
LOCK = "single_model/debian.lock"

Archive = Literal["debian", "debian-security"]


class LockedDeb(Record):
    """One package: the archive and the path in it where a mirror has it, its bytes and SHA-256."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$")
    version: str = Field(pattern=r"^[A-Za-z0-9.+:~-]+$")
    architecture: Literal["amd64", "all"]
    archive: Archive
    filename: str = Field(pattern=r"^pool/[A-Za-z0-9.+~_/%-]+\.deb$")
    size: int = Field(gt=0, le=1 << 28)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class DebianLock(Record):
    """``debian.lock``: a release of Debian, and the packages taken from it."""

    release: str = Field(pattern=r"^[a-z]+$")
    packages: tuple[LockedDeb, ...]


def lock_path() -> Path:
    """Where the shipped lock is."""
    return shipped("serving_containers") / LOCK


def read_lock(path: Path) -> DebianLock:
    """Read a lock.

    Raises:
        CorruptError: it is not there, or no lock.
    """
    try:
        return DebianLock.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise CorruptError(f"{path} cannot be read: {reason}.") from error


def mirror() -> str:
    """The mirror's URL: ``WORKBENCH_DEBIAN_MIRROR``, else Debian's own."""
    return (os.environ.get(MIRROR_VARIABLE) or MIRROR).rstrip("/")


def archive_url(base: str, archive: Archive) -> str:
    """The URL of an archive of a mirror; that of security updates lies beside ``…/debian``."""
    return base if archive == "debian" else f"{base.removesuffix('/debian')}/{archive}"


def fetch_deb(
    deb: LockedDeb, folder: Path, base: str, snapshot: str = SNAPSHOT
) -> tuple[Path, str]:
    """The package's file in ``folder``, by its digest, and the URL it came from ("": was there).

    Raises:
        MissingError: neither the mirror nor the snapshot service has it.
        CorruptError: what they have is not what was locked.
    """
    target = folder / f"{deb.sha256}.deb"
    return target, fetch(_places(deb, base, snapshot), deb.size, deb.sha256, target)


def _places(deb: LockedDeb, base: str, snapshot: str) -> Iterator[str]:
    yield f"{archive_url(base, deb.archive)}/{deb.filename}"
    # Asked only when the mirror does not have it any more.
    url = f"{snapshot}/mr/binary/{quote(deb.name)}/{quote(deb.version)}/binfiles"
    try:
        found = json.loads(get(url, 1 << 20))["result"]
        hashes = [str(f["hash"]) for f in found if f["architecture"] == deb.architecture]
    except (AbsentError, ValueError, LookupError, TypeError) as error:
        raise MissingError(
            f"{deb.name} {deb.version} is neither on the mirror nor on {snapshot}.",
            hint=f"Renew {LOCK}, or name a mirror that has it: {MIRROR_VARIABLE}.",
        ) from error
    for sha1 in hashes:
        yield f"{snapshot}/file/{quote(sha1, safe='')}"
