"""RecordIO with protobuf: frames, tags and lengths of every kind."""

from __future__ import annotations

import random
import struct

MAGIC = 0xCED7230A
NUMBERS = (
    0, 1, 3, 4, 127, 128, 2**31, 2**32 - 1, 2**63, 2**64 - 1,
)  # fmt: skip


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, content: bytes, wire: int = 2) -> bytes:
    """A field; with the wire type of bytes it has a length."""
    length = varint(len(content)) if wire == 2 else b""
    return varint(number << 3 | wire) + length + content


def frame(content: bytes, length: int | None = None, magic: int = MAGIC) -> bytes:
    """A RecordIO frame, padded to four bytes."""
    size = len(content) if length is None else length
    return struct.pack("<II", magic, size) + content + b"\0" * (-len(content) % 4)


def good() -> bytes:
    """A record of four floats."""
    values = struct.pack("<4f", 1, 2, 3, 4)
    return frame(field(1, field(1, b"values") + field(2, field(2, field(1, values)))))


def recordio(draw: random.Random) -> bytes:
    """Some frames by the grammar."""
    frames = []
    for _ in range(draw.choice((1, 1, 2, 0, 3, 1000))):
        content = b"".join(_feature(draw) for _ in range(draw.choice((1, 1, 0, 2))))
        wrong = draw.random() < 0.2
        frames.append(
            frame(
                content,
                draw.choice((0, len(content) + 1, 2**29 - 1, 2**29, 2**32 - 1)) if wrong else None,
                draw.choice((MAGIC, MAGIC, MAGIC, MAGIC, 0)),
            )
        )
        if len(frames) == 1 and draw.random() < 0.3:
            frames *= draw.choice((2, 10))
    return b"".join(frames)


def _feature(draw: random.Random) -> bytes:
    name = draw.choice((b"values", b"values", b"x", b"", b"\xff\xfe", b"a" * 300))
    entry = field(1, name) + field(2, field(draw.choice((2, 2, 3, 7, 9, 0)), _tensor(draw)))
    if draw.random() < 0.15:
        entry = draw.choice((b"", field(1, name), field(2, b""), varint(8) + varint(5), entry * 2))
    return field(draw.choice((1, 1, 1, 2, 5)), entry, draw.choice((2, 2, 2, 2, 0, 1, 3, 5)))


def _tensor(draw: random.Random) -> bytes:
    values = draw.choice((
        struct.pack("<4f", 1, 2, 3, 4),
        struct.pack("<4d", 1, 2, 3, 4),
        struct.pack("<4f", *[float("nan")] * 4),
        b"".join(varint(draw.choice(NUMBERS)) for _ in range(4)),
        b"", b"\x80" * 30, b"\0" * 15,
    ))  # fmt: skip
    parts = [field(1, values)]
    if draw.random() < 0.4:
        axes = draw.choice(((4,), (1, 4), (2, 2), (0,), (2**63, 2**63), (1,) * 50, (3,)))
        packed = b"".join(map(varint, axes))
        parts.append(field(3, packed) if draw.random() < 0.5 else
                     b"".join(field(3, varint(a), 0) for a in axes))  # fmt: skip
    if draw.random() < 0.1:
        parts.append(field(2, varint(0)))
    if draw.random() < 0.1:
        parts.append(draw.choice((field(1, b"\0\0\x80\x3f", 5), field(1, b"\0" * 8, 1), field(1,
        b"\5", 0),
                                  b"\xff" * 12, b"\x0b", field(15, b"ab"))))  # fmt: skip
    return b"".join(parts)
