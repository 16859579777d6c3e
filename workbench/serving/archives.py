"""Where the models of an endpoint come from: archives in a folder or in S3, or artifacts."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from workbench.artifact import Artifact
from workbench.errors import InputError, MissingError
from workbench.records import Manifest
from workbench.serving.artifacts import place_artifact
from workbench.serving.unpacking import MAX_BYTES, ArchiveError, first_manifest, unpack

SUFFIX = ".tar.gz"


class Source(Protocol):
    """Models by the name that a request gives as target model."""

    def unpack(self, target: str, folder: Path) -> None:
        """Put a model's files into a new folder.

        Raises:
            ArchiveError: there is no such model, or it is refused.
        """

    def targets(self) -> list[str]:
        """The models' names; none where nothing lists them."""

    def manifest(self, target: str) -> Manifest | None:
        """A model's manifest, where it can be had cheaply."""


class ArtifactSource:
    """Artifacts as if each were an archive ``NAME.tar.gz``; nothing is packed for it."""

    def __init__(self, artifacts: Mapping[str, Artifact]) -> None:
        self._artifacts = {f"{name}{SUFFIX}": artifact for name, artifact in artifacts.items()}

    def unpack(self, target: str, folder: Path) -> None:
        """Link or copy the artifact's files."""
        if target not in self._artifacts:
            names = ", ".join(self._artifacts)
            raise ArchiveError(f"There is no archive '{target}'; there are {names}.")
        place_artifact(self._artifacts[target], folder)

    def targets(self) -> list[str]:
        """``NAME.tar.gz`` of each artifact."""
        return list(self._artifacts)

    def manifest(self, target: str) -> Manifest | None:
        """The artifact's."""
        return self._artifacts[target].manifest


class FolderSource:
    """The ``.tar.gz`` files under a folder."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}.", hint="Give a folder of archives.")
        self._root = folder.resolve()

    def unpack(self, target: str, folder: Path) -> None:
        """Unpack ``target``, a path below the root; links in it may not lead outside."""
        try:
            path = (self._root / _checked(target)).resolve()
            inside = path.is_relative_to(self._root) and path.is_file()
        except OSError:  # such as a name longer than the disk takes
            inside = False
        if not inside:
            raise ArchiveError(f"There is no archive '{target}' in the models' folder.")
        with path.open("rb") as file:
            unpack(file, folder)

    def targets(self) -> list[str]:
        """The archives' paths below the folder, sorted."""
        found = self._root.rglob(f"*{SUFFIX}")
        return sorted(path.relative_to(self._root).as_posix() for path in found)

    def manifest(self, target: str) -> Manifest | None:
        """The manifest of an archive that begins with it, as those of the workbench do."""
        with (self._root / target).open("rb") as file:
            return first_manifest(file)


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
                size = self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"]
                if size > MAX_BYTES:
                    raise ArchiveError(f"s3://{self._bucket}/{key} is larger than {MAX_BYTES}.")
                self._client.download_fileobj(self._bucket, key, file)
            except ArchiveError:
                raise
            # botocore makes its exception classes at run time; all mean the same here.
            except Exception as error:
                raise ArchiveError(
                    f"s3://{self._bucket}/{key} cannot be downloaded: {error}"
                ) from error
            file.seek(0)
            unpack(file, folder)

    def targets(self) -> list[str]:
        """None: a prefix may hold very many, and listing asks for a right of its own."""
        return []

    def manifest(self, target: str) -> Manifest | None:
        """None: it would have to be downloaded."""
        return None


def _checked(target: str) -> str:
    path = PurePosixPath(target)
    if path.is_absolute() or ".." in path.parts or "\0" in target:
        raise ArchiveError(f"The target model '{target}' would leave the models' folder.")
    if not target.endswith(SUFFIX):
        raise ArchiveError(f"The target model '{target}' is no {SUFFIX}.")
    return target


def _s3_client() -> Any:
    try:
        boto3 = importlib.import_module("boto3")
    except ImportError:
        raise MissingError(
            "Reading archives from S3 needs boto3.", hint="pip install 'workbench[sagemaker]'"
        ) from None
    return boto3.client("s3")
