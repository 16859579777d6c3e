"""Makes a package: a folder with archives, build context, bill of materials, and a record of it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.artifact import digest, disk_errors, file_digest, files_of, write_atomic
from workbench.errors import CorruptError, InputError
from workbench.packaging.context import server_version, write_context
from workbench.packaging.handover import readme
from workbench.packaging.pipeline import check_pipeline
from workbench.packaging.records import (
    PACKAGE_FILE,
    CostEstimate,
    Endpoint,
    Package,
    PackagedModel,
)
from workbench.packaging.sbom import sbom
from workbench.packaging.sources import Source
from workbench.progress import Progress, Work
from workbench.records import FileRecord
from workbench.serving import pack_artifact

MODELS = "models"
PACK_BYTES_PER_S = 20e6
"""About what zlib packs; for the time left that is shown."""


def make_package(
    sources: Sequence[Source],
    endpoint: Endpoint,
    folder: Path,
    *,
    name: str,
    costs: Mapping[str, CostEstimate] | None = None,
    progress: Progress | None = None,
) -> Package:
    """Write the package folder, which appears whole or not at all; an older one is replaced.

    The same models give the same bytes: nothing in the folder tells when or where it was made.

    Args:
        sources: the models; of a pipeline, in their order.
        endpoint: what they are packaged for.
        folder: where; if it exists it must be a package.
        name: of the package, and of its image.
        costs: a month's hosting by model, as far as it is known.
        progress: who watches.

    Raises:
        InputError: the models do not fit the endpoint, or the folder holds something else.
        MissingError: the disk is full or the folder cannot be written.
    """
    progress = progress or Progress()
    _check(sources, endpoint)
    if folder.exists() and not (folder / PACKAGE_FILE).is_file():
        raise InputError(
            f"{folder} exists and is no package: it has no {PACKAGE_FILE}.",
            hint="Give another folder with --output.",
        )
    staging = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with disk_errors(folder):
            (staging / MODELS).mkdir(parents=True)
        package = _fill(staging, sources, endpoint, name, costs or {}, progress)
        with disk_errors(folder):
            if folder.exists():
                shutil.rmtree(folder)
            staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return package


def load_package(folder: Path) -> Package:
    """Read ``package.json``.

    Raises:
        InputError: the folder is no package.
        CorruptError: the file is not what was written.
    """
    path = folder / PACKAGE_FILE
    if not path.is_file():
        raise InputError(f"{folder} is no package: it has no {PACKAGE_FILE}.")
    try:
        return Package.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise CorruptError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def write_record(folder: Path, package: Package) -> None:
    """Write ``package.json``."""
    text = package.model_dump_json(indent=1, exclude_none=True)
    write_atomic(folder / PACKAGE_FILE, text + "\n")


def _check(sources: Sequence[Source], endpoint: Endpoint) -> None:
    if endpoint == "single" and len(sources) != 1:
        raise InputError(
            f"A single-model endpoint has one model, not {len(sources)}.",
            hint="Choose --endpoint multi or pipeline.",
        )
    if endpoint == "pipeline":
        check_pipeline(sources)


def _fill(
    folder: Path,
    sources: Sequence[Source],
    endpoint: Endpoint,
    name: str,
    costs: Mapping[str, CostEstimate],
    progress: Progress,
) -> Package:
    from importlib.metadata import version

    works = {s.name: Work(f"pack {s.name}", s.artifact.size_bytes / PACK_BYTES_PER_S)
             for s in sources}  # fmt: skip
    progress.plan(list(works.values()))
    models = []
    for source in sources:
        # A single model's archive bears the name that the hosting contract's examples have.
        file = f"{MODELS}/{'model' if endpoint == 'single' else source.name}.tar.gz"
        work = works[source.name]
        progress.start(work.label)
        began = time.perf_counter()
        pack_artifact(source.artifact, folder / file)
        took, size = time.perf_counter() - began, (folder / file).stat().st_size
        progress.finish(work.label, took, reused=False, detail=f"{size / 1e6:.1f} MB")
        models.append(_model(source, file, costs.get(source.name)))
    write_context(folder / "context", endpoint)
    content = digest([model.digest for model in models])
    write_atomic(folder / "sbom.cdx.json", sbom(name, sources, content) + "\n")
    package = Package(
        name=name,
        endpoint=endpoint,
        server=server_version(),
        workbench=version("workbench"),
        models=tuple(models),
        files={},
    )
    write_atomic(folder / "README.md", readme(package, sources[0].artifact.manifest))
    files = {
        path.relative_to(folder).as_posix(): FileRecord(
            bytes=path.stat().st_size, sha256=file_digest(path)
        )
        for path in files_of(folder)
    }
    package = package.model_copy(update={"files": files})
    write_record(folder, package)
    return package


def _model(source: Source, file: str, cost: CostEstimate | None) -> PackagedModel:
    manifest, run, result = source.artifact.manifest, source.run, source.result
    measurement = result.measurement if result else None
    if measurement is not None:
        # The raw samples stay in the run: they would be most of the file.
        cells = [cell.model_copy(update={"samples_ms": ()}) for cell in measurement.latency]
        measurement = measurement.model_copy(update={"latency": tuple(cells)})
    return PackagedModel(
        name=source.name,
        archive=file,
        digest=source.artifact.digest,
        signature=manifest.signature,
        run=run.name if run else None,
        variant=result.name if result else None,
        measurement=measurement,
        machine=run.machine if run and measurement else None,
        measured=run.measured if run and measurement else None,
        gates=tuple(v for v in run.verdicts if result and v.variant == result.name) if run else (),
        cost=cost,
    )
