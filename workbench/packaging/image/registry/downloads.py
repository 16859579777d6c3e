"""Fetches blobs: checks size and digest, and goes on where a broken connection stopped.

Source: OCI distribution-spec 1.1, "Pulling blobs"; ranges by RFC 9110.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from workbench.artifact import disk_errors, file_digest
from workbench.errors import CorruptError
from workbench.packaging.image.parts import digest_of
from workbench.packaging.image.registry.client import Client
from workbench.packaging.image.registry.manifests import Descriptor
from workbench.packaging.image.registry.patience import BUSY, Patience, gave_up
from workbench.packaging.image.registry.transport import Answer, BrokenError

DOING = "pull a layer"


def blob_path(blobs: Path, digest: str) -> Path:
    """Where a blob lies in a folder of blobs: under the hexadecimal digits of its digest."""
    return blobs / digest.removeprefix("sha256:")


def read_blob(client: Client, wanted: Descriptor) -> bytes:
    """A small blob, such as a configuration.

    Raises:
        CorruptError: it is not what its digest says.
    """
    answer = client.ask("GET", client.url(f"blobs/{wanted.digest}"))
    if answer.status != 200:
        raise client.refuse(answer, DOING)
    content = answer.read()
    if len(content) != wanted.size or digest_of(content) != wanted.digest:
        raise _wrong(client, wanted)
    return content


def fetch_blob(
    client: Client, wanted: Descriptor, blobs: Path, told: Callable[[int], None]
) -> Path:
    """A blob as a file, which appears only when it is whole; ``told`` gets the bytes so far.

    Raises:
        CorruptError: it is not what its digest says.
        MissingError: the disk is full or the folder cannot be written.
        StepError: the connection breaks again and again.
    """
    path = blob_path(blobs, wanted.digest)
    if is_whole(path, wanted):
        told(wanted.size)
        return path
    with disk_errors(path):
        blobs.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".blob-", dir=blobs)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            _Download(client, wanted, file, part, told).run()
        with disk_errors(path):
            part.chmod(0o644)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def is_whole(path: Path, wanted: Descriptor) -> bool:
    """Whether the blob is there already, and right."""
    if not path.is_file() or path.stat().st_size != wanted.size:
        return False
    return f"sha256:{file_digest(path)}" == wanted.digest


class _Download:
    def __init__(
        self,
        client: Client,
        wanted: Descriptor,
        file: BinaryIO,
        path: Path,
        told: Callable[[int], None],
    ) -> None:
        self._client, self._wanted, self._told = client, wanted, told
        self._file, self._path = file, path
        self._got = self._furthest = 0
        self._hash = hashlib.sha256()
        self._patience = Patience()

    def run(self) -> None:
        done = False
        while not done:
            try:
                done = self._take(self._request())
            except BrokenError as error:
                if not self._patience.again():
                    raise gave_up(error) from error
        if f"sha256:{self._hash.hexdigest()}" != self._wanted.digest:
            raise _wrong(self._client, self._wanted)
        with disk_errors(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def _request(self) -> Answer:
        headers = {"Range": f"bytes={self._got}-"} if self._got else {}
        url = self._client.url(f"blobs/{self._wanted.digest}")
        return self._client.once("GET", url, headers)

    def _take(self, answer: Answer) -> bool:
        """Write what an answer brings; true when it came to its end."""
        if answer.status in BUSY and self._patience.again(answer):
            answer.close()
            return False
        if answer.status == 416:  # it has less than the manifest says
            raise _wrong(self._client, self._wanted)
        if answer.status not in (200, 206):
            raise self._client.refuse(answer, DOING)
        if answer.status == 200:  # also when a range was asked for: it begins at the start
            self._restart()
            length = answer.header("Content-Length")
            if length.isdigit() and int(length) != self._wanted.size:
                raise _wrong(self._client, self._wanted)
        elif not answer.header("Content-Range").startswith(f"bytes {self._got}-"):
            self._restart()
            raise BrokenError("it answers with another range than was asked for")
        with answer.stream:
            for block in answer.blocks(self._wanted.size - self._got + 1):
                with disk_errors(self._path):
                    self._file.write(block)
                self._hash.update(block)
                self._got += len(block)
                self._told(min(self._got, self._wanted.size))
                if self._got > self._furthest:
                    self._furthest = self._got
                    self._patience.renew()
        if self._got < self._wanted.size:
            raise BrokenError("the answer ended early")
        if self._got > self._wanted.size:
            raise _wrong(self._client, self._wanted)
        return True

    def _restart(self) -> None:
        with disk_errors(self._path):
            self._file.seek(0)
            self._file.truncate()
        self._got, self._hash = 0, hashlib.sha256()


def _wrong(client: Client, wanted: Descriptor) -> CorruptError:
    return CorruptError(
        f"What {client.reference.registry} gives for {wanted.digest} is something else.",
        hint="Push the image anew; if that does not help, something on the way changes it.",
    )
