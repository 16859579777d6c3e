"""Which artifacts are served, under which names, and how they lie on disk or in an archive."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from workbench.artifact import MANIFEST, Artifact, disk_errors, open_artifact
from workbench.errors import InputError


def resolve_artifacts(words: Sequence[str], variant: str | None = None) -> dict[str, Artifact]:
    """The ONNX artifacts that the words name, by the name under which each is served.

    A word is a folder with a manifest, a run directory (``variant`` names its variant), or
    ``RUN:VARIANT``. An artifact's name is that of its manifest; where two share it, the folder's
    name is added.

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
        raise InputError(
            f"There is no folder {folder}.", hint="Give an artifact's folder or RUN:VARIANT."
        )
    variants = folder / "variants"
    if not (folder / MANIFEST).is_file() and variants.is_dir():
        folder = _variant(variants, variant)
    artifact = open_artifact(folder)
    artifact.model_path  # noqa: B018 - refuses what is no ONNX artifact
    return artifact


def _variant(variants: Path, variant: str | None) -> Path:
    names = sorted(path.parent.name for path in variants.glob(f"*/{MANIFEST}"))
    if variant not in names:
        asked = f"has no variant '{variant}'" if variant else "has several variants"
        raise InputError(
            f"{variants.parent} {asked}.",
            hint=f"Choose one with --variant: {', '.join(names) or 'it has none'}.",
        )
    return variants / variant


def place_artifact(artifact: Artifact, folder: Path) -> None:
    """Put an artifact's files into a new folder; files are linked where the disk allows it."""
    with disk_errors(folder):
        for name in (MANIFEST, *artifact.manifest.files):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(artifact.path / name, target)
            except OSError:  # another file system, or one without links
                shutil.copyfile(artifact.path / name, target)


def pack_artifact(artifact: Artifact, archive: Path) -> None:
    """Write an artifact as ``.tar.gz``, its manifest at the root, as the platform asks for it."""
    with disk_errors(archive), tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name in (MANIFEST, *sorted(artifact.manifest.files)):
            tar.add(artifact.path / name, arcname=name, recursive=False)
