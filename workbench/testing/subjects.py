"""What is measured: a variant of a run, an artifact, or any ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.artifact import MANIFEST, Artifact, file_digest, open_artifact
from workbench.errors import InputError
from workbench.onnx_file import external_names
from workbench.records import FileRecord, Manifest, Measurement, Run, VariantResult
from workbench.run_directory import RUN_FILE, find_artifact, load_run


@dataclass(frozen=True)
class Subject:
    """A model, with what the run that it is a variant of says of it."""

    name: str
    artifact: Artifact
    run: Run | None = None
    result: VariantResult | None = None
    folder: Path | None = None

    @property
    def stored(self) -> Measurement | None:
        """What its run measured of it."""
        return self.result.measurement if self.result else None

    @property
    def identity(self) -> tuple[str, str]:
        """Where it lies, and its content."""
        return str(self.artifact.path.resolve()), self.artifact.digest

    def baseline(self) -> Subject | None:
        """The baseline of its run; none without a run, or if it is the baseline itself."""
        if self.run is None or self.folder is None or self.result is None or self.result.baseline:
            return None
        return self.base

    @property
    def base(self) -> Subject:
        """The baseline of its run, which may be itself; itself without a run."""
        if self.run is None or self.folder is None:
            return self
        return _variant(self.folder, self.run.baseline.name)


def find_subject(given: str | Path | Artifact) -> Subject:
    """Find a model by what a person writes.

    Args:
        given: ``RUN:VARIANT``, a run directory (its last variant), an artifact or its folder, or an
            ``.onnx`` file.

    Raises:
        InputError: there is no such model.
        CorruptError: a file of the artifact or of the run is not what was written.
    """
    if isinstance(given, Artifact):
        return _artifact(given.path, given)
    text, path = str(given), Path(given)
    if (path / MANIFEST).is_file():
        return _artifact(path, open_artifact(path))
    if (path / RUN_FILE).is_file():
        return _variant(path, load_run(path).variants[-1].name)
    if path.is_file() and path.suffix == ".onnx":
        return Subject(path.stem, _bare(path))
    run, colon, variant = text.rpartition(":")
    if colon and variant and Path(run).is_dir():
        return _variant(Path(run), variant)
    raise InputError(
        f"There is no model '{text}'.",
        hint="Give RUN:VARIANT, a run directory, an artifact's folder or an .onnx file.",
    )


def _variant(run: Path, name: str) -> Subject:
    return _of_run(run, name, find_artifact(run, name))


def _artifact(folder: Path, artifact: Artifact) -> Subject:
    """An artifact; as a variant, if it lies where its run has it."""
    run = folder.resolve().parent.parent
    if folder.resolve().parent.name == "variants" and (run / RUN_FILE).is_file():
        return _of_run(run, folder.resolve().name, artifact)
    return Subject(artifact.manifest.name, artifact)


def _of_run(folder: Path, name: str, artifact: Artifact) -> Subject:
    run = load_run(folder)
    return Subject(name, artifact, run, run.variant(name), folder)


def _bare(path: Path) -> Artifact:
    """A file that nobody made an artifact of; its manifest is in memory only."""
    from workbench.profiler import read_signature
    from workbench.profiler.graph import model_bytes, read_model

    graph = read_model(path)
    model_bytes(path, graph)  # refuses a model of which a file is missing
    return Artifact(
        path.parent,
        Manifest(
            name=path.stem,
            format="onnx",
            model_file=path.name,
            signature=read_signature(path),
            files={
                name: FileRecord(
                    bytes=(path.parent / name).stat().st_size,
                    sha256=file_digest(path.parent / name),
                )
                for name in (path.name, *external_names(graph))
            },
        ),
    )
