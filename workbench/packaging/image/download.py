"""Files fetched by their SHA-256: where they come from does not matter, what they are does."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from urllib.error import HTTPError, URLError

from workbench.artifact import disk_errors, file_digest
from workbench.errors import CorruptError, MissingError

TIMEOUT_S = 60.0
"""How long a server may be silent."""
TRIES = 3
FIRST_WAIT_S = 1.0
"""Doubled at each wait."""
BLOCK = 1 << 18
INDEX_BYTES = 128 << 20
"""The largest file that is read without its size being known."""
BUSY = frozenset({429, 500, 502, 503, 504})


class AbsentError(Exception):
    """The server does not have it (404, 410)."""


def get(url: str, limit: int = INDEX_BYTES) -> bytes:
    """The content of a URL, at most ``limit`` bytes; a busy or broken server is asked again.

    Raises:
        AbsentError: the server does not have it.
        MissingError: the server is not reached, or refuses.
        CorruptError: there is more than ``limit`` bytes.
    """
    for attempt in range(TRIES):
        if attempt:
            time.sleep(FIRST_WAIT_S * 2 ** (attempt - 1))
        try:
            return _read(url, limit)
        except HTTPError as error:
            if error.code in (404, 410):
                raise AbsentError(url) from error
            reason = f"it answers {error.code}"
            if error.code not in BUSY:
                break
        except (OSError, http.client.HTTPException) as error:
            reason = str(error.reason if isinstance(error, URLError) else error)
    raise MissingError(
        f"{url} cannot be fetched: {reason}.",
        hint="Check the network, the proxy's settings, and the mirror that is set.",
    )


def fetch(urls: Iterable[str], size: int, sha256: str, target: Path) -> str:
    """Put a file into its place unless it is there; returns the URL that it came from, else "".

    Args:
        urls: where to look, in this order; the next one is asked where a file is gone.
        size: its bytes.
        sha256: its digest in hex, checked before the file is in its place.
        target: its place.

    Raises:
        MissingError: no server has it, or none is reached.
        CorruptError: a server has something else.
    """
    if target.is_file() and file_digest(target) == sha256:
        return ""
    asked = []
    for url in urls:
        asked.append(url)
        try:
            content = get(url, size)
        except AbsentError:
            continue
        if hashlib.sha256(content).hexdigest() != sha256:
            raise CorruptError(
                f"{url} is not what was locked: its SHA-256 differs.",
                hint="Another mirror may be whole; if all have this, the lock is wrong.",
            )
        put(content, target)
        return url
    raise MissingError(f"No server has {target.name}: {', '.join(asked)}.")


def put(content: bytes, target: Path) -> None:
    """Write a file that is there whole or not at all."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    with disk_errors(target):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def _read(url: str, limit: int) -> bytes:
    blocks, left = [], limit
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        expected = answer.length
        while block := answer.read(BLOCK):
            left -= len(block)
            if left < 0:
                raise CorruptError(f"{url} has more than {limit} bytes.")
            blocks.append(block)
    content = b"".join(blocks)
    if expected is not None and len(content) < expected:
        raise ConnectionError("the connection ended in the middle")
    return content
