"""Writes an image where tools read it: a docker-archive, an OCI layout, an OCI archive.

Sources: Docker's image specification v1.2, "Combined Image JSON + Filesystem Changeset Format"
(``docker load``); OCI image-spec 1.1, image-layout. Layers stay packed in all of them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from workbench.artifact import disk_errors
from workbench.errors import InputError
from workbench.packaging.image.parts import MEDIA_TYPES, Form, Image, canonical, digest_of
from workbench.packaging.image.registry.references import LATEST, Reference, parse_reference
from workbench.packaging.image.tar_layer import File, write_tar

LAYOUT = "oci-layout"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"


def write_docker_archive(image: Image, path: Path, name: str) -> None:
    """Write a tar for ``docker load`` and ``podman load``; it appears whole or not at all.

    Args:
        image: the image.
        path: the tar.
        name: what the image is called once loaded, such as ``model:1``.

    Raises:
        InputError: the name is none.
        MissingError: the disk is full or the folder cannot be written.
    """
    reference = parse_reference(name)
    config = f"{_hex(image.config_digest)}.json"
    layers = [f"{_hex(layer.blob.digest)}.tar.gz" for layer in image.layers]
    repository, tag = _familiar(reference, name), reference.tag or LATEST
    manifest = [{"Config": config, "RepoTags": [f"{repository}:{tag}"], "Layers": layers}]
    entries = {
        "manifest.json": File(canonical(manifest)),
        # Read by dockers before 1.10, and asked for by some tools all the same.
        "repositories": File(canonical({repository: {tag: _hex(image.layers[-1].diff_id)}})),
        config: File(image.config),
    }
    for file, layer in zip(layers, image.layers, strict=True):
        entries[file] = File(layer.blob.path)
    _write_archive(entries, path)


def write_oci_archive(image: Image, path: Path, name: str, form: Form = "oci") -> None:
    """Write an OCI layout as one tar; arguments and errors as of ``write_oci_layout``."""
    _write_archive(_layout(image, name, form), path)


def write_oci_layout(image: Image, folder: Path, name: str, form: Form = "oci") -> None:
    """Write an OCI layout into a folder, which appears whole; an older layout is replaced.

    Args:
        image: the image.
        folder: where.
        name: what the image is called.
        form: media types of the manifest; ``docker`` keeps the digest that SageMaker wants.

    Raises:
        InputError: the name is none, or the folder holds something else.
        MissingError: the disk is full or the folder cannot be written.
    """
    entries = _layout(image, name, form)
    if folder.exists() and not (folder / LAYOUT).is_file():
        raise InputError(f"{folder} exists and is no OCI layout.", hint="Give another folder.")
    staging = folder.with_name(f".{folder.name}.{os.getpid()}")
    with disk_errors(folder):
        try:
            for path, file in entries.items():
                target = staging / path
                target.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(file.content, bytes):
                    target.write_bytes(file.content)
                else:
                    shutil.copyfile(file.content, target)
            if folder.exists():
                shutil.rmtree(folder)
            staging.rename(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _layout(image: Image, name: str, form: Form) -> dict[str, File]:
    manifest = image.manifest(form)
    descriptor = {
        "mediaType": MEDIA_TYPES[form]["manifest"],
        "digest": digest_of(manifest),
        "size": len(manifest),
        "platform": {"architecture": "amd64", "os": "linux"},
        "annotations": {REF_NAME: parse_reference(name).tag or LATEST},
    }
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [descriptor]}
    entries = {
        LAYOUT: File(canonical({"imageLayoutVersion": "1.0.0"})),
        "index.json": File(canonical(index)),
        _blob(digest_of(manifest)): File(manifest),
        _blob(image.config_digest): File(image.config),
    }
    for layer in image.layers:
        entries[_blob(layer.blob.digest)] = File(layer.blob.path)
    return entries


def _write_archive(entries: dict[str, File], path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                write_tar(entries, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _familiar(reference: Reference, name: str) -> str:
    """The name as docker shows it: without the registry where none was given."""
    full = reference.name
    short = full.removeprefix("docker.io/").removeprefix("library/")
    return full if name.startswith(full) else short


def _blob(digest: str) -> str:
    return f"blobs/sha256/{_hex(digest)}"


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
