"""Tiny packages of Debian, wheels and ELF files, made up for tests."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

SYMBOLS = b"symbols for debuggers" * 64
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
}
CONTROL = "Package: thing\nVersion: 1:2.0-3\nArchitecture: amd64\nDepends: libc6\n"


def tar_of(members: Iterable[tarfile.TarInfo | tuple[str, bytes]]) -> bytes:
    """A tar of headers alone, and of names with content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return stream.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """The header of a link, or of a device."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def write_deb(
    path: Path,
    members: Iterable[tarfile.TarInfo | tuple[str, bytes]],
    *,
    packed: str = ".xz",
    control: str = CONTROL,
    version: bytes = b"2.0\n",
) -> Path:
    """A package with these members in its data.tar."""
    pack = PACKERS.get(packed, bytes)
    parts = {
        "debian-binary": version,
        f"control.tar{packed}": pack(tar_of([("./control", control.encode())])),
        f"data.tar{packed}": pack(tar_of(members)),
    }
    content = b"!<arch>\n"
    for name, part in parts.items():
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(part):<10}`\n".encode()
        content += part + b"\n" * (len(part) % 2)
    path.write_bytes(content)
    return path


def write_wheel(
    path: Path, files: Mapping[str, bytes], *, record: Mapping[str, bytes] | None = None
) -> str:
    """A wheel; ``record`` are contents that its RECORD tells instead. Returns its SHA-256."""
    info = "thing-1.0.dist-info"
    whole = {**files, f"{info}/METADATA": b"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n"}
    told = {**whole, **(record or {})}
    lines = [f"{name},sha256={_hash(content)},{len(content)}" for name, content in told.items()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in whole.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,"]))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_elf(needed: Iterable[str] = (), folders: str = "", *, rpath: bool = False) -> bytes:
    """A 64-bit ELF file with a dynamic section, and symbols behind all that is loaded."""
    strings, tags = b"\0", []
    for name in needed:
        tags.append((1, len(strings)))
        strings += name.encode() + b"\0"
    if folders:
        tags.append((15 if rpath else 29, len(strings)))
        strings += folders.encode() + b"\0"
    start = 64 + 2 * 56
    dynamic_size = 16 * (len(tags) + 3)
    address = 0x1000
    tags += [(5, address + start + dynamic_size), (10, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *tag) for tag in tags)
    end = start + dynamic_size + len(strings)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, end, 0, 64, 56, 2, 64, 5, 4)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, address, address, end, end, 0x1000)
    section = struct.pack(
        "<IIQQQQQQ", 2, 6, start, address + start, address + start, dynamic_size, dynamic_size, 8
    )
    return header + load + section + dynamic + strings + SYMBOLS


def _hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
