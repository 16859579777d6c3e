"""Model archives: where they come from, and how they are unpacked without trusting them."""

from __future__ import annotations

import importlib
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from workbench.errors import InputError, MissingError

MAX_BYTES = 20 * 1024**3
MAX_FILES = 10_000


class ArchiveError(InputError):
    """An archive is not there, malformed, or holds what could do harm."""


class Source(Protocol):
    """Archives by the name that a request gives as target model."""

    def unpack(self, target: str, folder: Path) -> None:
        """Unpack an archive into a new folder.

        Raises:
            ArchiveError: there is no such archive, or it is refused.
        """


class FolderSource:
    """The ``.tar.gz`` files under a folder."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}.", hint="Give a folder of archives.")
        self._root = folder.resolve()

    def unpack(self, target: str, folder: Path) -> None:
        """Unpack ``target``, a path below the root; links in it may not lead outside."""
        path = (self._root / _checked(target)).resolve()
        if not path.is_relative_to(self._root) or not path.is_file():
            raise ArchiveError(f"There is no archive '{target}' in the models' folder.")
        with path.open("rb") as file:
            unpack(file, folder)


class S3Source:
    """The ``.tar.gz`` objects under a prefix; ``client`` is boto3's for S3."""

    def __init__(self, url: str, client: Any = None) -> None:
        """Args: ``url`` as ``s3://bucket/prefix``.

        Raises:
            InputError: the URL names no bucket.
            MissingError: boto3 is not installed.
        """
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not bucket:
            raise InputError(f"'{url}' names no bucket.", hint="Give s3://bucket/prefix.")
        self._bucket, self._prefix = bucket, prefix.strip("/")
        self._client = client if client is not None else _s3_client()

    def unpack(self, target: str, folder: Path) -> None:
        """Download ``target``, a key below the prefix, and unpack it."""
        key = f"{self._prefix}/{_checked(target)}".lstrip("/")
        with tempfile.TemporaryFile() as file:
            try:
                self._client.download_fileobj(self._bucket, key, file)
            # botocore makes its exception classes at run time; all mean the same here.
            except Exception as error:
                raise ArchiveError(
                    f"s3://{self._bucket}/{key} cannot be downloaded: {error}"
                ) from error
            file.seek(0)
            unpack(file, folder)


def open_source(place: str) -> Source:
    """The source of archives at a folder or an ``s3://`` prefix."""
    return S3Source(place) if place.startswith("s3://") else FolderSource(Path(place))


def unpack(
    file: IO[bytes], folder: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES
) -> None:
    """Unpack a ``.tar.gz`` into a new folder.

    Only regular files and folders are taken; the limits hold before anything is written, so that a
    small archive cannot fill the disk.

    Raises:
        ArchiveError: it is malformed, too large, or holds an absolute path, ``..``, a link or a
            device.
    """
    left, count = max_bytes, 0
    try:
        with tarfile.open(fileobj=file, mode="r|gz") as tar:
            for member in tar:
                left, count = left - member.size, count + 1
                if left < 0 or count > max_files:
                    raise ArchiveError(
                        f"The archive holds more than {max_bytes} bytes or {max_files} files."
                    )
                _take(tar, member, folder)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise ArchiveError(f"The archive cannot be unpacked: {error}") from error
    if count == 0:
        raise ArchiveError("The archive is empty.")


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise ArchiveError(f"The archive's member '{member.name}' would leave its folder.")
    target = folder / path
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise ArchiveError(f"The archive's member '{member.name}' is no regular file.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as written:
        while block := content.read(1 << 20):
            written.write(block)


def _checked(target: str) -> str:
    path = PurePosixPath(target)
    if path.is_absolute() or ".." in path.parts or "\0" in target:
        raise ArchiveError(f"The target model '{target}' would leave the models' folder.")
    if not target.endswith(".tar.gz"):
        raise ArchiveError(f"The target model '{target}' is no .tar.gz.")
    return target


def _s3_client() -> Any:
    try:
        boto3 = importlib.import_module("boto3")
    except ImportError:
        raise MissingError(
            "Reading archives from S3 needs boto3.", hint="pip install 'workbench[sagemaker]'"
        ) from None
    return boto3.client("s3")
