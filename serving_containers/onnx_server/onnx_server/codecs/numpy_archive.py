"""``application/x-npz``: arrays by input name in, by output name out, as numpy writes them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from onnx_server.checks import shown
from onnx_server.codecs import _decoded, numpy_body
from onnx_server.codecs._decoded import Decoded, Feed
from onnx_server.codecs.numpy_body import read_array
from onnx_server.errors import BadRequest, TooLarge
from onnx_server.manifest import Manifest
from onnx_server.preprocess import Preprocessor

MEDIA = ("application/x-npz",)

UNPACKED_BYTES = 67_108_864
"""An archive may not unpack to more, or to more than four times its own size: a few kilobytes can
hold gigabytes of zeros, for which the model would work, and answer, for minutes."""
ENTRY = b"PK\x01\x02"
MAX_ENTRIES = 256


def decode(body: bytes, manifest: Manifest, preprocessor: Preprocessor | None) -> Decoded:
    """One ``.npy`` file for each input."""
    # Counted before the directory is read: half a million empty entries take seconds.
    if body.count(ENTRY) > MAX_ENTRIES:
        raise TooLarge(f"The archive has more than {MAX_ENTRIES} entries.")
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            limit = max(UNPACKED_BYTES, 4 * len(body))
            return _decoded.from_arrays(_arrays(archive, limit), "inputs")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError,
            ValueError, OverflowError, struct.error) as error:  # fmt: skip
        raise BadRequest(f"The .npz archive is malformed: {type(error).__name__}.") from None


def _arrays(archive: zipfile.ZipFile, limit: int) -> Feed:
    items = archive.infolist()
    if sum(item.file_size for item in items) > limit:
        raise TooLarge(f"The archive unpacks to more than {limit} bytes.")
    feed: Feed = {}
    for item in items:
        name = item.filename.removesuffix(".npy")
        if name in feed:
            raise BadRequest(f"The archive has '{shown(name)}' twice.", field=shown(name))
        # The other methods ask for as much memory as the archive says, before they unpack.
        if item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadRequest("The archive must be stored or deflated.", field=shown(name))
        feed[name] = read_array(_entry(archive, item), name)
    return feed


def _entry(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> bytes:
    """An entry's bytes: no more than it declares, however much it would unpack to."""
    with archive.open(item) as file:
        content = file.read(item.file_size + 1)
    if len(content) != item.file_size:
        raise BadRequest("The .npz archive says a wrong size.")
    return content


def encode(outputs: Feed, form: str, manifest: Manifest) -> bytes:
    """An uncompressed archive of arrays by output name."""
    stream = io.BytesIO()
    # numpy's own savez pickles texts, and stumbles over an output of the name "file".
    with zipfile.ZipFile(stream, "w") as archive:
        for name, values in outputs.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), numpy_body.file(values))
    return stream.getvalue()
