"""The body of a request: of a stated length or in chunks, and never more than a limit."""

from __future__ import annotations

import re
from email.message import Message
from io import BufferedIOBase

from workbench.serving.answers import ApiError, validation_error

LINE = 8192
"""Bytes of a chunk's first line, or of a trailer, at most."""
TRAILERS = 100


def read_body(file: BufferedIOBase, headers: Message, limit: int) -> bytes:
    """The whole body; empty where the headers announce none.

    Args:
        file: the connection, after the headers.
        headers: the request's.
        limit: largest body in bytes.

    Raises:
        ApiError: it is too large or malformed. What follows is not read then: the connection has
            to be closed.
    """
    codings, lengths = headers.get_all("Transfer-Encoding"), headers.get_all("Content-Length")
    if codings:
        if lengths or [coding.strip().lower() for coding in codings] != ["chunked"]:
            raise validation_error("A body is sent with Content-Length or in chunks.")
        return _chunks(file, limit)
    length = lengths[0] if lengths and len(set(lengths)) == 1 else "" if lengths else "0"
    if not re.fullmatch("[0-9]{1,18}", length):
        raise validation_error("Content-Length is no number.")
    if int(length) > limit:
        raise _too_large(limit)
    return _exactly(file, int(length))


def _chunks(file: BufferedIOBase, limit: int) -> bytes:
    parts: list[bytes] = []
    left = limit
    while size := _size(file):
        left -= size
        if left < 0:
            raise _too_large(limit)
        parts.append(_exactly(file, size))
        if _line(file):
            raise validation_error("A chunk is longer than it says.")
    for _ in range(TRAILERS):
        if not _line(file):
            return b"".join(parts)
    raise validation_error("The body has too many trailers.")


def _size(file: BufferedIOBase) -> int:
    text = _line(file).partition(b";")[0].strip()
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", text):
        raise validation_error("A chunk's size is no hexadecimal number.")
    return int(text, 16)


def _line(file: BufferedIOBase) -> bytes:
    line = file.readline(LINE)
    if not line.endswith(b"\n"):
        raise validation_error("The body in chunks is malformed or ends early.")
    return line.rstrip(b"\r\n")


def _exactly(file: BufferedIOBase, size: int) -> bytes:
    body = file.read(size)
    if len(body) < size:
        raise validation_error("The body is shorter than it says.")
    return body


def _too_large(limit: int) -> ApiError:
    return validation_error(f"The body is larger than {limit} bytes.", status=413)
