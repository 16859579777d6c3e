"""What is read of an ELF file: which libraries it needs and where it looks for them.

Source: the System V ABI, chapters "Object Files" and "Dynamic Linking"; 64-bit little-endian
files only, which all of x86-64 and AArch64 Linux are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from workbench.errors import CorruptError

MAGIC = b"\x7fELF\x02\x01"
HEADER_BYTES = 64
LOAD, DYNAMIC = 1, 2
NULL, NEEDED, STRTAB, STRSZ, RPATH, RUNPATH = 0, 1, 5, 10, 15, 29


@dataclass(frozen=True)
class Dynamic:
    """The libraries that a file needs, by name, and the folders of its RPATH or RUNPATH."""

    needed: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


def is_elf(content: bytes) -> bool:
    """Whether it is a 64-bit little-endian ELF file."""
    return content[:6] == MAGIC


def read_dynamic(content: bytes, name: str) -> Dynamic:
    """The dynamic section, found by the program headers as the loader does.

    Raises:
        CorruptError: the file's headers lead outside it; ``name`` is for the message.
    """
    try:
        segments = _segments(content)
        tags = _tags(content, segments)
        if STRTAB not in tags:
            return Dynamic()
        start = _offset(segments, tags[STRTAB][0])
        strings = content[start : start + tags[STRSZ][0]]
        needed = tuple(_string(strings, at) for at in tags.get(NEEDED, []))
        paths = [_string(strings, at) for at in tags.get(RUNPATH, tags.get(RPATH, []))]
    except (struct.error, LookupError, ValueError, OverflowError) as error:
        raise CorruptError(f"{name} is no ELF file that can be read: {error}.") from error
    return Dynamic(needed, tuple(f for path in paths for f in path.split(":") if f))


def stripped(content: bytes, name: str) -> bytes:
    """The file without what is never loaded: symbols and notes for debuggers.

    Nothing is moved: bytes outside all segments become zeros, of which gzip leaves nothing, and
    the end is cut. (``strip`` moves segments, which breaks files that patchelf has rewritten.)

    Raises:
        CorruptError: the file's headers lead outside it.
    """
    try:
        segments = _segments(content)
    except (struct.error, OverflowError) as error:
        raise CorruptError(f"{name} is no ELF file that can be read: {error}.") from error
    table = struct.unpack_from("<Q", content, 32)[0]
    size, count = struct.unpack_from("<HH", content, 54)
    spans = [(0, HEADER_BYTES), (table, table + size * count)]
    spans += [(s.offset, s.offset + s.size) for s in segments]
    end = max(stop for _, stop in spans)
    if end > len(content):
        raise CorruptError(f"{name} is no ELF file that can be read: it is cut off.")
    kept = bytearray(end)
    for start, stop in spans:
        kept[start:stop] = content[start:stop]
    # The section headers are gone: e_shoff, and e_shentsize, e_shnum, e_shstrndx say so.
    struct.pack_into("<Q", kept, 40, 0)
    struct.pack_into("<HHH", kept, 58, 0, 0, 0)
    return bytes(kept)


@dataclass(frozen=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def _segments(content: bytes) -> list[_Segment]:
    table = struct.unpack_from("<Q", content, 32)[0]
    size, count = struct.unpack_from("<HH", content, 54)
    found = []
    for index in range(count):
        kind, _, offset, address, _, length = struct.unpack_from(
            "<IIQQQQ", content, table + index * size
        )
        found.append(_Segment(kind, offset, address, length))
    return found


def _tags(content: bytes, segments: list[_Segment]) -> dict[int, list[int]]:
    tags: dict[int, list[int]] = {}
    for segment in (s for s in segments if s.kind == DYNAMIC):
        for at in range(segment.offset, segment.offset + segment.size, 16):
            tag, value = struct.unpack_from("<QQ", content, at)
            if tag == NULL:
                break
            tags.setdefault(tag, []).append(value)
    return tags


def _offset(segments: list[_Segment], address: int) -> int:
    for segment in segments:
        if segment.kind == LOAD and segment.address <= address < segment.address + segment.size:
            return address - segment.address + segment.offset
    raise ValueError(f"no segment holds the address {address:#x}")


def _string(strings: bytes, at: int) -> str:
    return strings[at : strings.index(b"\0", at)].decode()
