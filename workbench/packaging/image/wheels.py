"""The wheels of the server's requirements: fetched by hash, unpacked into the image's packages.

pip fetches them, with the index, proxy and certificates that its user has configured, for the
image's Python whatever Python runs here. Source of the wheel's format: PEP 427 and PEP 376.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import posixpath
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.artifact import disk_errors, file_digest
from workbench.errors import CorruptError, MissingError, StepError
from workbench.packaging.image.elf import is_elf, stripped
from workbench.packaging.image.places import SITE
from workbench.packaging.image.tar_layer import File

PYTHON = "3.11"
PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(36, 16, -1)),
    "manylinux2014_x86_64",
)
"""What runs on the image's glibc, 2.36, as pip names it; the lock's hashes say which is taken."""
MAX_BYTES = 1 << 30
"""Of a wheel unpacked."""
Requirement = tuple[str, str, tuple[str, ...]]
"""Name, version, and the SHA-256 in hex of each file that may be taken for it."""


@dataclass(frozen=True)
class Wheel:
    """A wheel on this machine."""

    name: str
    version: str
    sha256: str
    path: Path


def fetch_wheels(requirements: Sequence[Requirement], folder: Path) -> tuple[list[Wheel], int]:
    """The wheels in ``folder``, named by their digests, and how many of them had to be fetched.

    Raises:
        MissingError: there is no pip, or it cannot fetch them.
        CorruptError: a file is not what is locked.
    """
    absent = [wanted for wanted in requirements if _stored(wanted, folder) is None]
    if absent:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".pip.") as temporary:
            _download(absent, Path(temporary))
            for file in Path(temporary).glob("*.whl"):
                file.replace(folder / f"{file_digest(file)}.whl")
    wheels = [_stored(wanted, folder) for wanted in requirements]
    whole = [wheel for wheel in wheels if wheel is not None]
    if len(whole) != len(requirements):
        raise CorruptError("pip has fetched other files than those that are locked.")
    return whole, len(absent)


def unpack_wheel(wheel: Wheel, left_out: Callable[[str], bool]) -> dict[str, File]:
    """What a wheel installs, without what is left out; libraries without their symbols.

    Scripts and headers are not installed. The digest of each file that is kept is compared with
    the wheel's RECORD.

    Raises:
        CorruptError: it is no wheel, too large, a path leads outside, or a digest differs.
    """
    try:
        with zipfile.ZipFile(wheel.path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            if sum(info.file_size for info in infos) > MAX_BYTES:
                raise ValueError(f"it has more than {MAX_BYTES} bytes")
            record = _record(archive)
            found = {}
            for info in infos:
                place = _place(info.filename)
                if place is None or left_out(place):
                    continue
                content = archive.read(info)
                _check(info.filename, content, record)
                if is_elf(content):
                    content = stripped(content, place)
                found[place] = File(content)
            return found
    except (zipfile.BadZipFile, zlib.error, ValueError, LookupError, OSError) as error:
        raise CorruptError(
            f"The wheel of {wheel.name} {wheel.version} cannot be unpacked: {error}."
        ) from error


def installed(wheels: Sequence[Wheel], left_out: Callable[[str], bool]) -> dict[str, File]:
    """What all wheels install together.

    Raises:
        StepError: two of them have the same file.
    """
    together: dict[str, File] = {}
    for wheel in wheels:
        for path, entry in unpack_wheel(wheel, left_out).items():
            if path in together:
                raise StepError(f"Two wheels have the file {path}.")
            together[path] = entry
    return together


def _stored(wanted: Requirement, folder: Path) -> Wheel | None:
    name, version, hashes = wanted
    for sha256 in hashes:
        path = folder / f"{sha256}.whl"
        if path.is_file() and file_digest(path) == sha256:
            return Wheel(name, version, sha256, path)
    return None


def _download(requirements: Sequence[Requirement], folder: Path) -> None:
    lock = folder / "requirements.txt"
    lock.write_text(
        "".join(
            f"{name}=={version} {' '.join(f'--hash=sha256:{digest}' for digest in hashes)}\n"
            for name, version, hashes in requirements
        ),
        encoding="utf-8",
    )
    command = [*_pip(), "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", str(folder)]
    command += ["--python-version", PYTHON, "--implementation", "cp", "--requirement", str(lock)]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["it gives no reason"]
        raise MissingError(
            f"pip cannot fetch the wheels: {last[0].removeprefix('ERROR: ')}",
            hint="Check the network and pip's configuration (pip config list).",
        )


def _pip() -> list[str]:
    """pip of this Python, else the one on the PATH; it works for another Python either way."""
    from importlib.util import find_spec

    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if found := shutil.which("pip3") or shutil.which("pip"):
        return [found]
    raise MissingError(
        "There is no pip, which fetches the image's wheels.",
        hint=f"Install it: {os.path.basename(sys.executable)} -m ensurepip",
    )


def _record(archive: zipfile.ZipFile) -> dict[str, str]:
    """``sha256=…`` by the path of each file, by the RECORD of the wheel."""
    names = [
        name
        for name in archive.namelist()
        if name.endswith(".dist-info/RECORD") and name.count("/") == 1
    ]
    if len(names) != 1:
        raise ValueError("it has no RECORD")
    rows = csv.reader(io.StringIO(archive.read(names[0]).decode()))
    return {row[0]: row[1] for row in rows if len(row) == 3}


def _check(name: str, content: bytes, record: dict[str, str]) -> None:
    if name.endswith(".dist-info/RECORD"):
        return
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    if record.get(name) != f"sha256={digest}":
        raise ValueError(f"'{name}' is not what its RECORD says")


def _place(name: str) -> str | None:
    """The path in the image; none for scripts and headers.

    Raises:
        ValueError: it leads outside, or belongs to a part of the system.
    """
    path = posixpath.normpath(name)
    if path.startswith(("/", "../")) or path in ("..", ".") or "\\" in path:
        raise ValueError(f"'{name}' leads outside")
    top, _, rest = path.partition("/")
    if not top.endswith(".data"):
        return f"{SITE}/{path}"
    kind, _, inner = rest.partition("/")
    if kind in ("purelib", "platlib"):
        return f"{SITE}/{inner}"
    if kind in ("scripts", "headers"):
        return None
    raise ValueError(f"'{name}' does not belong into a folder of packages")
