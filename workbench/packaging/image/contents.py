"""What lies in the layers of an image, read without unpacking them."""

from __future__ import annotations

import gzip
import io
import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import IO

from workbench.errors import CorruptError
from workbench.packaging.image.debs import merged
from workbench.packaging.image.parts import Image, Layer

HEADER_BYTES = 1 << 20
"""Bytes that may lie between the contents of two members: headers, long names, padding."""
BUFFER = 1 << 16
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
"""Files that remove what lies below (OCI image-spec 1.1, layer, "Whiteouts")."""


def members(layer: Layer) -> Iterator[tuple[str, tarfile.TarInfo, IO[bytes] | None]]:
    """Path, header and, of a regular file, content of each member; to be read at once.

    Raises:
        CorruptError: the layer is no tar.
    """
    try:
        with gzip.open(layer.blob.path) as file:
            guarded = _Guarded(file)
            with tarfile.open(fileobj=guarded, mode="r|", bufsize=BUFFER) as tar:
                for member in tar:
                    guarded.allow(member.size + HEADER_BYTES)
                    content = tar.extractfile(member) if member.isreg() else None
                    yield posixpath.normpath(member.name).lstrip("/"), member, content
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise CorruptError(f"The layer '{layer.title}' cannot be read: {error}.") from error


@lru_cache(maxsize=2)
def paths_of(image: Image) -> frozenset[str]:
    """The paths of all files and links that a container of the image sees, below /usr as merged."""
    paths: set[str] = set()
    for layer in image.layers:
        added: set[str] = set()
        for path, member, _ in members(layer):
            folder, name = posixpath.split(path)
            if name == OPAQUE:
                paths = {p for p in paths if not p.startswith(f"{merged(folder)}/")}
            elif name.startswith(WHITEOUT):
                gone = merged(posixpath.join(folder, name.removeprefix(WHITEOUT)))
                paths = {p for p in paths if p != gone and not p.startswith(f"{gone}/")}
            elif not member.isdir():
                added.add(merged(path))
        paths |= added
    return frozenset(paths)


class _Guarded(io.RawIOBase):
    """A stream that tarfile cannot be made to read into memory without end."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self._file, self._left = file, HEADER_BYTES

    def allow(self, size: int) -> None:
        self._left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise ValueError(f"a header has more than {HEADER_BYTES} bytes")
        return block
