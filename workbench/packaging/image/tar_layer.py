"""A layer from entries: the same entries give the same bytes, whoever packs them and when.

Members are in the order of their names, in GNU tar's format (PAX headers would carry more than is
wanted), owned by 0:0, of one fixed time, with their parents before them. The gzip header has
neither time nor name. The tar's digest (``diff_id``) depends on the entries alone; that of the
gzipped blob depends on the zlib that deflates it too: zlib-ng and Apple's choose other matches.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from workbench.artifact import disk_errors
from workbench.errors import CorruptError, InputError
from workbench.packaging.image.parts import Blob, Layer

LEVEL = 6
"""Of zlib; 9 takes three times as long for layers 1 % smaller."""
BLOCK = 1 << 20


@dataclass(frozen=True)
class File:
    """A regular file: its content, or where that lies."""

    content: bytes | Path
    mode: int = 0o644

    def read(self) -> bytes:
        """The whole content."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


@dataclass(frozen=True)
class Link:
    """A symbolic link; ``target`` as it is written, relative or from the image's root."""

    target: str


@dataclass(frozen=True)
class Folder:
    """A directory; only where its mode is not 755 or nothing lies in it."""

    mode: int = 0o755


Entry = File | Link | Folder
Entries = Mapping[str, Entry]
"""Entries by path from the root, without a slash at either end: ``usr/bin/python3.11``."""


def epoch() -> int:
    """The time of all files, in seconds since 1970: ``SOURCE_DATE_EPOCH``, else 0.

    Source: reproducible-builds.org/specs/source-date-epoch.

    Raises:
        InputError: the variable is no whole number from 0 on.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH", "0")
    if not (text.isascii() and text.isdigit()):
        raise InputError(
            f"SOURCE_DATE_EPOCH is '{text}'.", hint="Give seconds since 1970, or unset it."
        )
    return int(text)


def write_layer(title: str, entries: Entries, blobs: Path) -> Layer:
    """Pack entries into ``blobs``, a folder of files named by their SHA-256 in hex.

    Raises:
        InputError: a path is not a clean relative one, or leads through a file.
        MissingError: the disk is full or the folder cannot be written.
    """
    return write_blob(title, lambda stream: write_tar(entries, stream), blobs)


def write_tar(entries: Entries, stream: IO[bytes] | Hashing) -> None:
    """Write entries as an uncompressed tar.

    Raises:
        InputError: a path is not a clean relative one, or leads through a file.
        CorruptError: a file changed meanwhile.
    """
    whole = _with_parents(entries)
    mtime = epoch()
    sink = cast("IO[bytes]", stream)  # tarfile only writes to it
    with tarfile.open(
        fileobj=sink, mode="w|", format=tarfile.GNU_FORMAT, encoding="utf-8", bufsize=BLOCK
    ) as tar:
        for name in sorted(whole):
            _add(tar, name, whole[name], mtime)


def write_blob(title: str, pack: Callable[[Hashing], None], blobs: Path) -> Layer:
    """Gzip the tar that ``pack`` writes into ``blobs``; an equal blob there is kept."""
    temporary = blobs / f".layer.{os.getpid()}"
    with disk_errors(blobs):
        try:
            blobs.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                packed = Hashing(file)
                with gzip.GzipFile("", "wb", LEVEL, packed, mtime=0) as zipped:
                    tar = Hashing(zipped)
                    pack(tar)
                file.flush()
                os.fsync(file.fileno())
            blob = Blob(packed.digest, packed.size, blobs / packed.digest.removeprefix("sha256:"))
            if not blob.path.exists():
                temporary.replace(blob.path)
        finally:
            temporary.unlink(missing_ok=True)
    return Layer(title, tar.digest, blob, tar.size)


class Hashing:
    """Passes on what is written, and knows its size and digest."""

    def __init__(self, target: IO[bytes] | gzip.GzipFile) -> None:
        self._target, self._hash, self.size = target, hashlib.sha256(), 0

    @property
    def digest(self) -> str:
        """``sha256:…`` of all so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, block: bytes) -> int:
        """Pass on a block."""
        self._target.write(block)
        self._hash.update(block)
        self.size += len(block)
        return len(block)

    def flush(self) -> None:
        """Nothing is held back."""


def _with_parents(entries: Entries) -> dict[str, Entry]:
    whole: dict[str, Entry] = {}
    for name in entries:
        path = PurePosixPath(name)
        if str(path) != name or path.is_absolute() or ".." in path.parts or name in ("", "."):
            raise InputError(f"'{name}' is no clean path inside an image.")
        for parent in path.parents[:-1]:
            whole.setdefault(str(parent), Folder())
    for name, entry in entries.items():
        if name in whole and not isinstance(entry, Folder):
            raise InputError(f"'{name}' is both a file and a folder of the image.")
        whole[name] = entry
    return whole


def _add(tar: tarfile.TarFile, name: str, entry: Entry, mtime: int) -> None:
    info = tarfile.TarInfo(name)
    info.mtime = mtime
    if isinstance(entry, Folder):
        info.type, info.mode = tarfile.DIRTYPE, entry.mode
        tar.addfile(info)
    elif isinstance(entry, Link):
        info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, entry.target
        tar.addfile(info)
    elif isinstance(entry.content, bytes):
        info.mode, info.size = entry.mode, len(entry.content)
        tar.addfile(info, io.BytesIO(entry.content))
    else:
        with entry.content.open("rb") as file:
            info.mode, info.size = entry.mode, os.fstat(file.fileno()).st_size
            try:
                tar.addfile(info, file)
            except OSError as error:
                if error.errno is not None:
                    raise
                raise CorruptError(f"{entry.content} shrank while it was packed.") from error
            if file.read(1):
                raise CorruptError(f"{entry.content} grew while it was packed.")
