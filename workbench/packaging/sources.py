"""The models that go into a package, and what their runs say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.artifact import Artifact
from workbench.errors import InputError
from workbench.records import Run, VariantResult
from workbench.run_directory import RUN_FILE, load_run
from workbench.serving import resolve_artifacts


@dataclass(frozen=True)
class Source:
    """One model under the name that it has at the endpoint; without a run: a bare artifact."""

    name: str
    artifact: Artifact
    run: Run | None = None
    result: VariantResult | None = None


def find_sources(words: Sequence[str], variant: str | None = None) -> list[Source]:
    """The artifacts that the words name (a folder, a run directory or ``RUN:VARIANT``).

    Raises:
        InputError: a word names no ONNX artifact, or a run that was only a smoke test.
        CorruptError: a file is not what was written.
    """
    found = resolve_artifacts(words, variant)
    return [_with_run(name, artifact) for name, artifact in found.items()]


def _with_run(name: str, artifact: Artifact) -> Source:
    path = artifact.path.resolve()
    folder = path.parent.parent
    if path.parent.name != "variants" or not (folder / RUN_FILE).is_file():
        return Source(name, artifact)
    run = load_run(folder)
    result = next((r for r in run.variants if r.name == path.name), None)
    if run.smoke:
        raise InputError(
            f"{Path(folder).name} is a smoke run: its model is random.",
            hint="Run the recipe without --smoke first.",
        )
    return Source(name, artifact, run, result)
