"""Bytes that were right once: flipped, cut, doubled, and with extreme values in them."""

from __future__ import annotations

import random
from collections.abc import Sequence

EXTREME = (b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff" * 4, b"\0" * 8, b"\x80" + b"\0" * 7,
           b"\xff" * 8, b"\x7f" + b"\xff" * 7)  # fmt: skip


def mutated(draw: random.Random, bodies: Sequence[bytes], words: Sequence[bytes] = ()) -> bytes:
    """One of the bodies after one to four changes; ``words`` may be put in."""
    body = bytearray(draw.choice(bodies))
    for _ in range(draw.randint(1, 4)):
        _change(draw, body, words)
    return bytes(body)


def _change(draw: random.Random, body: bytearray, words: Sequence[bytes]) -> None:
    at = draw.randint(0, len(body))
    end = min(len(body), at + draw.choice((1, 1, 2, 4, 8, 64, len(body))))
    match draw.randrange(8):
        case 0 if at < len(body):
            body[at] ^= 1 << draw.randrange(8)
        case 1 if at < len(body):
            body[at] = draw.randrange(256)
        case 2:
            body[at:at] = draw.randbytes(draw.choice((1, 2, 8, 100)))
        case 3:
            del body[at:end]
        case 4:
            body[at:at] = body[at:end] * draw.choice((1, 1, 2, 50))
        case 5:
            del body[at:]
        case 6:
            value = draw.choice(EXTREME)
            body[at : at + len(value)] = value
        case 7 if words:
            body[at:at] = draw.choice(words)
