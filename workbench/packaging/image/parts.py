"""What an image is: blobs named by their SHA-256, layers, a configuration, and a manifest.

Sources: the OCI image specification 1.1 (image-layout, manifest, config), and Docker's image
manifest version 2, schema 2, which differ in media types only as far as they are used here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

Form = Literal["docker", "oci"]
"""Docker schema 2, which SageMaker wants, or OCI."""

MEDIA_TYPES: dict[Form, dict[str, str]] = {
    "docker": {
        "manifest": "application/vnd.docker.distribution.manifest.v2+json",
        "config": "application/vnd.docker.container.image.v1+json",
        "layer": "application/vnd.docker.image.rootfs.diff.tar.gzip",
    },
    "oci": {
        "manifest": "application/vnd.oci.image.manifest.v1+json",
        "config": "application/vnd.oci.image.config.v1+json",
        "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
    },
}


@dataclass(frozen=True)
class Blob:
    """A file named by its content; ``digest`` as ``sha256:…``, ``size`` in bytes."""

    digest: str
    size: int
    path: Path


@dataclass(frozen=True)
class Layer:
    """One layer: ``blob`` is the gzipped tar, ``diff_id`` the digest of the tar itself.

    ``unpacked`` is the size of the tar in bytes, ``title`` says what it holds.
    """

    title: str
    diff_id: str
    blob: Blob
    unpacked: int


@dataclass(frozen=True)
class Image:
    """Layers, the lowest first, and the configuration as the bytes that its digest is taken of."""

    config: bytes
    layers: tuple[Layer, ...]

    @cached_property
    def config_digest(self) -> str:
        """The image's id."""
        return digest_of(self.config)

    @property
    def compressed(self) -> int:
        """Bytes of all layers as they are transferred."""
        return sum(layer.blob.size for layer in self.layers)

    def settings(self) -> dict[str, Any]:
        """The configuration, read."""
        read: dict[str, Any] = json.loads(self.config)
        return read

    def manifest(self, form: Form = "docker") -> bytes:
        """The manifest as the bytes that its digest is taken of."""
        types = MEDIA_TYPES[form]
        return canonical(
            {
                "schemaVersion": 2,
                "mediaType": types["manifest"],
                "config": {
                    "mediaType": types["config"],
                    "size": len(self.config),
                    "digest": self.config_digest,
                },
                "layers": [
                    {
                        "mediaType": types["layer"],
                        "size": layer.blob.size,
                        "digest": layer.blob.digest,
                    }
                    for layer in self.layers
                ],
            }
        )

    def digest(self, form: Form = "docker") -> str:
        """What a registry knows the image by."""
        return digest_of(self.manifest(form))


def canonical(value: Any) -> bytes:
    """JSON whose bytes depend on nothing but the value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(content: bytes) -> str:
    """``sha256:`` and the digest in hex."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
