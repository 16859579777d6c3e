"""Renews ``debian.lock`` from a mirror: ``python -m workbench.packaging.image.debian_index``.

The packages are those of the present lock and those that are named as arguments. What is locked
is held by a chain of digests: InRelease names the SHA-256 of the index, the index that of each
package. InRelease's own signature is checked by gpgv where that and Debian's keys are installed.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from email.parser import HeaderParser
from itertools import zip_longest
from pathlib import Path
from typing import Any

from workbench.artifact import write_atomic
from workbench.errors import CorruptError, InputError
from workbench.packaging.image.debian import (
    Archive,
    DebianLock,
    LockedDeb,
    archive_url,
    lock_path,
    mirror,
    read_lock,
)
from workbench.packaging.image.download import get

KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
INDEX = "main/binary-amd64/Packages.xz"
SUITES: tuple[tuple[Archive, str], ...] = (
    ("debian", ""),
    ("debian", "-updates"),
    ("debian-security", "-security"),
)


def renew(lock: DebianLock, base: str, more: Sequence[str] = ()) -> DebianLock:
    """The lock's packages, and ``more`` by name, in the newest versions that a mirror has.

    Raises:
        InputError: the mirror has no such package.
        CorruptError: an index is not the one that its release names.
        MissingError: the mirror is not reached.
    """
    names = sorted({*(deb.name for deb in lock.packages), *more})
    newest: dict[str, LockedDeb] = {}
    for archive, suffix in SUITES:
        url = f"{archive_url(base, archive)}/dists/{lock.release}{suffix}"
        for deb in _packages(url, archive, set(names)):
            other = newest.get(deb.name)
            if other is None or compare(deb.version, other.version) > 0:
                newest[deb.name] = deb
    if absent := [name for name in names if name not in newest]:
        raise InputError(f"{base} has no package {', '.join(absent)} in {lock.release}.")
    return DebianLock(release=lock.release, packages=tuple(newest[name] for name in names))


def compare(left: str, right: str) -> int:
    """Below 0, 0 or above 0, as ``left`` is older than ``right``, the same, or newer.

    Source: Debian policy, 5.6.12.
    """
    for mine, other in zip(_parts(left), _parts(right), strict=True):
        if found := _compare_part(mine, other):
            return found
    return 0


def check_signature(release: bytes) -> bool:
    """Whether InRelease's signature was checked; false where gpgv or Debian's keys are missing.

    Raises:
        CorruptError: it is not signed by Debian.
    """
    gpgv = shutil.which("gpgv")
    if gpgv is None or not KEYS.is_file():
        return False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "InRelease"
        path.write_bytes(release)
        done = subprocess.run(
            [gpgv, "--keyring", str(KEYS), str(path)], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise CorruptError(f"InRelease is not signed by Debian: {done.stderr.strip()}.")
    return True


def main(arguments: Sequence[str]) -> None:
    """Write the renewed lock in the old one's place."""
    old = read_lock(lock_path())
    new = renew(old, mirror(), arguments)
    before = {deb.name: deb.version for deb in old.packages}
    for deb in new.packages:
        if before.get(deb.name) != deb.version:
            print(f"{deb.name}: {before.get(deb.name, 'new')} → {deb.version}")
    write_atomic(lock_path(), new.model_dump_json(indent=1) + "\n")


def _packages(url: str, archive: Archive, names: set[str]) -> Iterator[LockedDeb]:
    release = get(f"{url}/InRelease")
    if not check_signature(release):
        print(f"{url}/InRelease: the signature was not checked (no gpgv or keys).", file=sys.stderr)
    found = re.search(rf"^ ([0-9a-f]{{64}}) +\d+ {re.escape(INDEX)}$", release.decode(), re.M)
    if found is None:
        raise CorruptError(f"{url}/InRelease names no {INDEX}.")
    index = get(f"{url}/{INDEX}")
    if hashlib.sha256(index).hexdigest() != found[1]:
        raise CorruptError(f"{url}/{INDEX} is not the one that InRelease names.")
    for paragraph in lzma.decompress(index).decode().split("\n\n"):
        if paragraph.partition("\n")[0].removeprefix("Package: ") in names:
            fields: dict[str, Any] = dict(HeaderParser().parsestr(paragraph).items())
            yield LockedDeb(
                name=fields["Package"],
                version=fields["Version"],
                architecture=fields["Architecture"],
                archive=archive,
                filename=fields["Filename"],
                size=int(fields["Size"]),
                sha256=fields["SHA256"],
            )


def _parts(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-")
    return (epoch, upstream, revision) if upstream else (epoch, rest, "0")


def _compare_part(left: str, right: str) -> int:
    """Other characters and digits in turn: the former by ``_rank``, the latter as numbers."""
    for (text, number), (other, against) in zip_longest(
        re.findall(r"(\D*)(\d*)", left), re.findall(r"(\D*)(\d*)", right), fillvalue=("", "")
    ):
        for a, b in zip_longest(text, other, fillvalue=""):
            if found := _rank(a) - _rank(b):
                return found
        if found := int(number or 0) - int(against or 0):
            return found
    return 0


def _rank(character: str) -> int:
    """``~`` before the end, the end before letters, letters before all else."""
    if character == "~":
        return -1
    if not character:
        return 0
    return ord(character) + (0 if character.isalpha() else 256)


if __name__ == "__main__":
    main(sys.argv[1:])
