"""Reads an image from a docker-archive, an OCI layout or an OCI archive, and trusts none of it.

Every digest and size is checked, and nothing is unpacked: names in an archive are only looked up.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from workbench.artifact import disk_errors
from workbench.errors import CorruptError, InputError
from workbench.packaging.image.parts import Blob, Image, Layer, digest_of
from workbench.packaging.image.tar_layer import BLOCK, write_blob

JSON_BYTES = 4 << 20
MAX_BYTES = 40 << 30
"""Of a layer unpacked."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
NESTED = 4
"""Indexes within indexes that are followed."""
Wanted = tuple[str, str | None, int | None]
"""A layer's name in the archive, and the digest and size of its blob where they are said."""
MALFORMED = (tarfile.TarError, zlib.error, EOFError, ValueError, LookupError, TypeError)


def read_image(source: Path, blobs: Path) -> Image:
    """Read the one image for Linux on x86-64 that an archive or a layout's folder holds.

    Args:
        source: a tar or a folder.
        blobs: where its layers are put, named by their digests.

    Raises:
        InputError: it is no image, or none that can be built upon.
        CorruptError: a digest or a size in it is wrong.
        MissingError: the disk is full.
    """
    try:
        with _opened(source) as files:
            if "manifest.json" in files:
                return _docker(files, blobs)
            if "index.json" in files:
                return _oci(files, blobs)
    except (*MALFORMED, OSError) as error:
        raise InputError(f"'{source}' is no image that can be read: {error}.") from error
    raise InputError(f"'{source}' has neither the manifest.json nor the index.json of an image.")


class _Files(Protocol):
    def __contains__(self, name: str) -> bool: ...
    def open(self, name: str) -> IO[bytes]: ...


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def __contains__(self, name: str) -> bool:
        return (self._root / name).is_file()

    def open(self, name: str) -> IO[bytes]:
        if ".." in name or name.startswith("/"):
            raise ValueError(f"'{name}' leads outside")
        return (self._root / name).open("rb")


class _Tar:
    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {member.name.removeprefix("./"): member for member in tar}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def open(self, name: str) -> IO[bytes]:
        file = self._tar.extractfile(self._members[name])  # follows links within the archive only
        if file is None:
            raise ValueError(f"'{name}' is no file")
        return file


@contextmanager
def _opened(source: Path) -> Iterator[_Files]:
    if source.is_dir():
        yield _Folder(source)
        return
    with tarfile.open(source) as tar:
        yield _Tar(tar)


def _docker(files: _Files, blobs: Path) -> Image:
    entries = json.loads(_small(files, "manifest.json"))
    if not isinstance(entries, list) or len(entries) != 1:
        raise ValueError("it holds none or several images")
    name = str(entries[0]["Config"])
    config = _small(files, name)
    found = re.search(r"[0-9a-f]{64}", name)
    if found and digest_of(config) != f"sha256:{found[0]}":
        raise CorruptError(f"The configuration {name} is not what its name says.")
    return _image(files, config, [(str(name), None, None) for name in entries[0]["Layers"]], blobs)


def _oci(files: _Files, blobs: Path) -> Image:
    manifests = json.loads(_small(files, "index.json"))["manifests"]
    for _ in range(NESTED):
        content = json.loads(_described(files, _ours(manifests)))
        if "manifests" not in content:
            break
        manifests = content["manifests"]
    config = _described(files, content["config"])
    layers: list[Wanted] = [
        (_place(descriptor), str(descriptor["digest"]), int(descriptor["size"]))
        for descriptor in content["layers"]
    ]
    return _image(files, config, layers, blobs)


def _ours(descriptors: list[dict[str, Any]]) -> dict[str, Any]:
    """The one for Linux on x86-64; attestations say that they are for ``unknown``."""
    fitting = []
    for descriptor in descriptors:
        platform = descriptor.get("platform") or {}
        where = (platform.get("os", "linux"), platform.get("architecture", "amd64"))
        if where == ("linux", "amd64"):
            fitting.append(descriptor)
    if len(fitting) != 1:
        raise ValueError(f"it holds {len(fitting)} images for Linux on x86-64")
    return fitting[0]


