"""An artifact: one immutable model on disk, in a directory with its ``manifest.json``."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workbench.errors import CorruptError, InputError, MissingError
from workbench.records import FileRecord, Manifest

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Artifact:
    """A directory and its manifest."""

    path: Path
    manifest: Manifest

    @property
    def model_path(self) -> Path:
        """The ONNX file.

        Raises:
            InputError: the artifact is no ONNX artifact.
        """
        if self.manifest.model_file is None:
            raise InputError(f"{self.path} holds a {self.manifest.format} model, not ONNX.")
        return self.path / self.manifest.model_file

    @property
    def size_bytes(self) -> int:
        """Sum of all files that the manifest lists."""
        return sum(record.bytes for record in self.manifest.files.values())

    @property
    def digest(self) -> str:
        """SHA-256 of the content: the files, and how inputs are prepared and outputs are read."""
        manifest = self.manifest
        return digest(
            {
                "files": {name: record.sha256 for name, record in manifest.files.items()},
                "means": manifest.model_dump(
                    mode="json", include={"signature", "preprocess", "labels", "source"}
                ),
            }
        )


def digest(value: Any) -> str:
    """SHA-256 (hex) of a value's canonical JSON; what JSON does not know is a TypeError."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_of(folder: Path) -> Iterator[Path]:
    """All regular files under a folder, sorted, without the manifest; links are refused.

    Raises:
        InputError: a link lies in the folder (it could lead outside).
    """
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise InputError(f"{path} is a link.", hint="Put the file itself in its place.")
        if path.is_file() and path.name != MANIFEST:
            yield path


def seal(folder: Path, manifest: Manifest) -> Artifact:
    """Record every file of ``folder`` in the manifest and write it; files are flushed to disk."""
    files = {
        path.relative_to(folder).as_posix(): FileRecord(
            bytes=path.stat().st_size, sha256=file_digest(path)
        )
        for path in files_of(folder)
    }
    manifest = manifest.model_copy(update={"files": files})
    for name in files:
        _flush(folder / name)
    write_atomic(folder / MANIFEST, manifest.model_dump_json(indent=2, exclude_none=True) + "\n")
    return Artifact(folder, manifest)


def open_artifact(folder: Path, *, verify: bool = True) -> Artifact:
    """Read an artifact back.

    Args:
        folder: the directory that holds ``manifest.json``.
        verify: compare the size and SHA-256 of every file with the manifest.

    Raises:
        InputError: there is no manifest.
        CorruptError: the manifest or a file is not what was written.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder} is no artifact: it has no {MANIFEST}.")
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CorruptError(f"{path} cannot be read: {error.errors()[0]['msg']}.") from error
    if verify:
        for name, record in manifest.files.items():
            file = folder / name
            whole = file.is_file() and file.stat().st_size == record.bytes
            if not whole or file_digest(file) != record.sha256:
                raise CorruptError(
                    f"{file} is not what was written.",
                    hint="Delete its folder and run again.",
                )
    return Artifact(folder, manifest)


def copy_artifact(artifact: Artifact, target: Path) -> None:
    """Copy an artifact to ``target``, which appears whole or not at all."""
    existing = target / MANIFEST
    if existing.is_file():
        try:
            if open_artifact(target).manifest == artifact.manifest:
                return
        except (CorruptError, InputError):
            pass  # replaced below by the good copy
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    with disk_errors(target):
        shutil.copytree(artifact.path, staging)
        if target.exists():
            shutil.rmtree(target)
        staging.rename(target)


def copy_side_files(source: Artifact, target: Path) -> None:
    """Copy what belongs to a model but holds no weights: the tokenizer, and such."""
    preprocess = source.manifest.preprocess
    if preprocess is not None and preprocess.kind == "text":
        shutil.copyfile(source.path / preprocess.tokenizer, target / preprocess.tokenizer)


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written, before long work; nothing is made yet.

    Raises:
        MissingError: it, or the nearest folder above it that exists, cannot be written.
    """
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        reason = "is no folder" if not existing.is_dir() else "is not writable"
        raise MissingError(
            f"Cannot write {folder}: {existing} {reason}.", hint="Choose another folder."
        )


def write_atomic(path: Path, text: str, temporary: Path | None = None) -> None:
    """Write a text file so that a reader sees the old content or the new, never a part.

    Args:
        path: the file.
        text: its content.
        temporary: where it is written first, on the same file system; none: beside it.

    Raises:
        MissingError: the disk is full or the folder cannot be written.
    """
    temporary = temporary or path.with_name(f".{path.name}.{os.getpid()}")
    with disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text, encoding="utf-8")
            _flush(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


class disk_errors:  # noqa: N801 - a context manager reads as a verb phrase
    """Turns a full disk or an unwritable folder into one clear error."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        # safetensors wraps the system's error in a type of its own.
        wrapped = type(error).__name__ == "SafetensorError" and "I/O error" in str(error)
        if isinstance(error, OSError) or wrapped:
            reason = getattr(error, "strerror", None) or error
            raise MissingError(
                f"Cannot write {self.path}: {reason}.",
                hint="Free some space, or choose another folder (WORKBENCH_HOME, --runs).",
            ) from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
