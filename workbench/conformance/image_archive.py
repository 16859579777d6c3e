"""Reads container images from archives: ``docker save`` tars and OCI layouts, packed or not."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import IO, Any

from workbench.conformance.subject import Image
from workbench.errors import InputError

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
ZSTD = b"\x28\xb5\x2f\xfd"


def read_image(path: Path, manifest_type: str | None = None) -> Image:
    """The image in a tar; ``manifest_type`` is its media type where an engine knows it.

    Raises:
        InputError: the file is no image archive.
    """
    try:
        with tarfile.open(path) as tar:
            names = {name.removeprefix("./"): name for name in tar.getnames()}
            files = _Archive(tar, names)
            if "index.json" in names:
                return _from_oci(files)
            if "manifest.json" in names:
                return _from_docker(files, manifest_type)
    except (tarfile.TarError, OSError, KeyError, ValueError, IndexError, TypeError) as error:
        raise InputError(f"'{path}' is no image archive that can be read: {error}.") from None
    raise InputError(f"'{path}' has neither a manifest.json nor an index.json of an image.")


class _Archive:
    """The files of an outer tar by name."""

    def __init__(self, tar: tarfile.TarFile, names: dict[str, str]) -> None:
        self._tar, self._names = tar, names

    def open(self, name: str) -> IO[bytes]:
        file = self._tar.extractfile(self._names[name])
        if file is None:
            raise ValueError(f"'{name}' is no file")
        return file

    def json(self, name: str) -> Any:
        return json.load(self.open(name))

    def blob(self, descriptor: dict[str, Any]) -> str:
        algorithm, _, digest = str(descriptor["digest"]).partition(":")
        return f"blobs/{algorithm}/{digest}"


def _from_docker(archive: _Archive, manifest_type: str | None) -> Image:
    entries = archive.json("manifest.json")
    if not isinstance(entries, list) or "Layers" not in entries[0]:
        raise ValueError("its manifest.json is not an image's")
    config = archive.json(entries[0]["Config"])
    types = (manifest_type,) if manifest_type else ()
    return _image(archive, types, len(entries), config, entries[0]["Layers"])


def _from_oci(archive: _Archive) -> Image:
    index = archive.json("index.json")
    descriptors = list(index["manifests"])
    types: list[str] = []
    while descriptors and descriptors[0].get("mediaType") in INDEXES:
        types.append(descriptors[0]["mediaType"])
        descriptors = list(archive.json(archive.blob(descriptors[0]))["manifests"])
    manifest = archive.json(archive.blob(descriptors[0]))
    types += [str(descriptors[0].get("mediaType")), str(manifest["config"].get("mediaType"))]
    types += [str(layer.get("mediaType")) for layer in manifest["layers"]]
    config = archive.json(archive.blob(manifest["config"]))
    layers = [archive.blob(layer) for layer in manifest["layers"]]
    return _image(archive, tuple(types), len(descriptors), config, layers)


def _image(
    archive: _Archive,
    types: tuple[str, ...],
    manifests: int,
    config: dict[str, Any],
    layers: list[str],
) -> Image:
    files: dict[str, int] = {}
    size = 0
    for layer in layers:
        size += _add_layer(archive.open(layer), files)
    return Image(types, manifests, dict(config.get("config") or {}), files, size)


def _add_layer(stream: IO[bytes], files: dict[str, int]) -> int:
    """Apply a layer's files to those below; returns the bytes of its files."""
    start = stream.read(4)
    stream.seek(0)
    if start == ZSTD:
        return 0  # The standard library cannot unpack it, and C1 refuses it anyway.
    unpacked: Any = gzip.GzipFile(fileobj=stream) if start[:2] == b"\x1f\x8b" else stream
    size = 0
    with tarfile.open(fileobj=io.BufferedReader(unpacked), mode="r|") as layer:
        for member in layer:
            name = member.name.removeprefix("./").lstrip("/")
            folder, _, last = name.rpartition("/")
            if last == ".wh..wh..opq":
                _remove(files, f"{folder}/")
            elif last.startswith(".wh."):
                gone = f"{folder}/{last[4:]}".lstrip("/")
                files.pop(gone, None)
                _remove(files, f"{gone}/")
            elif not member.isdir():
                # A link's own mode says nothing: what it points to counts.
                files[name] = 0o777 if member.issym() or member.islnk() else member.mode
                size += member.size
    return size


def _remove(files: dict[str, int], prefix: str) -> None:
    for name in [n for n in files if n.startswith(prefix)]:
        del files[name]