def _image(files: _Files, config: bytes, layers: list[Wanted], blobs: Path) -> Image:
    settings = json.loads(config)
    where = (settings.get("os"), settings.get("architecture"))
    if where != ("linux", "amd64"):
        raise ValueError(f"it is for {where[0]} {where[1]}, not Linux on x86-64")
    diff_ids = [str(diff_id) for diff_id in settings["rootfs"]["diff_ids"]]
    if len(diff_ids) != len(layers) or not all(map(DIGEST.fullmatch, diff_ids)):
        raise ValueError("its configuration does not name its layers")
    history = [h for h in settings.get("history") or [] if not h.get("empty_layer")]
    titles = [str(h.get("comment") or "") for h in history]
    titles += [""] * (len(layers) - len(titles))
    read = []
    for number, (wanted, diff_id) in enumerate(zip(layers, diff_ids, strict=True)):
        read.append(_layer(files, wanted, diff_id, titles[number] or f"layer {number + 1}", blobs))
    return Image(config, tuple(read))


def _layer(files: _Files, wanted: Wanted, diff_id: str, title: str, blobs: Path) -> Layer:
    name, digest, size = wanted
    with files.open(name) as stream:
        start = stream.read(4)
        stream.seek(0)
        if start == ZSTD:
            raise ValueError("its layers are packed with zstd; save it with gzip")
        if start[:2] != GZIP:
            layer = write_blob(title, lambda file: shutil.copyfileobj(stream, file, BLOCK), blobs)
        else:
            layer = _copy(stream, title, blobs)
    # Only then: what was copied is named by what it is, so that a wrong blob does no harm.
    packed = (layer.blob.digest, layer.blob.size)
    if digest is not None and start[:2] == GZIP and packed != (digest, size):
        raise CorruptError(f"The layer {name} is not what the manifest says.")
    if layer.diff_id != diff_id:
        raise CorruptError(f"The layer {name} is not what the configuration says.")
    return layer


def _copy(stream: IO[bytes], title: str, blobs: Path) -> Layer:
    temporary = blobs / f".read.{os.getpid()}"
    packed = hashlib.sha256()
    with disk_errors(blobs):
        try:
            blobs.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                while block := stream.read(BLOCK):
                    packed.update(block)
                    file.write(block)
            diff_id, unpacked = _unpacked(temporary)
            digest = packed.hexdigest()
            blob = Blob(f"sha256:{digest}", temporary.stat().st_size, blobs / digest)
            temporary.replace(blob.path)
        finally:
            temporary.unlink(missing_ok=True)
    return Layer(title, diff_id, blob, unpacked)


def _unpacked(path: Path) -> tuple[str, int]:
    """Digest and size of what a gzip file holds."""
    tar, size = hashlib.sha256(), 0
    try:
        with gzip.open(path) as file:
            while block := file.read(BLOCK):
                tar.update(block)
                size += len(block)
                if size > MAX_BYTES:
                    raise ValueError(f"a layer has more than {MAX_BYTES} bytes")
    except gzip.BadGzipFile as error:
        raise ValueError(f"a layer is damaged: {error}") from error
    return f"sha256:{tar.hexdigest()}", size


def _described(files: _Files, descriptor: dict[str, Any]) -> bytes:
    content = _small(files, _place(descriptor))
    if (digest_of(content), len(content)) != (descriptor["digest"], descriptor["size"]):
        raise CorruptError(f"{descriptor['digest']} is not what its name says.")
    return content


def _place(descriptor: dict[str, Any]) -> str:
    digest = str(descriptor["digest"])
    if not DIGEST.fullmatch(digest):
        raise ValueError(f"'{digest[:80]}' is no SHA-256")
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _small(files: _Files, name: str) -> bytes:
    with files.open(name) as file:
        content = file.read(JSON_BYTES + 1)
    if len(content) > JSON_BYTES:
        raise ValueError(f"'{name}' has more than {JSON_BYTES} bytes")
    return content
