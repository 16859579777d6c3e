"""Reads Debian packages without dpkg, and without trusting them: no maintainer script is run.

Source: deb(5) and the ar format of ar(5): ``debian-binary``, ``control.tar``, ``data.tar``.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import posixpath
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import IO

from workbench.errors import CorruptError, MissingError
from workbench.packaging.image.tar_layer import Entries, Entry, File, Folder, Link

AR = b"!<arch>\n"
HEADER = 60
"""Bytes of a member's header in an ar archive."""
MAX_BYTES = 256 << 20
"""Of a package unpacked; the largest of an image's base has 20 MB."""
HOPS = 16
"""Links that are followed before they are called a circle."""
Stream = IO[bytes] | io.BufferedIOBase
MALFORMED = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError)


@dataclass(frozen=True)
class Deb:
    """A package: the text of its ``control`` file, and what it installs by path."""

    control: str
    entries: Entries

    @property
    def fields(self) -> dict[str, str]:
        """The fields of ``control``, such as Package, Version and Depends."""
        return dict(HeaderParser().parsestr(self.control).items())


def read_deb(path: Path) -> Deb:
    """Read a whole package into memory.

    Raises:
        CorruptError: it is malformed, or holds what no library package does: a device, a path or
            a link that leads outside.
        MissingError: it is packed with zstd, and nothing here unpacks that.
    """
    try:
        members = _ar(path.read_bytes())
        if members.get("debian-binary", b"")[:2] != b"2.":
            raise ValueError("it has no debian-binary 2.x")
        control = _untar(*_member(members, "control.tar")).get("control")
        if not isinstance(control, File):
            raise ValueError("it has no control file")
        return Deb(control.read().decode(), _untar(*_member(members, "data.tar")))
    except MALFORMED as error:
        raise CorruptError(
            f"{path.name} is no Debian package that can be read: {error}."
        ) from error


def resolve(entries: Entries, path: str) -> File | None:
    """The file at a path, through links; none if there is none.

    Raises:
        CorruptError: the links lead in a circle.
    """
    for _ in range(HOPS):
        entry = entries.get(path)
        if not isinstance(entry, Link):
            return entry if isinstance(entry, File) else None
        path = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), entry.target))[1:]
        path = merged(path)
    raise CorruptError(f"The links at {path} lead in a circle.")


def merged(path: str) -> str:
    """A path below /usr, where Debian's /bin, /lib, /lib64 and /sbin have led since bookworm."""
    top = path.partition("/")[0]
    return f"usr/{path}" if top in ("bin", "lib", "lib64", "sbin") else path


def _ar(content: bytes) -> dict[str, bytes]:
    if not content.startswith(AR):
        raise ValueError("it is no ar archive")
    members, at = {}, len(AR)
    while at < len(content):
        header = content[at : at + HEADER]
        if len(header) != HEADER or header[58:] != b"`\n":
            raise ValueError("a header of the ar archive is damaged")
        name, size = header[:16].decode("ascii").strip().rstrip("/"), int(header[48:58])
        at += HEADER
        if size < 0 or at + size > len(content):
            raise ValueError("the ar archive is cut off")
        members[name] = content[at : at + size]
        at += size + size % 2
    return members


def _member(members: dict[str, bytes], stem: str) -> tuple[Stream, str]:
    for name, content in members.items():
        if name == stem or name.startswith(f"{stem}."):
            return _unpacker(name.removeprefix(stem))(io.BytesIO(content)), name
    raise ValueError(f"it has no {stem}")


def _unpacker(suffix: str) -> Callable[[IO[bytes]], Stream]:
    known: dict[str, Callable[[IO[bytes]], Stream]] = {
        "": lambda file: file,
        ".gz": lambda file: gzip.GzipFile(fileobj=file),
        ".xz": lzma.LZMAFile,
        ".bz2": bz2.BZ2File,
        ".zst": _zstd,
    }
    if suffix not in known:
        raise ValueError(f"nothing unpacks '{suffix}'")
    return known[suffix]


def _zstd(file: IO[bytes]) -> IO[bytes]:
    from importlib import import_module

    try:
        opened: IO[bytes] = import_module("compression.zstd").open(file)  # Python 3.14
    except ImportError:
        try:
            opened = import_module("zstandard").open(file)
        except ImportError:
            raise MissingError(
                "A Debian package is packed with zstd, which this Python cannot unpack.",
                hint="Use Python 3.14, or: pip install zstandard",
            ) from None
    return opened


def _untar(stream: Stream, name: str) -> dict[str, Entry]:
    content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"its {name} has more than {MAX_BYTES} bytes")
    entries: dict[str, Entry] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            path = _inside(member.name)
            if path:
                entries[path] = _entry(tar, member, path, entries)
    return entries


def _entry(
    tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, before: dict[str, Entry]
) -> Entry:
    if member.isdir():
        return Folder(member.mode & 0o1777)
    if member.issym():
        # An absolute link leads from the image's root, a relative one from where it lies.
        start = "" if member.linkname.startswith("/") else posixpath.dirname(path)
        _inside(posixpath.join(start, member.linkname.lstrip("/")))
        return Link(member.linkname)
    if member.islnk():
        first = before.get(_inside(member.linkname))
        if not isinstance(first, File):
            raise ValueError(f"'{path}' is a hard link to nothing")
        return first
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise ValueError(f"'{path}' is neither file, folder nor link")
    return File(content.read(), member.mode & 0o777)


def _inside(name: str) -> str:
    """The clean path of a member; ``./usr`` is ``usr``, ``./`` nothing."""
    path = posixpath.normpath(name)
    if path.startswith("/") or path == ".." or path.startswith("../"):
        raise ValueError(f"'{name}' leads outside")
    return "" if path == "." else path
