"""Size of an image as a registry stores it: ``python image_size.py IMAGE`` (needs podman).

Layers are packed with gzip at its default level, as podman, buildah and docker push them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import IO

CHUNK = 1 << 20


def packed_bytes(layer: IO[bytes]) -> int:
    """Bytes of a layer packed with gzip, level 6."""
    packer, size = zlib.compressobj(6, wbits=31), 0
    while chunk := layer.read(CHUNK):
        size += len(packer.compress(chunk))
    return size + len(packer.flush())


def main(image: str) -> None:
    """Print the bytes of each layer, packed and not, and their sum."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        command = ["podman", "save", "--quiet", "--format", "docker-archive", "-o", str(archive)]
        subprocess.run([*command, image], check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(archive) as tar:
            manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
            total = 0
            for name in manifest[0]["Layers"]:
                layer = tar.extractfile(name)
                assert layer is not None
                packed = packed_bytes(layer)
                total += packed
                print(f"{name[:12]}  {tar.getmember(name).size:>12,}  {packed:>12,} packed")
    print(f"{image}: {total:,} bytes packed")


if __name__ == "__main__":
    main(*sys.argv[1:])
