"""Builds a package's image, with an engine or without, and notes in the package what it is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from workbench.errors import InputError, MissingError, StepError
from workbench.packaging import engines
from workbench.packaging.engines import RUN_OPTIONS, Engine
from workbench.packaging.image.build import build_serving_image
from workbench.packaging.image.outputs import write_docker_archive, write_oci_archive
from workbench.packaging.image.parts import Form, Image
from workbench.packaging.image.reading import read_image
from workbench.packaging.image.scan import scan
from workbench.packaging.package import write_record
from workbench.packaging.records import ImageRecord, LayerRecord, Package
from workbench.packaging.sources import Source
from workbench.progress import Progress

ARCHIVE = "image.tar"
LOG = "build.log"
NONE = "none"
"""Without an engine, by name."""
WITHOUT = "no engine"


def find_builder(name: str) -> Engine | None:
    """The engine of a name, the one that is there (``auto``), or none.

    Raises:
        InputError: there is no engine of this name.
        MissingError: it does not work here.
    """
    if name == NONE:
        return None
    if name != "auto":
        return engines.choose_engine(name)
    with suppress(MissingError):
        return engines.choose_engine()
    return None


def build_image(
    folder: Path,
    package: Package,
    sources: Sequence[Source],
    *,
    tag: str,
    cache: Path,
    engine: Engine | None,
    form: Form = "docker",
    with_models: bool = False,
    bytecode: bool = True,
    progress: Progress | None = None,
) -> tuple[Package, Image]:
    """Build the image, write it as ``image.tar`` beside the archives, and note it.

    Args:
        folder: the package's.
        package: its record.
        sources: its models, for ``with_models``.
        tag: the image's name.
        cache: a folder for layers and downloads.
        engine: what builds; none: the image is written directly.
        form: Docker schema 2, which SageMaker wants, or OCI.
        with_models: put the models into the image too, for hosts that mount none.
        bytecode: compile the modules of an image that is written directly.
        progress: who watches.

    Raises:
        InputError: models are wanted in an image that an engine builds, or do not fit the kind.
        StepError: the build fails, or the image holds what it should not.
        MissingError: something cannot be fetched, or the disk is full.
    """
    archive = folder / ARCHIVE
    if engine is None:
        models = [(source.name, source.artifact.path) for source in sources]
        image = build_serving_image(
            "multi" if package.endpoint == "multi" else "single",
            models=models if with_models else (),
            cache=cache,
            bytecode=bytecode,
            progress=progress,
        )
    else:
        if with_models:
            raise InputError(
                "The Dockerfiles put no model into the image.", hint="Add --engine none."
            )
        image = _with_engine(folder, package, tag, cache, engine, progress)
    if findings := scan(image):
        listed = "; ".join(map(str, findings[:5]))
        raise StepError(f"The image holds what it should not: {listed}.")
    write = write_docker_archive if form == "docker" else write_oci_archive
    write(image, archive, tag)
    record = ImageRecord(
        name=tag,
        digest=image.digest(form),
        form=form,
        built_with=f"{engine.name} {engine.version}" if engine else WITHOUT,
        archive=ARCHIVE,
        bytes=image.compressed,
        layers=tuple(
            LayerRecord(title=layer.title, digest=layer.blob.digest, diff_id=layer.diff_id,
                        bytes=layer.blob.size, unpacked_bytes=layer.unpacked)
            for layer in image.layers
        ),
    )  # fmt: skip
    package = package.model_copy(update={"image": record})
    write_record(folder, package)
    return package, image


def load_image(folder: Path) -> str | None:
    """Load ``image.tar`` into the engine that is there, so that it can be run; the engine's name.

    Raises:
        StepError: the engine refuses it.
    """
    try:
        engine = engines.choose_engine(to_run=True)
    except MissingError:
        return None
    engines.load(engine, folder / ARCHIVE)
    return engine.name


def note_pushed(folder: Path, package: Package, reference: str) -> Package:
    """Note where the image was pushed to, by digest."""
    assert package.image is not None
    image = package.image.model_copy(update={"pushed": reference})
    package = package.model_copy(update={"image": image})
    write_record(folder, package)
    return package


def run_arguments() -> str:
    """What this machine needs beside to run a container, from WORKBENCH_RUN_OPTIONS."""
    return shlex.join(shlex.split(os.environ.get(RUN_OPTIONS, "")))


def _with_engine(
    folder: Path,
    package: Package,
    tag: str,
    cache: Path,
    engine: Engine,
    progress: Progress | None,
) -> Image:
    context, log = folder / "context", folder / LOG
    multi = package.endpoint == "multi"
    first = f"{tag.rpartition(':')[0]}-single:{tag.rpartition(':')[2]}" if multi else tag
    engines.build(
        engine, context, "single_model/Dockerfile", first, log=log, progress=progress,
        build_args=_index(),
    )  # fmt: skip
    if multi:
        engines.build(
            engine, context, "multi_model/Dockerfile", tag, log=log, progress=progress,
            build_args={"SINGLE": first},
        )  # fmt: skip
    saved = folder / f".saved.{os.getpid()}.tar"
    try:
        engines.save(engine, tag, saved)
        return read_image(saved, cache / "blobs")
    finally:
        saved.unlink(missing_ok=True)


def _index() -> dict[str, str]:
    """The user's own index of packages, for pip inside the build."""
    names = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
    return {name: os.environ[name] for name in names if name in os.environ}
