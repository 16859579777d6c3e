"""``.npy`` and ``.npz``: headers that promise what is not there, pickles, archives that swell."""

from __future__ import annotations

import io
import pickle
import random
import struct
import warnings
import zipfile
import zlib
from functools import cache

import numpy as np

DTYPES = (
    "<f4", ">f4", "<f8", "<f2", "<i8", "|i1", "|u1", "<u8", "|b1", "<f16", "<c8", "|O", "O", "<U4",
    "|S4", "<M8[ns]", "|V8", "<f3", "<i64", "=f4", "", "f4", "(2,)<f4", "os.system", "<f4" * 99,
)  # fmt: skip
SHAPES = (
    "(1, 4)", "(4,)", "()", "(0, 4)", "(1, 0)", "(2, 2)", "(-1, 4)", "(1, -4)", "(1099511627776,)",
    "(4294967296, 4294967296)", "(" + "9" * 900 + ",)", "(1, " * 3 + ")", "(1 2,)", "(1,,)",
    "(" + "1, " * 40 + "4)", "(" + "1, " * 70 + ")", "(1.5,)", "(True, 4)", "(16,)",
    "(18446744073709551616, 1)", "1", "None", "('a',)", "[1, 4]",
)  # fmt: skip
NAMES = (
    "x.npy", "x", "y.npy", "X.npy", "x.npy.npy", "../x.npy", "", "/etc/passwd", "x/", "\0x.npy",
    "x" * 300, "ü.npy", ".npy",
)  # fmt: skip
VALUES = np.array([[1, 2, 3, 4]], np.float32)


class Evil:
    """Unpickling it would be noticed."""

    def __reduce__(self):
        return (print, ("unpickled",))


def npy(draw: random.Random) -> bytes:
    """A file by the grammar, each part of it right or wrong."""
    dtype, shape = draw.choice(DTYPES), draw.choice(SHAPES)
    if draw.random() < 0.4:
        dtype = "<f4"
    if draw.random() < 0.4:
        shape = "(1, 4)"
    order = draw.choice(("False", "False", "True", "0", "None", "'C'"))
    text = f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}"
    if draw.random() < 0.1:
        text = draw.choice(("", "{", "{}", "__import__('os')", "{'descr': '<f4'}", text * 2,
                            " " * 70_000 + text, text.replace("'", '"')))  # fmt: skip
    version = draw.choice((1, 1, 1, 2, 3, 0, 4, 255))
    size = len(text) + draw.choice((0, 0, 0, 0, 1, -1, 100, 60_000))
    packed = struct.pack("<H", size & 0xFFFF) if version == 1 else struct.pack("<I", max(size, 0))
    content = draw.choice((VALUES.tobytes(), VALUES.tobytes() * 4, b"", VALUES.tobytes()[:-1],
                           VALUES.astype("f8").tobytes(), pickle.dumps(Evil())))  # fmt: skip
    start = b"\x93NUMPY" + bytes([version, draw.choice((0, 0, 0, 9))]) + packed
    return start + text.encode() + content


def npz(draw: random.Random) -> bytes:
    """An archive with files of the grammar under names right and wrong."""
    if draw.random() < 0.01:
        return bomb(draw.choice((60_000_000, 300_000_000)))
    stream = io.BytesIO()
    method = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED,
                          zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))  # fmt: skip
    with zipfile.ZipFile(stream, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that come twice
        for _ in range(draw.choice((1, 1, 1, 0, 2, 3, 300))):
            name = "x.npy" if draw.random() < 0.6 else draw.choice(NAMES)
            content = good() if draw.random() < 0.4 else npy(draw)
            archive.writestr(zipfile.ZipInfo(name), content, method)
    body = bytearray(stream.getvalue())
    if draw.random() < 0.4:
        _lie(draw, body)
    return bytes(body)


def _lie(draw: random.Random, body: bytearray) -> None:
    """Change a field of the directory or of a local header: sizes, checksums, methods, flags."""
    directory = body.find(b"PK\1\2")
    starts = [(directory, 46), (0, 30), (len(body) - 22, 22)]
    start, length = draw.choice([pair for pair in starts if pair[0] >= 0])
    at = start + draw.randrange(4, length)
    width = draw.choice((1, 2, 4))
    body[at : at + width] = draw.choice((b"\0", b"\1", b"\xff", b"\x08")) * width


@cache
def good() -> bytes:
    """The file that every numeric model here takes."""
    stream = io.BytesIO()
    np.save(stream, VALUES)
    return stream.getvalue()


@cache
def archived() -> bytes:
    """It as the ``x`` of an archive."""
    stream = io.BytesIO()
    np.savez_compressed(stream, x=VALUES)
    return stream.getvalue()


@cache
def pickled() -> bytes:
    """A real ``.npy`` file of an object that would run something."""
    stream = io.BytesIO()
    np.save(stream, np.array([Evil()], object), allow_pickle=True)
    return stream.getvalue()


@cache
def bomb(size: int) -> bytes:
    """A few hundred kilobytes of archive that unpack to ``size`` bytes of one array."""
    header = io.BytesIO()
    rows = size // 16
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (rows, 4)}
    )
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(
            stream, "w", zipfile.ZIP_DEFLATED, compresslevel=zlib.Z_BEST_SPEED
        ) as archive,
        archive.open("x.npy", "w") as file,
    ):
        file.write(header.getvalue())
        block = bytes(1 << 20)
        for start in range(0, rows * 16, len(block)):
            file.write(block[: rows * 16 - start])
    return stream.getvalue()
