"""A run directory: written whole, kept when another recipe takes its name, read back.

``run.json`` is the whole truth; ``recipe.yaml`` is what ran, overrides included, and ``variants/``
holds the artifacts.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from workbench.artifact import (
    MANIFEST,
    Artifact,
    copy_artifact,
    digest,
    disk_errors,
    open_artifact,
    write_atomic,
)
from workbench.errors import CorruptError, InputError
from workbench.records import Run
from workbench.store import Store
from workbench.yaml_source import dump_yaml

RUN_FILE = "run.json"


def publish(run: Run, artifacts: dict[str, Artifact], runs: Path, store: Store) -> Path:
    """Write the run directory; ``run.json`` comes last, so that it never speaks of less.

    Args:
        run: the record.
        artifacts: the artifact of each variant.
        runs: folder of run directories.
        store: its lock keeps two runs of one name apart.

    Raises:
        MissingError: the disk is full or the folder cannot be written.
    """
    folder = runs / run.name
    with store.lock(f"run-{digest(str(folder.resolve()))}"):
        _set_aside(folder, run)
        variants = folder / "variants"
        for name, artifact in artifacts.items():
            with disk_errors(folder):
                variants.mkdir(parents=True, exist_ok=True)
            copy_artifact(artifact, variants / name)
        for stale in variants.iterdir():
            if stale.name not in artifacts:
                shutil.rmtree(stale)
        write_atomic(folder / "recipe.yaml", dump_yaml(run.recipe))
        write_atomic(folder / RUN_FILE, run.model_dump_json(indent=1, exclude_none=True) + "\n")
    return folder


def load_run(folder: Path) -> Run:
    """Read ``run.json`` of a run directory.

    Raises:
        InputError: the folder is no run directory.
        CorruptError: the file is not what was written.
    """
    path = folder / RUN_FILE if folder.is_dir() else folder
    if not path.is_file():
        raise InputError(f"{folder} is no run directory: it has no {RUN_FILE}.")
    try:
        return Run.model_validate_json(path.read_bytes())
    except ValueError as error:
        first = str(error).splitlines()
        raise CorruptError(f"{path} cannot be read: {' '.join(first[:3])}") from error


def find_artifact(folder: Path, variant: str | None = None) -> Artifact:
    """An artifact by its own folder, or a variant of a run directory.

    Raises:
        InputError: there is none.
    """
    if (folder / MANIFEST).is_file():
        return open_artifact(folder)
    run = load_run(folder)
    name = variant or run.variants[-1].name
    if not any(result.name == name for result in run.variants):
        names = ", ".join(result.name for result in run.variants)
        raise InputError(f"{folder} has no variant '{name}'.", hint=f"There is: {names}.")
    return open_artifact(folder / "variants" / name)


def _set_aside(folder: Path, run: Run) -> None:
    """Keep a run of another recipe that bears the name of the new one, as ``name~when``."""
    try:
        old = load_run(folder)
    except (InputError, CorruptError):
        return
    if old.recipe != run.recipe:
        when = old.created.replace(":", "-").removesuffix("+00-00")
        with disk_errors(folder):
            target = folder.with_name(f"{folder.name}~{when}")
            if target.exists():
                shutil.rmtree(target)
            folder.rename(target)
