"""Reads manifests as registries give them, and distrusts them.

Sources: OCI image-spec 1.1 (manifest, image index), Docker image manifest version 2, schema 2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import CorruptError, InputError
from workbench.packaging.image.parts import MEDIA_TYPES, digest_of
from workbench.packaging.image.registry.client import Client
from workbench.packaging.image.registry.references import is_digest

INDEXES = (
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
MANIFESTS = tuple(types["manifest"] for types in MEDIA_TYPES.values())
LAYERS = frozenset(types["layer"] for types in MEDIA_TYPES.values())
SIZE_LIMIT = 1 << 40
"""Bytes of one blob; more is no image but an attack on the disk."""


@dataclass(frozen=True)
class Descriptor:
    """What a manifest says of a blob."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True)
class ImageManifest:
    """The configuration and the layers, the lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


def fetch_manifest(client: Client, platform: str) -> ImageManifest:
    """The manifest of the reference, of one platform where it has several.

    Raises:
        InputError: there is no such image, not for this platform, or in a form that is not read.
        CorruptError: it is not what its digest says, or no valid manifest.
    """
    read, kind = _fetch(client, client.reference.target, client.reference.digest)
    if kind in INDEXES:
        chosen = _choose(client, read, platform)
        read, kind = _fetch(client, chosen.digest, chosen.digest)
    if kind not in MANIFESTS:
        raise InputError(
            f"{client.reference} is a '{kind or 'manifest of no type'}', not an image that is read "
            "here.",
            hint="Push it anew with a current engine.",
        )
    layers = tuple(_descriptor(client, layer) for layer in _list(client, read, "layers"))
    for layer in layers:
        if layer.media_type not in LAYERS:
            raise InputError(
                f"{client.reference} has a layer of type '{layer.media_type}'.",
                hint="Only gzipped layers are read; push it with --compression-format gzip.",
            )
    return ImageManifest(_descriptor(client, read.get("config")), layers)


def _fetch(client: Client, target: str, digest: str | None) -> tuple[Mapping[str, Any], str]:
    accept = ", ".join((*MANIFESTS, *INDEXES))
    answer = client.ask("GET", client.url(f"manifests/{target}"), {"Accept": accept})
    if answer.status != 200:
        raise client.refuse(answer, "pull the image")
    body = answer.read()
    wanted = digest or answer.header("Docker-Content-Digest")
    if is_digest(wanted) and digest_of(body) != wanted:
        raise CorruptError(
            f"The manifest of {client.reference} is {digest_of(body)}, not {wanted}.",
            hint="Something on the way, or the registry, changes it.",
        )
    try:
        read = json.loads(body)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise _bad(client, "is no JSON object")
    kind = read.get("mediaType") or answer.header("Content-Type").partition(";")[0].strip()
    return read, str(kind)


def _choose(client: Client, index: Mapping[str, Any], platform: str) -> Descriptor:
    offered: dict[str, Any] = {}
    for entry in _list(client, index, "manifests"):
        about = entry.get("platform") if isinstance(entry, dict) else None
        if isinstance(about, dict):
            name = f"{about.get('os')}/{about.get('architecture')}"
            offered.setdefault(name, entry)
    if platform not in offered:
        names = ", ".join(sorted(name for name in offered if "unknown" not in name))
        raise InputError(
            f"{client.reference} is not there for {platform}.",
            hint=f"It is there for {names}." if names else "Choose another image.",
        )
    return _descriptor(client, offered[platform])


def _list(client: Client, read: Mapping[str, Any], key: str) -> list[Any]:
    found = read.get(key)
    if not isinstance(found, list):
        raise _bad(client, f"has no list '{key}'")
    return found


def _descriptor(client: Client, raw: Any) -> Descriptor:
    if not isinstance(raw, dict):
        raise _bad(client, "lacks a descriptor")
    digest, size = raw.get("digest"), raw.get("size")
    if not isinstance(digest, str) or not is_digest(digest):
        raise _bad(client, f"names a blob '{str(digest)[:80]}'")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= SIZE_LIMIT:
        raise _bad(client, f"gives a blob the size {str(size)[:80]}")
    return Descriptor(str(raw.get("mediaType", "")), digest, size)


def _bad(client: Client, what: str) -> CorruptError:
    return CorruptError(f"The manifest of {client.reference} {what}.", hint="Push the image anew.")
