"""The identity of a sample is the SHA-256 of its content."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.artifact import file_digest
from workbench.errors import DataError


def content_hash(item: Any) -> str:
    """SHA-256 (hex) of a sample: text, bytes, file, number, array, or a dict of them.

    A file counts by its content, not by its name, so that a copy is a duplicate.

    Raises:
        DataError: the file cannot be read, or the sample is none of these.
    """
    import numpy as np

    if isinstance(item, str):
        return hashlib.sha256(item.encode(errors="surrogatepass")).hexdigest()
    if isinstance(item, bytes):
        return hashlib.sha256(item).hexdigest()
    if isinstance(item, Path):
        try:
            status = item.stat()
            return _file_hash(item, status.st_size, status.st_mtime_ns)
        except OSError as error:
            raise DataError(f"{item} cannot be read: {error.strerror or error}.") from error
    if isinstance(item, dict):
        parts = "".join(f"{name}:{content_hash(item[name])};" for name in sorted(item))
        return hashlib.sha256(parts.encode()).hexdigest()
    if isinstance(item, np.ndarray | np.generic | int | float):
        array = np.ascontiguousarray(item)
        if array.dtype.kind in "biufU":
            head = f"{array.dtype.str}{array.shape}".encode()
            return hashlib.sha256(head + array.tobytes()).hexdigest()
    raise DataError(f"A sample cannot be a {type(item).__name__}.")


@lru_cache(maxsize=1 << 16)
def _file_hash(path: Path, size: int, modified_ns: int) -> str:
    """Digest of a file's content; size and time are there to notice a change."""
    return file_digest(path)
