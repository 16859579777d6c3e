"""Which artifacts are served, under which names, and how they lie on disk or in an archive."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from workbench.artifact import MANIFEST, Artifact, disk_errors, files_of, open_artifact
from workbench.errors import InputError


def resolve_artifacts(words: Sequence[str], variant: str | None = None) -> dict[str, Artifact]:
    """The ONNX artifacts that the words name, by the name under which each is served.

    A word is a folder with a manifest, a run directory (``variant`` names its variant), or
    ``RUN:VARIANT``. An artifact's name is that of its manifest; where two share it, the folder's
    name is added. What no URL or folder may hold becomes ``-``.

    Raises:
        InputError: a word names no ONNX artifact, or two artifacts cannot be told apart.
        CorruptError: a file of an artifact is not what was written.
    """
    artifacts = [_resolve(word, variant) for word in words]
    taken = Counter(artifact.manifest.name for artifact in artifacts)
    named: dict[str, Artifact] = {}
    for artifact in artifacts:
        name = artifact.manifest.name
        if taken[name] > 1:
            name = f"{name}-{artifact.path.resolve().name}"
        name = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-") or "model"
        if name in named:
            raise InputError(
                f"{named[name].path} and {artifact.path} would both be served as '{name}'.",
                hint="Give each artifact once, and different ones folders of different names.",
            )
        named[name] = artifact
    return named


def _resolve(word: str, variant: str | None) -> Artifact:
    folder = Path(word)
    if not folder.exists() and ":" in word:
        run, _, variant = word.rpartition(":")
        folder = Path(run)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {what}.", hint="Give an artifact's folder or RUN:VARIANT.")
    if not (folder / MANIFEST).is_file():
        folder = _variant(folder, variant)
    elif variant is not None:
        raise InputError(
            f"{folder} is an artifact and has no variants.", hint="Leave --variant out."
        )
    artifact = open_artifact(folder)
    if artifact.manifest.model_file is None:
        raise InputError(
            f"{folder} holds a {artifact.manifest.format} model, and only ONNX is served.",
            hint="Export it: workbench run with the step 'export'.",
        )
    return artifact


def _variant(run: Path, variant: str | None) -> Path:
    names = sorted(path.parent.name for path in run.glob(f"variants/*/{MANIFEST}"))
    if not names:
        raise InputError(
            f"{run} is neither an artifact nor a run directory: it has no {MANIFEST}.",
            hint="Give an artifact's folder or RUN:VARIANT.",
        )
    if variant is None and len(names) == 1:
        (variant,) = names
    if variant not in names:
        what = "has several variants" if variant is None else f"has no variant '{variant}'"
        raise InputError(
            f"{run} {what}.", hint=f"Choose with --variant or RUN:VARIANT: {', '.join(names)}."
        )
    return run / "variants" / variant


def place_artifact(artifact: Artifact, folder: Path) -> None:
    """Put an artifact's files into a new folder; files are linked where the disk allows it."""
    with disk_errors(folder):
        for name in file_names(artifact):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(artifact.path / name, target)
            except OSError:  # another file system, or one without links
                shutil.copyfile(artifact.path / name, target)


def pack_artifact(artifact: Artifact, archive: Path) -> None:
    """Write an artifact as ``.tar.gz``, its manifest at the root, as the platform asks for it (C8).

    The bytes depend on nothing but the files (and zlib's version); the archive appears whole or not
    at all.

    Raises:
        MissingError: the disk is full or the folder cannot be written.
    """
    staging = archive.with_name(f".{archive.name}.{os.getpid()}")
    try:
        with (
            disk_errors(archive),
            staging.open("wb") as raw,
            # No name and no time in the header; level 6 as zlib's own default.
            gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as tar,
        ):
            for name in file_names(artifact):
                entry = tarfile.TarInfo(name)
                entry.size = (artifact.path / name).stat().st_size
                with (artifact.path / name).open("rb") as file:
                    tar.addfile(entry, file)
        staging.rename(archive)
    finally:
        staging.unlink(missing_ok=True)


def file_names(artifact: Artifact) -> list[str]:
    """The manifest, and the files that it lists; all there are where it lists none."""
    listed = sorted(artifact.manifest.files)
    found = (path.relative_to(artifact.path).as_posix() for path in files_of(artifact.path))
    return [MANIFEST, *(listed or found)]
