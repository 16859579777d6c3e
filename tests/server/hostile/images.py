"""PNG and JPEG: headers of enormous sizes, wrong checksums, odd modes, chunks that swell."""

from __future__ import annotations

import io
import random
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image

SIZES = (
    0, 1, 2, 4, 7, 8, 300, 9_999, 10_001, 13_400, 30_000, 65_535, 2**31 - 1, 2**31, 2**32 - 1,
)  # fmt: skip
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    """A chunk of a PNG, by default with its right checksum."""
    check = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


@cache
def whole() -> tuple[bytes, ...]:
    """Small images of every mode and format that Pillow writes."""
    draw = np.random.default_rng(0)
    images = []
    for mode in ("1", "L", "P", "RGB", "RGBA", "LA", "I", "I;16", "CMYK"):
        image = Image.fromarray(draw.integers(0, 255, (8, 8), np.uint8)).convert(
            "L" if mode == "I;16" else mode
        )
        image = image.convert("I;16") if mode == "I;16" else image
        for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
            stream = io.BytesIO()
            try:
                image.save(stream, kind)
            except (OSError, KeyError, ValueError):  # not every format has every mode
                continue
            images.append(stream.getvalue())
    stream = io.BytesIO()
    Image.new("P", (8, 8)).save(stream, "PNG", transparency=bytes(range(256)))
    images.append(stream.getvalue())
    return tuple(images)


def png(draw: random.Random) -> bytes:
    """Chunks by the grammar; the checksums are right, so that decoders go on."""
    width, height = draw.choice(SIZES), draw.choice(SIZES)
    if draw.random() < 0.3:
        width = height = 8
    depth, colour = draw.choice((1, 2, 4, 8, 8, 8, 16, 3)), draw.choice((0, 0, 2, 3, 4, 6, 1))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, draw.choice((0, 0, 0, 1)),
                         draw.choice((0, 0, 0, 1)), draw.choice((0, 0, 1, 2)))  # fmt: skip
    rows = zlib.compress(draw.choice((b"", b"\0" * 72, b"\0" * 10_000, b"\5" * 72, b"\xff" * 200)))
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    for _ in range(draw.choice((0, 0, 1, 2))):
        parts.insert(draw.randint(1, len(parts)), _extra(draw))
    if draw.random() < 0.1:
        parts.pop(draw.randrange(len(parts)))
    return SIGNATURE + b"".join(parts)


def _extra(draw: random.Random) -> bytes:
    swollen = zlib.compress(bytes(20_000_000)) if draw.random() < 0.1 else zlib.compress(b"a" * 99)
    return draw.choice((
        chunk(b"PLTE", b"\1\2\3" * draw.choice((1, 256, 300))),
        chunk(b"PLTE", b"\1\2"),
        chunk(b"tRNS", bytes(draw.choice((0, 1, 2, 6, 256)))),
        chunk(b"zTXt", b"a\0\0" + swollen),
        chunk(b"iTXt", b"a\0\1\0\0\0" + swollen),
        chunk(b"iCCP", b"a\0\0" + swollen),
        chunk(b"tEXt", b"a\0" + b"b" * draw.choice((0, 2_000_000))),
        chunk(b"gAMA", b"\0"), chunk(b"pHYs", b"\0" * 9), chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"),
        chunk(b"acTL", struct.pack(">II", draw.choice((0, 1, 2**31)), 0)),
        chunk(b"fcTL", bytes(26)), chunk(b"fdAT", b"\0\0\0\1x"),
        chunk(b"IDAT", b"x"), chunk(b"IHDR", bytes(13)), chunk(b"\xff\xff\xff\xff", b""),
        chunk(b"IEND", b"", 0), struct.pack(">I", 2**32 - 1) + b"IDAT",
    ))  # fmt: skip


def jpeg(draw: random.Random) -> bytes:
    """A real one with other sizes and segments."""
    body = bytearray(next(image for image in whole() if image.startswith(b"\xff\xd8")))
    frame = body.find(b"\xff\xc0")
    if draw.random() < 0.7:
        height, width = draw.choice(SIZES) & 0xFFFF, draw.choice(SIZES) & 0xFFFF
        body[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    if draw.random() < 0.3:
        body[frame + draw.randrange(2, 17)] = draw.randrange(256)
    if draw.random() < 0.4:
        body[2:2] = draw.choice((
            b"\xff\xe1\0\x10Exif\0\0MM\0*\0\0\0\x08", b"\xff\xe2\0\x10MPF\0MM\0*\0\0\0\x08\0\0",
            b"\xff\xee\0\x0eAdobe\0d\0\0\0\0\3", b"\xff\xfe\xff\xff", b"\xff\xdd\0\4\0\1",
            b"\xff\xed\0\x12Photoshop 3.0\0\0\0", b"\xff\xc4\0\2",
        ))  # fmt: skip
    return bytes(body)
