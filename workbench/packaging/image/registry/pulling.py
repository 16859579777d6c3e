"""Pulls an image: the manifest, the configuration, and the layers into a folder of blobs.

Source: OCI distribution-spec 1.1, "Pull".
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.errors import CorruptError, InputError, MissingError
from workbench.packaging.image.parts import Blob, Image, Layer
from workbench.packaging.image.registry.client import Client
from workbench.packaging.image.registry.credentials import Credentials
from workbench.packaging.image.registry.downloads import (
    blob_path,
    fetch_blob,
    is_whole,
    read_blob,
)
from workbench.packaging.image.registry.manifests import Descriptor, fetch_manifest
from workbench.packaging.image.registry.meter import Meter
from workbench.packaging.image.registry.references import Reference, parse_reference
from workbench.packaging.image.registry.transport import TEXT_LIMIT, Transport
from workbench.progress import Progress

PLATFORM = "linux/amd64"
BLOCK = 1 << 20


def pull(
    reference: Reference | str,
    blobs: Path,
    *,
    platform: str = PLATFORM,
    progress: Progress | None = None,
    credentials: Credentials | None = None,
    insecure: bool = False,
) -> Image:
    """Pull an image; its layers' blobs lie in ``blobs`` afterwards, each whole or not at all.

    The image's own digest is that of the registry if the image was pushed by the workbench; the
    manifests of others say the same in other bytes.

    Args:
        reference: what to pull; a digest may also be that of a manifest for several platforms.
        blobs: a folder, made if need be; blobs that are there are not fetched again.
        platform: ``OS/ARCHITECTURE``.
        progress: is told of one piece of work, in bytes.
        credentials: who asks; none: they are looked for when the registry asks for them.
        insecure: speak plain HTTP to a registry that is not on this machine.

    Raises:
        InputError: the name, the credentials, or the image is not what can be used here.
        MissingError: credentials, the network, trust in the certificate or disk space is missing.
        StepError: the registry fails, or the connection breaks again and again.
        CorruptError: what comes is not what its digest says.
    """
    where = parse_reference(reference) if isinstance(reference, str) else reference
    client = Client(
        where, push=False, credentials=credentials, transport=Transport(insecure=insecure)
    )
    meter = Meter(progress, f"pull {where}")
    manifest = fetch_manifest(client, platform)
    if manifest.config.size > TEXT_LIMIT:
        raise CorruptError(f"The configuration of {where} is larger than {TEXT_LIMIT} bytes.")
    config = read_blob(client, manifest.config)
    diff_ids, titles = _read_config(config, where, platform, len(manifest.layers))
    unique = {layer.digest: layer for layer in manifest.layers}
    lacking = [
        layer for layer in unique.values() if not is_whole(blob_path(blobs, layer.digest), layer)
    ]
    total = sum(layer.size for layer in lacking)
    _check_space(blobs, total)
    meter.expect(total)
    for layer in lacking:
        fetch_blob(client, layer, blobs, meter.told)
        meter.blob_done(layer.size)
    layers = [
        _layer(blobs, layer, diff_id, title)
        for layer, diff_id, title in zip(manifest.layers, diff_ids, titles, strict=True)
    ]
    meter.finish(f"fetched, {len(unique) - len(lacking)} of {len(unique)} layers were there")
    return Image(config, tuple(layers))


def _read_config(
    config: bytes, where: Reference, platform: str, layers: int
) -> tuple[Sequence[str], Sequence[str]]:
    """The layers' diff_ids and titles."""
    try:
        read = json.loads(config)
        diff_ids = [str(diff_id) for diff_id in read["rootfs"]["diff_ids"]]
        found = f"{read.get('os')}/{read.get('architecture')}"
        steps = [step for step in read.get("history") or [] if not step.get("empty_layer")]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CorruptError(f"The configuration of {where} cannot be read.") from None
    if found != platform:
        raise InputError(f"{where} is an image for {found}, not for {platform}.")
    if len(diff_ids) != layers:
        raise CorruptError(f"{where} has {layers} layers and {len(diff_ids)} diff_ids.")
    return diff_ids, _titles(steps, layers)


def _titles(steps: Sequence[dict[str, Any]], layers: int) -> Sequence[str]:
    """What the configuration's history says of each layer, if it speaks of as many."""
    if len(steps) != layers:
        steps = [{}] * layers
    said = [str(step.get("comment") or step.get("created_by") or "") for step in steps]
    return [text or f"layer {number}" for number, text in enumerate(said, 1)]


def _layer(blobs: Path, found: Descriptor, diff_id: str, title: str) -> Layer:
    path = blob_path(blobs, found.digest)
    return Layer(title, diff_id, Blob(found.digest, found.size, path), _unpacked(path, diff_id))


def _unpacked(path: Path, diff_id: str) -> int:
    """Bytes of the tar in a blob, whose digest must be what the configuration says."""
    digest, size = hashlib.sha256(), 0
    try:
        with gzip.open(path) as file:
            while block := file.read(BLOCK):
                digest.update(block)
                size += len(block)
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptError(f"The layer {path} cannot be unpacked: {error}.") from None
    if f"sha256:{digest.hexdigest()}" != diff_id:
        raise CorruptError(f"The layer {path} unpacks to something else than {diff_id}.")
    return size


def _check_space(blobs: Path, needed: int) -> None:
    existing = next(p for p in (blobs.absolute(), *blobs.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise MissingError(
            f"The layers take {needed / 1e6:.0f} MB, and {existing} has {free / 1e6:.0f} MB free.",
            hint="Free some space, or choose another folder.",
        )
