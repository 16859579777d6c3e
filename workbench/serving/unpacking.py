"""Model archives are unpacked without trusting them."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from workbench.artifact import MANIFEST
from workbench.errors import InputError
from workbench.records import Manifest

MAX_BYTES = 20 * 1024**3
MAX_FILES = 10_000
HEADER_BYTES = 1 << 20
"""Bytes that may lie between the contents of two members: headers, long names, padding."""
BLOCK = 1 << 16
"""Bytes read at a time; a multiple of tar's 512."""
MALFORMED = (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, LookupError)
"""What tarfile and gzip raise on an archive that is not one, and the disk on writing it."""


class ArchiveError(InputError):
    """An archive is not there, malformed, or holds what could do harm."""


def unpack(
    file: IO[bytes], folder: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES
) -> None:
    """Unpack a ``.tar.gz`` into a new folder.

    Only regular files and folders are taken. A member is written only when it is within the limits
    together with all before it, so that a small archive cannot fill the disk.

    Raises:
        ArchiveError: it is malformed, too large, or holds an absolute path, ``..``, a link or a
            device.
    """
    left, count = max_bytes, 0
    try:
        stream = _Bounded(gzip.GzipFile(fileobj=file))
        with tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK) as tar:
            for member in tar:
                left, count = left - member.size, count + 1
                if left < 0 or member.size < 0 or count > max_files:
                    raise ArchiveError(
                        f"The archive holds more than {max_bytes} bytes or {max_files} files."
                    )
                stream.allow(member.size + HEADER_BYTES)
                _take(tar, member, folder)
    except MALFORMED as error:
        raise ArchiveError(f"The archive cannot be unpacked: {error}") from error
    if count == 0:
        raise ArchiveError("The archive is empty.")


def first_manifest(file: IO[bytes]) -> Manifest | None:
    """The manifest of an archive whose first member it is, else none; raises nothing."""
    try:
        with tarfile.open(fileobj=_Bounded(gzip.GzipFile(fileobj=file)), mode="r|") as tar:
            member = tar.next()
            if member is None or member.name != MANIFEST or member.size > HEADER_BYTES:
                return None
            content = tar.extractfile(member)
            return Manifest.model_validate_json(content.read()) if content else None
    except (*MALFORMED, ArchiveError):
        return None


class _Bounded(io.BufferedIOBase):
    """The decompressed archive; tarfile would read a header of any size into memory."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file, self._left = file, HEADER_BYTES

    def allow(self, size: int) -> None:
        """Let so many bytes be read from here on."""
        self._left = size

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, at most ``size``.

        Raises:
            ArchiveError: more were read than is allowed.
        """
        block = self._file.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise ArchiveError(f"The archive has a header of more than {HEADER_BYTES} bytes.")
        return block


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise ArchiveError(f"The archive's member '{member.name}' would leave its folder.")
    target = folder / path
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise ArchiveError(f"The archive's member '{member.name}' is no regular file.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as written:
        while block := content.read(1 << 20):
            written.write(block)
