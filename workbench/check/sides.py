"""A run that a check reads: its record, and its artifacts where they are still beside it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from workbench.artifact import MANIFEST, Artifact, open_artifact
from workbench.check.records import Identity
from workbench.records import Run, VariantResult
from workbench.run_directory import RUN_FILE, load_run


@dataclass(frozen=True)
class Side:
    """A run as it was given: a run directory, or its ``run.json`` alone."""

    path: Path
    run: Run
    _opened: dict[str, Artifact] = field(default_factory=dict, compare=False)

    @property
    def file(self) -> Path:
        """Its ``run.json``."""
        return self.path / RUN_FILE if self.path.is_dir() else self.path

    @property
    def identity(self) -> Identity:
        """Which run it is."""
        run = self.run
        return Identity(
            path=str(self.path),
            name=run.name,
            created=run.created,
            measured=run.measured,
            model=run.model,
            sha256=hashlib.sha256(self.file.read_bytes()).hexdigest(),
        )

    @property
    def baseline(self) -> VariantResult:
        """The variant that the others are held against."""
        return self.run.baseline

    def variant(self, name: str) -> VariantResult | None:
        """A variant's results, or none."""
        return self.run.variant(name)

    def artifact(self, variant: str) -> Artifact | None:
        """A variant's artifact, or none where only ``run.json`` is there.

        Raises:
            CorruptError: a file is not what was written.
        """
        if variant not in self._opened:
            folder = self.file.parent / "variants" / variant
            if self.file.name != RUN_FILE or not (folder / MANIFEST).is_file():
                return None
            self._opened[variant] = open_artifact(folder)
        return self._opened[variant]


def load_side(path: Path) -> Side:
    """Read a run directory or a ``run.json``.

    Raises:
        InputError: it is neither.
        CorruptError: the file is not what was written, or is of another version.
    """
    return Side(path, load_run(path))
