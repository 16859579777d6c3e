"""Layers by the digest of what they are made of, so that only what has changed is made again.

Layout of the cache's folder, which may be deleted at any time::

    blobs/<sha256>            layers as they are transferred
    layers/<key>.json         which blob belongs to which inputs
    debs/, wheels/, python/   what was fetched, and the interpreter that compiles
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workbench.artifact import digest, file_digest, write_atomic
from workbench.packaging.image.linked import libraries
from workbench.packaging.image.parts import Blob, Layer
from workbench.packaging.image.tar_layer import Entries, epoch, write_layer
from workbench.records import Record

KEPT_DAYS = 30


class LayerNote(Record):
    """``layers/<key>.json``; ``libraries`` are those that it offers to the layers above."""

    title: str
    diff_id: str
    digest: str
    size: int
    unpacked: int
    libraries: tuple[str, ...] = ()


class LayerCache:
    """Layers that are made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = folder / "blobs"

    def layer(
        self, title: str, inputs: Any, make: Callable[[], Entries]
    ) -> tuple[Layer, LayerNote, bool]:
        """The layer made of ``inputs``, its note, and whether it was there.

        Args:
            title: what it holds.
            inputs: all that decides its content, as JSON has it; this package's code is added.
            make: makes its entries, if it is not there whole.
        """
        inputs = [title, inputs, _code(), zlib.ZLIB_RUNTIME_VERSION, epoch()]
        path = self.folder / "layers" / f"{digest(inputs)}.json"
        note = self._read(path)
        if note is not None:
            os.utime(path)
            return self._layer(note), note, True
        entries = make()
        made = write_layer(title, entries, self.blobs)
        note = LayerNote(
            title=title,
            diff_id=made.diff_id,
            digest=made.blob.digest,
            size=made.blob.size,
            unpacked=made.unpacked,
            libraries=tuple(libraries(entries)),
        )
        write_atomic(path, note.model_dump_json(indent=1) + "\n")
        return made, note, False

    def tidy(self) -> None:
        """Remove layers that nothing has asked for in ``KEPT_DAYS``."""
        oldest = time.time() - KEPT_DAYS * 86400
        notes = list((self.folder / "layers").glob("*.json"))
        stale = {note for note in notes if note.stat().st_mtime < oldest}
        for path in stale:
            path.unlink(missing_ok=True)
        if stale:
            fresh = map(self._read, set(notes) - stale)
            kept = {note.digest for note in fresh if note is not None}
            for blob in self.blobs.glob("[0-9a-f]*"):
                if f"sha256:{blob.name}" not in kept and blob.stat().st_mtime < oldest:
                    blob.unlink(missing_ok=True)

    def _read(self, path: Path) -> LayerNote | None:
        try:
            note = LayerNote.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
        blob = self._layer(note).blob
        whole = blob.path.is_file() and f"sha256:{file_digest(blob.path)}" == blob.digest
        if not whole:
            blob.path.unlink(missing_ok=True)
        return note if whole else None

    def _layer(self, note: LayerNote) -> Layer:
        path = self.blobs / note.digest.removeprefix("sha256:")
        return Layer(note.title, note.diff_id, Blob(note.digest, note.size, path), note.unpacked)


@cache
def _code() -> str:
    """Digest of the modules that make layers."""
    return digest([file_digest(path) for path in sorted(Path(__file__).parent.glob("*.py"))])
